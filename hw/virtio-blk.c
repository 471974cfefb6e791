/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: a disk over a raw image. Here: configuration space, life, the section; requests are
 * virtio-blk-request.c, the host's I/O virtio-blk-io.c.
 *
 * The section virtio-blk version 2 ends with a list of requests that the source could not finish.
 * There are none here: the guest's stop waits for what is in flight, and an error is reported to
 * the guest at once. The image is locked while the guest may run here, and free between the
 * source's last flush and the destination's start.
 */
#include "virtio-blk.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "virtio-blk-internal.h"
#include "virtio-props.h"

#define BLK_QUEUE_SIZE 256
#define BLK_CONFIG_BYTES 57 /* through write_zeroes_may_unmap */
#define BLK_SEG_RESERVED 2  /* descriptors of a request that hold no data */

const char *const virtio_blk_props[] = {
    "drive", "serial", "num-queues", "queue-size", "write-cache", "config-wce", "discard",
    "write-zeroes", "share-rw", "bootindex", "iothread", NULL,
};

/* ---- configuration space ---- */

static void blk_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIOBlock *s = (VirtIOBlock *)vdev;
    uint64_t sectors = s->image->size / BLK_SECTOR;
    struct virtio_blk_config c = {
        .capacity = GUINT64_TO_LE(sectors),
        .seg_max = GUINT32_TO_LE(s->queue_size - BLK_SEG_RESERVED),
        .geometry = { .cylinders = GUINT16_TO_LE(CLAMP(sectors / (16 * 63), 2, 16383)),
                      .heads = 16, .sectors = 63 },
        .blk_size = GUINT32_TO_LE(BLK_SECTOR),
        .wce = s->wce,
        .num_queues = GUINT16_TO_LE((uint16_t)s->num_queues),
        .max_discard_sectors = GUINT32_TO_LE(BLK_MAX_SECTORS),
        .max_discard_seg = GUINT32_TO_LE(1),
        .discard_sector_alignment = GUINT32_TO_LE(1),
        .max_write_zeroes_sectors = GUINT32_TO_LE(BLK_MAX_SECTORS),
        .max_write_zeroes_seg = GUINT32_TO_LE(1),
        .write_zeroes_may_unmap = 1,
    };

    memcpy(config, &c, MIN(sizeof(c), vdev->config_len));
}

static void blk_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIOBlock *s = (VirtIOBlock *)vdev;

    if (virtio_has_feature(vdev, VIRTIO_BLK_F_CONFIG_WCE)) {
        s->wce = config[offsetof(struct virtio_blk_config, wce)] != 0;
    }
}

/* A guest that cannot flush expects that what is written is there. */
static void blk_set_features(VirtIODevice *vdev)
{
    VirtIOBlock *s = (VirtIOBlock *)vdev;

    s->wce = s->image->writeback && (!vdev->guest_features ||
                                     virtio_has_feature(vdev, VIRTIO_BLK_F_FLUSH));
}

/* ---- work ---- */

static void blk_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIOBlock *s = (VirtIOBlock *)vdev;
    VirtIOBlockReq *req;

    do {
        virtio_queue_set_notification(vq, false);
        while (virtio_is_live(vdev) && (req = virtqueue_pop(vq, sizeof(*req)))) {
            req->s = s;
            req->vq = vq;
            virtio_blk_request(req);
        }
        virtio_queue_set_notification(vq, true);
    } while (virtio_is_live(vdev) && !virtio_queue_empty(vq));
    virtio_blk_submit(s);
}

static void blk_drain(VirtIODevice *vdev)
{
    VirtIOBlock *s = (VirtIOBlock *)vdev;

    while (s->inflight) {
        pthread_cond_wait(&vdev->idle, &vdev->lock);
    }
}

/* Errors are found again, and told, when the image is given up. */
static bool blk_write_back(VirtIODevice *vdev)
{
    VirtIOBlock *s = (VirtIOBlock *)vdev;
    const uint64_t changes = s->image->changes;
    int err;

    if (s->inflight) {
        return false;
    }
    if (!block_image_needs_flush(s->image)) {
        return true;
    }
    pthread_mutex_unlock(&vdev->lock);
    err = block_image_flush(s->image);
    pthread_mutex_lock(&vdev->lock);
    if (!err) {
        block_image_flushed(s->image, changes);
    }
    return true;
}

static bool blk_activate(VirtIODevice *vdev, GError **errp)
{
    return block_image_activate(((VirtIOBlock *)vdev)->image, errp);
}

static void blk_inactivate(VirtIODevice *vdev)
{
    block_image_inactivate(((VirtIOBlock *)vdev)->image);
}

/* ---- state ---- */

static void put_requests(VMStateWriter *w, const void *member, const VMStateField *field)
{
    vmstate_put_u8(w, 0);
}

static bool get_requests(VMStateReader *r, void *member, const VMStateField *field, GError **errp)
{
    uint8_t more;

    if (!vmstate_get_u8(r, &more, errp)) {
        return false;
    }
    return !more || gw_fail(errp, GW_ERROR_UNSUPPORTED, "the source has requests that failed and "
                            "wait there (werror=stop, or enospc); let the guest finish them before "
                            "it migrates");
}

