/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section virtio-balloon version 1: num_pages, actual, and the device's own subsections, of which
 * each is sent if the guest negotiated its feature. Machine lock. Layout:
 * docs/devel/migration/virtio.
 */
#include "virtio-balloon-internal.h"

#include "error.h"

static bool poison_needed(void *opaque)
{
    return virtio_has_feature(opaque, VIRTIO_BALLOON_F_PAGE_POISON);
}

static const VMStateField poison_fields[] = {
    VMSTATE_UINT32(poison_val, VirtIOBalloon),
    VMSTATE_END,
};

static const VMStateDescription vmstate_poison = {
    .name = "virtio-balloon-device/page-poison",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = poison_needed,
    .fields = poison_fields,
};

static bool hint_needed(void *opaque)
{
    return virtio_has_feature(opaque, VIRTIO_BALLOON_F_FREE_PAGE_HINT);
}

static const VMStateField hint_fields[] = {
    { .name = "free_page_hint_cmd_id", .kind = VMS_U32, .size = 4,
      .offset = vmstate_type_check(VirtIOBalloon, hint_id, uint32_t) },
    { .name = "free_page_hint_status", .kind = VMS_U32, .size = 4,
      .offset = vmstate_type_check(VirtIOBalloon, hint_status, uint32_t) },
    VMSTATE_END,
};

static const VMStateDescription vmstate_hint = {
    .name = "virtio-balloon-device/free-page-report",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = hint_needed,
    .fields = hint_fields,
};

static const VMStateDescription *const device_subsections[] = { &vmstate_hint, &vmstate_poison,
                                                                NULL };

static bool device_pre_load(void *opaque, GError **errp)
{
    VirtIOBalloon *s = opaque;

    s->hint_id = HINT_ID_MIN;
    s->hint_status = HINT_STOP;
    s->poison_val = 0;
    return true;
}

static bool device_post_load(void *opaque, int version_id, GError **errp)
{
    VirtIOBalloon *s = opaque;
    uint64_t all = s->vdev.machine->ram_size >> PFN_SHIFT;

    if (s->hint_status > HINT_DONE) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "free_page_hint_status: %u is unknown",
                       s->hint_status);
    }
    /* The migration that asked is over: the guest may have its pages back. */
    s->hint_news = s->hint_status == HINT_REQUESTED || s->hint_status == HINT_START;
    if (s->hint_news) {
        s->hint_status = HINT_DONE;
    }
    return (s->num_pages <= all && s->actual <= all) ||
           gw_fail(errp, GW_ERROR_PROTOCOL, "num_pages %u or actual %u is more than the %"
                   G_GUINT64_FORMAT " pages that there are", s->num_pages, s->actual, all);
}

static const VMStateField device_fields[] = {
    VMSTATE_UINT32(num_pages, VirtIOBalloon),
    VMSTATE_UINT32(actual, VirtIOBalloon),
    VMSTATE_END,
};

static const VMStateDescription vmstate_device = {
    .name = "virtio-balloon-device",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = device_pre_load,
    .post_load = device_post_load,
    .fields = device_fields,
    .subsections = device_subsections,
};

static const VMStateField balloon_fields[] = {
    VMSTATE_VIRTIO_DEVICE(vdev, VirtIOBalloon),
    { .name = "balloon", .kind = VMS_STRUCT, .vmsd = &vmstate_device,
      .size = sizeof(VirtIOBalloon) },
    VMSTATE_VIRTIO_TAIL(vdev, VirtIOBalloon),
    VMSTATE_END,
};

const VMStateDescription vmstate_virtio_balloon = {
    .name = "virtio-balloon",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = balloon_fields,
};
