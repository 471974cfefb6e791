/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-rng: gives the guest random bytes of the host's getrandom(2). One queue; every buffer is
 * filled at once, so that nothing is ever in flight. I/O thread, device's lock.
 * Section virtio-rng version 1: nothing of its own.
 */
#include "virtio-rng.h"

#include <errno.h>
#include <sys/random.h>

#include "error.h"

#define RNG_QUEUE_SIZE 8
#define RNG_REQUEST_MAX 65536 /* bytes; a guest that wants more asks again */

typedef struct VirtIORNG {
    VirtIODevice vdev;
} VirtIORNG;

/* Fills as much as it can of the request; returns bytes. */
static uint32_t fill(const VirtQueueElement *e)
{
    uint32_t done = 0;

    for (unsigned i = 0; i < e->in_num && done < RNG_REQUEST_MAX; i++) {
        size_t want = MIN(e->in_sg[i].iov_len, RNG_REQUEST_MAX - done);
        ssize_t n = getrandom(e->in_sg[i].iov_base, want, 0);

        if (n < 0) {
            break;
        }
        done += n;
        if ((size_t)n < want) {
            break;
        }
    }
    return done;
}

static void rng_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtQueueElement *e;

    while (virtio_is_live(vdev) && (e = virtqueue_pop(vq, sizeof(*e)))) {
        virtqueue_push(vq, e, fill(e));
        virtio_notify(vdev, vq);
        g_free(e);
    }
}

static const VMStateField rng_fields[] = {
    VMSTATE_VIRTIO_DEVICE(vdev, VirtIORNG),
    VMSTATE_VIRTIO_TAIL(vdev, VirtIORNG),
    VMSTATE_END,
};

static const VMStateDescription vmstate_rng = {
    .name = "virtio-rng",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = rng_fields,
};

static const VirtIODeviceClass rng_class = {
    .name = "virtio-rng",
    .device_id = VIRTIO_ID_RNG,
    .vmsd = &vmstate_rng,
    .handle_output = rng_handle_output,
};

bool virtio_rng_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp)
{
    VirtIORNG *s = g_new0(VirtIORNG, 1);

    virtio_init(&s->vdev, m, &rng_class, 0);
    s->vdev.id = g_strdup(conf->id);
    s->vdev.host_features = 1ull << VIRTIO_F_ANY_LAYOUT;
    if (virtio_add_queue(&s->vdev, RNG_QUEUE_SIZE, errp) &&
        virtio_mmio_plug(t, &s->vdev, g_free, errp)) {
        return true;
    }
    virtio_cleanup(&s->vdev);
    g_free(s);
    return false;
}