static const VMStateField blk_fields[] = {
    VMSTATE_VIRTIO_DEVICE(vdev, VirtIOBlock),
    { .name = "requests", .kind = VMS_CUSTOM, .size = 1, .type = "virtio-blk requests",
      .put = put_requests, .get = get_requests },
    VMSTATE_VIRTIO_TAIL(vdev, VirtIOBlock),
    VMSTATE_END,
};

static const VMStateDescription vmstate_blk = {
    .name = "virtio-blk",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = blk_fields,
};

static const VirtIODeviceClass blk_class = {
    .name = "virtio-blk",
    .device_id = VIRTIO_ID_BLOCK,
    .vmsd = &vmstate_blk,
    .get_config = blk_get_config,
    .set_config = blk_set_config,
    .set_features = blk_set_features,
    .handle_output = blk_handle_output,
    .drain = blk_drain,
    .write_back = blk_write_back,
    .activate = blk_activate,
    .inactivate = blk_inactivate,
};

/* ---- making ---- */

static void blk_free(gpointer p)
{
    VirtIOBlock *s = p;

    virtio_blk_io_free(s);
    block_image_free(s->image);
    g_free(s->serial);
    g_free(s);
}

static const DriveConfig *find_drive(const Machine *m, const DeviceConfig *conf, GError **errp)
{
    const char *id = g_hash_table_lookup(conf->props, "drive");

    for (guint i = 0; id && i < m->config->drives->len; i++) {
        const DriveConfig *d = m->config->drives->pdata[i];

        if (g_strcmp0(d->id, id) == 0) {
            return d;
        }
    }
    gw_fail(errp, GW_ERROR_GENERIC, id ? "Property 'virtio-blk-device.drive' can't find value '%s'"
            : "drive property not set%s", id ? id : "");
    return NULL;
}

static uint64_t offered(const VirtIOBlock *s, bool legacy)
{
    uint64_t f = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_GEOMETRY |
                 1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_TOPOLOGY |
                 1ull << VIRTIO_BLK_F_FLUSH;

    f |= s->config_wce ? 1ull << VIRTIO_BLK_F_CONFIG_WCE : 0;
    f |= s->image->readonly ? 1ull << VIRTIO_BLK_F_RO : 0;
    f |= s->num_queues > 1 ? 1ull << VIRTIO_BLK_F_MQ : 0;
    f |= s->has_discard ? 1ull << VIRTIO_BLK_F_DISCARD : 0;
    f |= s->has_write_zeroes ? 1ull << VIRTIO_BLK_F_WRITE_ZEROES : 0;
    /* Commands that nobody answers; QEMU's legacy devices say so, and guests agree to it. */
    f |= legacy ? 1ull << VIRTIO_BLK_F_SCSI : 0;
    return f;
}

static bool read_props(VirtIOBlock *s, Machine *m, const DeviceConfig *conf, GError **errp)
{
    const DriveConfig *drive = find_drive(m, conf, errp);
    bool share_rw = false;

    s->num_queues = 1;
    s->queue_size = BLK_QUEUE_SIZE;
    s->has_discard = s->has_write_zeroes = s->config_wce = true;
    if (!drive || !virtio_prop_u32(conf, "num-queues", 1, VIRTIO_QUEUE_MAX, &s->num_queues, errp) ||
        !virtio_prop_u32(conf, "queue-size", 2, VIRTQUEUE_MAX_SIZE, &s->queue_size, errp) ||
        !virtio_prop_bool(conf, "discard", &s->has_discard, errp) ||
        !virtio_prop_bool(conf, "write-zeroes", &s->has_write_zeroes, errp) ||
        !virtio_prop_bool(conf, "config-wce", &s->config_wce, errp) ||
        !virtio_prop_bool(conf, "share-rw", &share_rw, errp)) {
        return false;
    }
    if (s->queue_size <= BLK_SEG_RESERVED) {
        return gw_fail(errp, GW_ERROR_GENERIC, "invalid queue-size property (%u), must be > %d",
                       s->queue_size, BLK_SEG_RESERVED);
    }
    s->serial = g_strdup(g_hash_table_lookup(conf->props, "serial"));
    s->image = block_image_open(m, drive, share_rw, errp);
    if (!s->image) {
        return false;
    }
    if (g_strcmp0(g_hash_table_lookup(conf->props, "write-cache"), "auto") != 0) {
        return virtio_prop_bool(conf, "write-cache", &s->image->writeback, errp);
    }
    return true;
}

bool virtio_blk_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp)
{
    VirtIOBlock *s = g_new0(VirtIOBlock, 1);

    s->ring_event = -1;
    virtio_init(&s->vdev, m, &blk_class, BLK_CONFIG_BYTES);
    s->vdev.id = g_strdup(conf->id);

    bool ok = read_props(s, m, conf, errp);

    for (unsigned i = 0; ok && i < s->num_queues; i++) {
        ok = virtio_add_queue(&s->vdev, s->queue_size, errp);
    }
    if (ok) {
        s->wce = s->image->writeback;
        s->vdev.host_features = offered(s, virtio_mmio_is_legacy(t));
        ok = virtio_blk_io_init(s, errp) && virtio_mmio_plug(t, &s->vdev, blk_free, errp);
    }
    if (!ok) {
        virtio_cleanup(&s->vdev);
        blk_free(s);
    }
    return ok;
}
