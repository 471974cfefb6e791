/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio devices: what a device and its transport use. A device embeds a VirtIODevice as its first
 * member, describes itself with a VirtIODeviceClass and works on its queues in handle_output().
 *
 * Each device has a thread of its own, the I/O thread, which runs handle_output() and the callbacks
 * of descriptors given to virtio_add_fd(). `lock` of the device guards its rings, status and
 * features; it is taken after the machine lock, and the I/O thread never takes the machine lock, so
 * that a page which a device waits for (postcopy) keeps nobody else waiting.
 *
 * Rings, features and status: the virtio 1.2 standard. Section: docs/devel/migration/virtio.
 */
#ifndef HW_VIRTIO_H
#define HW_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "machine.h"
#include "memory-region.h"

#define VIRTIO_QUEUE_MAX 1024    /* queues that a section has room for */
#define VIRTQUEUE_MAX_SIZE 1024  /* entries of a ring, and buffers of one request */
#define VIRTIO_CONFIG_MAX 256    /* bytes of configuration space */

typedef struct VirtIODevice VirtIODevice;
typedef struct VirtQueue VirtQueue;
typedef struct VirtIOThread VirtIOThread;
typedef struct VirtIOWire VirtIOWire;

/* A piece of guest memory that a device may write. */
typedef struct VirtQueuePiece {
    uint64_t gpa, len;
} VirtQueuePiece;

/* One request: the guest's buffers as host memory. Owned by who popped it (g_free()), who may
 * change out_sg[] and in_sg[] as it likes. */
typedef struct VirtQueueElement {
    unsigned index;            /* head descriptor */
    unsigned out_num, in_num;  /* pieces that the device reads, writes */
    uint64_t out_len, in_len;  /* bytes */
    struct iovec *out_sg, *in_sg;
    VirtQueuePiece *in_pieces; /* in_num; what may have become dirty */
} VirtQueueElement;

typedef struct VirtIODeviceClass {
    const char *name;          /* "virtio-blk": of the section */
    uint16_t device_id;
    const VMStateDescription *vmsd; /* of the whole device; see VMSTATE_VIRTIO_DEVICE */
    /* All with the device's lock held, but for drain, activate and inactivate. All but
     * handle_output may be NULL. */
    void (*get_config)(VirtIODevice *vdev, uint8_t *config); /* fills config_len bytes */
    void (*set_config)(VirtIODevice *vdev, const uint8_t *config); /* after the guest's write */
    void (*set_features)(VirtIODevice *vdev);  /* guest_features are settled */
    void (*set_status)(VirtIODevice *vdev);    /* `status` has changed; not for a reset */
    void (*reset)(VirtIODevice *vdev);         /* nothing is in flight */
    /* I/O thread: there may be something in the queue's available ring. */
    void (*handle_output)(VirtIODevice *vdev, VirtQueue *vq);
    /* Waits until every element that was popped for work on the host is pushed. */
    void (*drain)(VirtIODevice *vdev);
    /* I/O thread, while the guest is being stopped to run elsewhere: puts what was written on
     * stable storage. May drop the lock. False: requests are in flight; called again after the
     * next. */
    bool (*write_back)(VirtIODevice *vdev);
    /* The guest is about to run here: open, take locks. Not called twice in a row. */
    bool (*activate)(VirtIODevice *vdev, GError **errp);
    /* The guest will run elsewhere, or nowhere: everything is on stable storage, locks dropped. */
    void (*inactivate)(VirtIODevice *vdev);
    /* How many queues a guest with these features has, for the section; NULL: all. */
    uint32_t (*queues_used)(const VirtIODevice *vdev, uint64_t features);
    /* The rings run again after a start of the guest; I/O thread or the starting thread. */
    void (*resumed)(VirtIODevice *vdev);
} VirtIODeviceClass;

/* What the device needs of its transport. Any thread. */
typedef struct VirtIOTransportOps {
    /* isr has got new bits: tell the guest. */
    void (*notify)(void *transport);
    /* The line follows isr again, after a reset or a load. Machine lock held. */
    void (*sync_irq)(void *transport);
    bool modern;               /* register layout of version 2 */
    /* Where the guest writes a queue's number (4 bytes) to kick it; NULL: without ioeventfds.
     * Machine lock held. */
    MemoryRegion *(*kick_region)(void *transport, uint64_t *offset);
} VirtIOTransportOps;

struct VirtIODevice {
    const VirtIODeviceClass *class;
    Machine *machine;
    char *id;                  /* -device id=; NULL */
    pthread_mutex_t lock;
    pthread_cond_t idle;       /* signalled under lock when in-flight work became less */

    uint64_t host_features, guest_features;
    uint32_t host_features_sel, guest_features_sel;
    uint8_t status;
    uint32_t isr;              /* atomic; bit 0: queue, bit 1: configuration */
    uint32_t config_generation; /* atomic */
    uint16_t queue_sel;
    uint32_t config_len;
    uint32_t nr_queues;
    VirtQueue *vqs;
    bool broken;               /* the guest made nonsense; until reset */
    bool started;              /* DRIVER_OK since the last reset */
    bool vm_running;           /* the rings may be looked at */
    bool active;               /* class->activate was called */
    bool write_back_due;       /* the I/O thread has been asked to; it signals `idle` */
    uint32_t guest_page_shift; /* legacy */

