/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of virtio-blk (virtio 1.2, 5.2.6): a header of 16 bytes, data, one status byte, in
 * whatever pieces the guest likes. I/O thread, device's lock held. Everything here comes from the
 * guest: sizes and sectors are checked against the queue's element and the image.
 */
#include "virtio-blk-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

void virtio_blk_complete(VirtIOBlockReq *req, uint8_t status)
{
    VirtIOBlock *s = req->s;
    VirtQueueElement *e = &req->elem;

    *req->status = status;
    virtqueue_push(req->vq, e, (uint32_t)e->in_len);
    virtio_notify(&s->vdev, req->vq);
    g_free(req);
}

/* The last byte that the guest gave is the status. */
static void take_status(VirtIOBlockReq *req)
{
    VirtQueueElement *e = &req->elem;
    struct iovec *last = &e->in_sg[e->in_num - 1];

    req->status = (uint8_t *)last->iov_base + --last->iov_len;
    req->iov = e->in_sg;
    req->niov = e->in_num - !last->iov_len;
    req->len = e->in_len - 1;
}

/* What the guest gave to read, after the header. */
static void take_out_data(VirtIOBlockReq *req)
{
    VirtQueueElement *e = &req->elem;
    size_t skip = sizeof(struct virtio_blk_outhdr);

    req->iov = e->out_sg;
    req->niov = e->out_num;
    req->len = e->out_len - skip;
    while (req->niov && skip >= req->iov->iov_len) {
        skip -= req->iov->iov_len;
        req->iov++;
        req->niov--;
    }
    if (req->niov) {
        req->iov->iov_base = (uint8_t *)req->iov->iov_base + skip;
        req->iov->iov_len -= skip;
    }
}

static bool in_image(const VirtIOBlock *s, uint64_t sector, uint64_t sectors)
{
    uint64_t all = s->image->size / BLK_SECTOR;

    return sector <= all && sectors <= all - sector;
}

static void start_data(VirtIOBlockReq *req, BlockOp op, uint64_t sector, uint64_t len)
{
    VirtIOBlock *s = req->s;

    if (len % BLK_SECTOR || !in_image(s, sector, len / BLK_SECTOR) ||
        (op == BLOCK_WRITE && s->image->readonly)) {
        virtio_blk_complete(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (!len) {
        virtio_blk_complete(req, VIRTIO_BLK_S_OK);
        return;
    }
    req->op = op;
    req->offset = sector * BLK_SECTOR;
    if (op == BLOCK_READ) {
        s->reads++;
        s->read_bytes += len;
    } else {
        s->writes++;
        s->write_bytes += len;
    }
    virtio_blk_start(req);
}

static void get_id(VirtIOBlockReq *req)
{
    char id[BLK_SERIAL_BYTES] = { 0 };
    const char *serial = req->s->serial ? req->s->serial : "";
    VirtQueueElement *e = &req->elem;

    memcpy(id, serial, MIN(strlen(serial), sizeof(id)));
    virtio_iov_write(e->in_sg, e->in_num, 0, id, sizeof(id));
    virtio_blk_complete(req, VIRTIO_BLK_S_OK);
}

/* Discard and write-zeroes carry one segment each, as the configuration says. */
static void discard_or_zero(VirtIOBlockReq *req, bool zero)
{
    VirtIOBlock *s = req->s;
    struct virtio_blk_discard_write_zeroes seg;
    VirtQueueElement *e = &req->elem;
    size_t n = virtio_iov_read(e->out_sg, e->out_num, sizeof(struct virtio_blk_outhdr), &seg,
                               sizeof(seg));
    uint32_t flags = GUINT32_FROM_LE(seg.flags), sectors = GUINT32_FROM_LE(seg.num_sectors);
    uint64_t sector = GUINT64_FROM_LE(seg.sector);
    bool unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

    if (n != sizeof(seg) || e->out_len != sizeof(struct virtio_blk_outhdr) + sizeof(seg) ||
        sectors > BLK_MAX_SECTORS || !in_image(s, sector, sectors) || s->image->readonly) {
        virtio_blk_complete(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    if ((flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) || (!zero && unmap)) {
        virtio_blk_complete(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    if (!sectors || (!zero && !s->image->unmap)) {
        virtio_blk_complete(req, VIRTIO_BLK_S_OK);
        return;
    }
    req->op = zero ? BLOCK_ZERO : BLOCK_DISCARD;
    req->offset = sector * BLK_SECTOR;
    req->len = (uint64_t)sectors * BLK_SECTOR;
    req->falloc_mode = FALLOC_FL_KEEP_SIZE |
                       (zero && !(unmap && s->image->unmap) ? FALLOC_FL_ZERO_RANGE
                                                            : FALLOC_FL_PUNCH_HOLE);
    virtio_blk_start(req);
}

void virtio_blk_request(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->s;
    VirtQueueElement *e = &req->elem;
    struct virtio_blk_outhdr hdr;

    if (virtio_iov_read(e->out_sg, e->out_num, 0, &hdr, sizeof(hdr)) != sizeof(hdr) ||
        !e->in_len) {
        virtio_error(&s->vdev, "queue %u: a request of %" G_GUINT64_FORMAT " bytes out and %"
                     G_GUINT64_FORMAT " in has no room for header and status",
                     virtio_queue_index(req->vq), e->out_len, e->in_len);
        virtqueue_detach(req->vq, e);
        g_free(req);
        return;
    }

    uint64_t sector = GUINT64_FROM_LE(hdr.sector);

    take_status(req);
    switch (GUINT32_FROM_LE(hdr.type)) {
    case VIRTIO_BLK_T_IN:
        start_data(req, BLOCK_READ, sector, req->len);
        break;
    case VIRTIO_BLK_T_OUT:
        take_out_data(req);
        start_data(req, BLOCK_WRITE, sector, req->len);
        break;
    case VIRTIO_BLK_T_FLUSH:
        req->op = BLOCK_FLUSH;
        if (s->image->no_flush || s->image->readonly) {
            virtio_blk_complete(req, VIRTIO_BLK_S_OK);
        } else {
            virtio_blk_start(req);
        }
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(req);
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        discard_or_zero(req, GUINT32_FROM_LE(hdr.type) == VIRTIO_BLK_T_WRITE_ZEROES);
        break;
    default:
        virtio_blk_complete(req, VIRTIO_BLK_S_UNSUPP);
    }
}
