/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of virtio-blk share. The device's lock guards all of it. */
#ifndef HW_VIRTIO_BLK_INTERNAL_H
#define HW_VIRTIO_BLK_INTERNAL_H

#include <liburing.h>
#include <linux/virtio_blk.h>

#include "block-image.h"
#include "virtio.h"

#define BLK_SECTOR 512u
#define BLK_SERIAL_BYTES VIRTIO_BLK_ID_BYTES
#define BLK_MAX_SECTORS 0x3fffffu /* of a discard or write-zeroes request */

typedef struct VirtIOBlock {
    VirtIODevice vdev;
    BlockImage *image;
    char *serial;
    uint32_t num_queues, queue_size;
    bool wce;               /* the guest's write cache is on */
    bool has_discard, has_write_zeroes;
    bool config_wce;

    bool has_ring;          /* io_uring; else I/O is done in place */
    struct io_uring ring;
    int ring_event;         /* eventfd: completions */
    unsigned inflight;      /* requests that the host works on */
    unsigned unsubmitted;   /* entries of the ring that the kernel has not been told of */
    uint64_t reads, writes, read_bytes, write_bytes, errors;
} VirtIOBlock;

typedef enum BlockOp {
    BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO,
} BlockOp;

/* One request of the guest. */
typedef struct VirtIOBlockReq {
    VirtQueueElement elem;  /* first: virtqueue_pop() makes it */
    VirtIOBlock *s;
    VirtQueue *vq;
    BlockOp op;
    uint64_t offset, len;   /* bytes in the image, what is left to do */
    struct iovec *iov;      /* the guest's data, what is left of it; in elem's arrays */
    unsigned niov;
    uint8_t *status;        /* where the answer goes */
    int falloc_mode;        /* discard, zero: the mode to try */
    bool syncing;           /* a write without write cache that waits for its flush */
    uint64_t flushes;       /* a flush: the image's changes when it began */
} VirtIOBlockReq;

/* virtio-blk-request.c: parses what the queue's element asks for and starts or answers it. Takes
 * the request. */
void virtio_blk_request(VirtIOBlockReq *req);
/* Answers with a VIRTIO_BLK_S_ status and frees. */
void virtio_blk_complete(VirtIOBlockReq *req, uint8_t status);

/* virtio-blk-io.c */
bool virtio_blk_io_init(VirtIOBlock *s, GError **errp);
void virtio_blk_io_free(VirtIOBlock *s);
/* Starts op of req; virtio_blk_complete() comes later, or before it returns. */
void virtio_blk_start(VirtIOBlockReq *req);
/* Tells the kernel of what was started. */
void virtio_blk_submit(VirtIOBlock *s);

#endif