    VirtIOThread *thread;
    const VirtIOTransportOps *tops;
    void *transport;
    VirtIOWire *wire;          /* virtio-vmstate.c; while saving and loading */
};

/* ---- life ---- */

/* Fills the embedded VirtIODevice: nr_queues queues of the sizes given with virtio_add_queue()
 * follow. Machine lock held. */
void virtio_init(VirtIODevice *vdev, Machine *m, const VirtIODeviceClass *class,
                 uint32_t config_len);
/* Adds a queue of `size` entries (a power of two, at most VIRTQUEUE_MAX_SIZE). Before the device is
 * plugged. The pointer stays valid after the last virtio_add_queue() only: ask virtio_queue(). */
bool virtio_add_queue(VirtIODevice *vdev, unsigned size, GError **errp);
VirtQueue *virtio_queue(VirtIODevice *vdev, unsigned index);
unsigned virtio_queue_index(const VirtQueue *vq);
/* The device is complete and has its transport: starts the I/O thread, registers the section
 * `idstr`. */
bool virtio_plug(VirtIODevice *vdev, const char *idstr, GError **errp);
/* Undoes virtio_init() and virtio_plug(); the memory is the caller's. */
void virtio_cleanup(VirtIODevice *vdev);

bool virtio_has_feature(const VirtIODevice *vdev, unsigned bit); /* negotiated */
/* Something of the configuration changed: generation and interrupt. Any thread, no lock needed. */
void virtio_notify_config(VirtIODevice *vdev);
/* The guest broke the rules: nothing more of its queues is looked at before a reset. Lock held. */
void virtio_error(VirtIODevice *vdev, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Guest memory may still come from the source of a postcopy: what waits for a vCPU, or gives pages
 * away, has to wait itself. Any thread. */
bool virtio_postcopy_runs(Machine *m);
/* DRIVER_OK, not broken, and the guest runs. Lock held. */
bool virtio_is_live(const VirtIODevice *vdev);

/* ---- queues: lock held ---- */

/* The next request, or NULL: none, or the guest broke the rules. `size` is that of the caller's
 * struct, which begins with a VirtQueueElement. */
void *virtqueue_pop(VirtQueue *vq, size_t size);
/* The device wrote the first `len` bytes of in_sg. The guest hears of it with virtio_notify(). */
void virtqueue_push(VirtQueue *vq, const VirtQueueElement *elem, uint32_t len);
/* Several that belong together (a frame in pieces): the guest sees all of them or none. */
void virtqueue_push_all(VirtQueue *vq, VirtQueueElement *const *elems, const uint32_t *lens,
                        unsigned n);
/* As if the last pop had not been. The element is still the caller's. */
void virtqueue_unpop(VirtQueue *vq, const VirtQueueElement *elem);
/* Gives up an element without telling the guest (reset). */
void virtqueue_detach(VirtQueue *vq, const VirtQueueElement *elem);
/* Interrupts the guest if it wants to hear of what was pushed. */
void virtio_notify(VirtIODevice *vdev, VirtQueue *vq);
/* The guest has set the queue up. */
bool virtio_queue_ready(const VirtQueue *vq);
bool virtio_queue_empty(VirtQueue *vq);
/* Whether the guest need tell of new buffers. After `true` look once more for what came before. */
void virtio_queue_set_notification(VirtQueue *vq, bool enable);
unsigned virtio_queue_num(const VirtQueue *vq);
/* Elements popped and not pushed. */
unsigned virtio_queue_inuse(const VirtQueue *vq);
/* Makes the I/O thread call handle_output() for it. Any thread, no lock needed. */
void virtio_queue_kick(VirtQueue *vq);

/* Copies from and to the pieces, from byte `offset` on; returns how many bytes. */
size_t virtio_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len);
size_t virtio_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *buf,
                        size_t len);

/* ---- the I/O thread ---- */

typedef void (*VirtIOFdHandler)(VirtIODevice *vdev, void *opaque);

/* Calls fn on the I/O thread with the device's lock held while fd is readable (and `write`:
 * writable). Before or after virtio_plug(); any thread. */
bool virtio_add_fd(VirtIODevice *vdev, int fd, bool write, VirtIOFdHandler fn, void *opaque,
                   GError **errp);
/* fn is not called any more once this returns. Lock held. */
void virtio_del_fd(VirtIODevice *vdev, int fd);

/* ---- state ---- */

/* The first and the last field of a device's section; what is the device's own comes between. */
extern const VMStateDescription vmstate_virtio_base, vmstate_virtio_tail;
#define VMSTATE_VIRTIO_DEVICE(F, S) VMSTATE_STRUCT(F, S, vmstate_virtio_base, VirtIODevice)
#define VMSTATE_VIRTIO_TAIL(F, S) \
    { .name = "virtio", .kind = VMS_STRUCT, .vmsd = &vmstate_virtio_tail, \
      .offset = vmstate_type_check(S, F, VirtIODevice), .size = sizeof(VirtIODevice) }

/* While a section is saved or loaded: the low 32 features that the guest uses, which decide about
 * the device's own fields. */
uint32_t virtio_wire_features(const VirtIODevice *vdev);

#endif
