/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of a section that all virtio devices share, in QEMU's layout: the transport's selectors,
 * status, queues (vmstate_virtio_base); then, after the device's own fields, the subsections
 * (vmstate_virtio_tail). Layout: docs/devel/migration/virtio.
 *
 * The wire has room for VIRTIO_QUEUE_MAX queues whatever the device has; that form lives in
 * VirtIOWire while a section is saved or loaded, in memory only as far as there are queues. Machine
 * lock held. Loading only decodes and checks (tail's post_load); kicks become ioeventfds in apply,
 * rings are translated in post_commit, and guest memory is read when the guest starts, by the I/O
 * thread, since a page may still be missing (postcopy).
 */
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "lock.h"
#include "virtio-internal.h"

#define MMIO_QUEUE_BYTES 27 /* be16 num, u8 enabled, be32 desc[2], avail[2], used[2] */

/* A row of VIRTIO_QUEUE_MAX entries, of which those after the device's last queue are zero. */
typedef struct WireRow {
    uint8_t *bytes;          /* behind VirtIOWire */
    size_t used, total;      /* bytes here, bytes on the wire */
} WireRow;

typedef struct WireQueue {
    uint32_t num, align;
    uint64_t desc;
    uint16_t last_avail_idx;
} WireQueue;

struct VirtIOWire {
    VirtIODevice *vdev;
    uint32_t features_low;
    uint64_t features;
    uint32_t config_len;
    uint8_t config[VIRTIO_CONFIG_MAX];
    uint32_t nr_queues;
    WireRow rings;           /* be64 avail, used */
    WireRow ringsize;        /* be32 */
    uint32_t mmio_features[2];
    WireRow mmio_queues;     /* MMIO_QUEUE_BYTES each */
    bool has_features, has_rings, has_ringsize, has_mmio;
    WireQueue queues[VIRTIO_QUEUE_MAX]; /* not cleared: nr_queues of them hold */
};

static uint8_t *make_row(WireRow *row, uint8_t *bytes, unsigned queues, size_t size)
{
    *row = (WireRow){ bytes, queues * size, VIRTIO_QUEUE_MAX * size };
    return bytes + row->used;
}

/* Most of it is never touched: it costs the memory of the queues that there are. */
static VirtIOWire *wire_new(VirtIODevice *vdev)
{
    const size_t rows = (16 + 4 + MMIO_QUEUE_BYTES) * vdev->nr_queues;
    VirtIOWire *w = g_malloc(sizeof(*w) + rows);
    uint8_t *at = (uint8_t *)(w + 1);

    memset(w, 0, offsetof(VirtIOWire, queues));
    memset(at, 0, rows);
    w->vdev = vdev;
    at = make_row(&w->rings, at, vdev->nr_queues, 16);
    at = make_row(&w->ringsize, at, vdev->nr_queues, 4);
    make_row(&w->mmio_queues, at, vdev->nr_queues, MMIO_QUEUE_BYTES);
    return w;
}

void virtio_wire_free(VirtIODevice *vdev)
{
    g_clear_pointer(&vdev->wire, g_free);
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    memcpy(p, &v, 4);
}

static void put64(uint8_t *p, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    memcpy(p, &v, 8);
}

static bool is_modern(const VirtIODevice *vdev)
{
    return vdev->tops && vdev->tops->modern;
}

static uint32_t queues_used(const VirtIODevice *vdev, uint64_t features)
{
    return vdev->class->queues_used ? vdev->class->queues_used(vdev, features) : vdev->nr_queues;
}

uint32_t virtio_wire_features(const VirtIODevice *vdev)
{
    return vdev->wire->features_low;
}

/* ---- save ---- */

static void put_mmio_queue(uint8_t *p, const VirtQueue *vq)
{
    p[0] = vq->pending.num >> 8;
    p[1] = vq->pending.num;
    p[2] = vq->enabled;
    for (int i = 0; i < 2; i++) {
        put32(p + 3 + 4 * i, vq->pending.desc[i]);
        put32(p + 11 + 4 * i, vq->pending.avail[i]);
        put32(p + 19 + 4 * i, vq->pending.used[i]);
    }
}

static bool base_pre_save(void *opaque, GError **errp)
{
    VirtIODevice *vdev = opaque;
    VirtIOWire *w = wire_new(vdev);
    LOCK_GUARD(&vdev->lock);

    virtio_wire_free(vdev);
    vdev->wire = w;
    w->features = vdev->guest_features;
    w->features_low = (uint32_t)vdev->guest_features;
    w->config_len = vdev->config_len;
    if (vdev->class->get_config) {
        vdev->class->get_config(vdev, w->config);
    }
    w->nr_queues = queues_used(vdev, vdev->guest_features);
    w->mmio_features[0] = (uint32_t)vdev->guest_features;
    w->mmio_features[1] = vdev->guest_features >> 32;
    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        const VirtQueue *vq = &vdev->vqs[i];

        w->queues[i] = (WireQueue){ vq->num, vq->align, vq->desc, vq->last_avail_idx };
        w->has_ringsize |= vq->num != vq->num_default;
        put32(w->ringsize.bytes + 4 * i, vq->num_default);
        put64(w->rings.bytes + 16 * i, vq->avail);
        put64(w->rings.bytes + 16 * i + 8, vq->used);
        put_mmio_queue(w->mmio_queues.bytes + MMIO_QUEUE_BYTES * i, vq);
    }
    return true;
}

static void tail_post_save(void *opaque)
{
    virtio_wire_free(opaque);
}

/* ---- load ---- */

static bool base_pre_load(void *opaque, GError **errp)
{
    VirtIODevice *vdev = opaque;

    virtio_wire_free(vdev);
    vdev->wire = wire_new(vdev);
    /* What the subsections bring when they are there. */
    vdev->broken = false;
    vdev->started = false;
    return true;
}

/* What is sent of the configuration is computed here as well; only that there is as much counts. */
static bool check_counts(void *opaque, int version_id, GError **errp)
{
    VirtIOWire *w = opaque;
    VirtIODevice *vdev = w->vdev;

    uint32_t expected = queues_used(vdev, w->features_low);

    if (w->nr_queues != expected) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "nr_queues: the source has %u queues, this device "
                       "%u; configure both ends alike (num-queues=, max_ports=)", w->nr_queues,
                       expected);
    }
    for (unsigned i = 0; i < w->nr_queues; i++) {
        const WireQueue *q = &w->queues[i];

        if (!q->num || q->num > VIRTQUEUE_MAX_SIZE || (q->num & (q->num - 1))) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "num: queue %u has %u entries, which is not a "
                           "power of two up to %u", i, q->num, VIRTQUEUE_MAX_SIZE);
        }
        if (q->align < 4 || (q->align & (q->align - 1))) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "align: queue %u has alignment %u, which is "
                           "not a power of two from 4 on", i, q->align);
        }
        if (!q->desc && q->last_avail_idx) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "last_avail_idx: queue %u has no ring, but an "
                           "index of %u", i, q->last_avail_idx);
        }
    }
    return true;
}

static bool load_features(VirtIODevice *vdev, GError **errp)
{
    VirtIOWire *w = vdev->wire;
    uint64_t features = w->has_features ? w->features : w->features_low;
    uint64_t excess = features & ~vdev->host_features;

    /* Without VERSION_1 the high word is not the guest's. */
    if ((uint32_t)features != w->features_low) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "64bit_features: 0x%" PRIx64 " does not go with "
                       "guest_features 0x%x", features, w->features_low);
    }
    if (excess) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "guest_features: the guest uses features 0x%" PRIx64
                       " which this device does not offer (0x%" PRIx64 "); configure both ends "
                       "alike", excess, vdev->host_features);
    }
    vdev->guest_features = features;
    return true;
}

static bool load_mmio_queue(VirtQueue *vq, const uint8_t *p, GError **errp)
{
    if (p[2] > 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "vqs: queue %u: enabled is %u, not 0 or 1",
                       vq->index, p[2]);
    }
    vq->pending.num = get16(p);
    vq->enabled = p[2];
    for (int i = 0; i < 2; i++) {
        vq->pending.desc[i] = get32(p + 3 + 4 * i);
        vq->pending.avail[i] = get32(p + 11 + 4 * i);
        vq->pending.used[i] = get32(p + 19 + 4 * i);
    }
    return true;
}

static bool load_queue(VirtIODevice *vdev, unsigned i, GError **errp)
{
    VirtIOWire *w = vdev->wire;
    VirtQueue *vq = &vdev->vqs[i];

    virtqueue_reset(vq);
    if (i >= w->nr_queues) {
        return true;
    }
    vq->num = w->queues[i].num;
    vq->align = w->queues[i].align;
    vq->desc = w->queues[i].desc;
    vq->last_avail_idx = vq->shadow_avail_idx = w->queues[i].last_avail_idx;
    vq->fresh = vq->desc != 0;
    if (w->has_ringsize) {
        uint32_t n = get32(w->ringsize.bytes + 4 * i);

        if (!n || n > VIRTQUEUE_MAX_SIZE || (n & (n - 1))) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "ringsize: queue %u: %u", i, n);
        }
    }
    if (virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
        vq->avail = get64(w->rings.bytes + 16 * i);
        vq->used = get64(w->rings.bytes + 16 * i + 8);
    } else if (vq->desc) {
        virtqueue_layout_legacy(vq);
    }
    return !w->has_mmio ||
           load_mmio_queue(vq, w->mmio_queues.bytes + MMIO_QUEUE_BYTES * i, errp);
}

static bool check_status(const VirtIODevice *vdev, GError **errp)
{
    const uint8_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                          VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK |
                          VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

    if (vdev->status & ~known) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "status: 0x%x has bits that virtio does not know",
                       vdev->status);
    }
    if (vdev->isr & ~(VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "isr: 0x%x has bits that virtio does not know",
                       vdev->isr);
    }
    if (vdev->queue_sel >= VIRTIO_QUEUE_MAX || vdev->guest_page_shift > 31) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "queue_sel %u or guest_page_shift %u is out of "
                       "range", vdev->queue_sel, vdev->guest_page_shift);
    }
    return true;
}

/* Lock held. */
static bool decode_wire(VirtIODevice *vdev, GError **errp)
{
    VirtIOWire *w = vdev->wire;

    if (is_modern(vdev) != w->has_mmio) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "extra_state: the source's transport is of version "
                       "%d, this one of version %d; set -global virtio-mmio.force-legacy= alike",
                       w->has_mmio ? 2 : 1, is_modern(vdev) ? 2 : 1);
    }
    if (!check_status(vdev, errp) || !load_features(vdev, errp)) {
        return false;
    }
    if (virtio_has_feature(vdev, VIRTIO_F_VERSION_1) && !w->has_rings) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "virtqueues: missing, though the guest uses "
                       "VERSION_1");
    }
    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        if (!load_queue(vdev, i, errp)) {
            return false;
        }
    }
    vdev->started |= (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
    if (vdev->class->set_features) {
        vdev->class->set_features(vdev);
    }
    return true;
}

/* The wire form goes now, not with the batch: the next device's has the same memory then, which the
 * kernel need not zero. */
static bool tail_post_load(void *opaque, int version_id, GError **errp)
{
    VirtIODevice *vdev = opaque;
    LOCK_GUARD(&vdev->lock);
    bool ok = decode_wire(vdev, errp);

    virtio_wire_free(vdev);
    return ok;
}

static bool tail_apply(void *opaque, GError **errp)
{
    return virtio_ioeventfd_apply(opaque, errp);
}

/* With postcopy the guest's rings may not be here yet, and whoever loads must not wait for them:
 * they are looked at when the guest runs. */
static bool check_rings(VirtQueue *vq, GError **errp)
{
    MigrationState *ms = vq->vdev->machine->migration;

    return gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM) || virtqueue_refresh(vq, errp);
}

static bool tail_post_commit(void *opaque, GError **errp)
{
    VirtIODevice *vdev = opaque;
    LOCK_GUARD(&vdev->lock);

    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        VirtQueue *vq = &vdev->vqs[i];

        if (vq->desc && !vdev->broken && (!virtqueue_map(vq, errp) || !check_rings(vq, errp))) {
            return false;
        }
    }
    if (vdev->tops) {
        vdev->tops->sync_irq(vdev->transport);
    }
    return true;
}

/* ---- the descriptions ---- */

static void put_row(VMStateWriter *w, const void *member, const VMStateField *field)
{
    const WireRow *row = member;

    vmstate_put_bytes(w, row->bytes, row->used);
    vmstate_put_zeros(w, row->total - row->used);
}

static bool get_row(VMStateReader *r, void *member, const VMStateField *field, GError **errp)
{
    const WireRow *row = member;

    return vmstate_get_bytes(r, row->bytes, row->used, errp) &&
           vmstate_skip(r, row->total - row->used, errp);
}

#define VMSTATE_WIRE_ROW(NAME, F) \
    { .name = NAME, .kind = VMS_CUSTOM, .type = "buffer", .size = sizeof(WireRow), \
      .offset = vmstate_type_check(VirtIOWire, F, WireRow), .put = put_row, .get = get_row }

static const VMStateField queue_fields[] = {
    VMSTATE_UINT32(num, WireQueue),
    VMSTATE_UINT32(align, WireQueue),
    VMSTATE_UINT64(desc, WireQueue),
    VMSTATE_UINT16(last_avail_idx, WireQueue),
    VMSTATE_END,
};

static const VMStateDescription vmstate_queue = {
    .name = "virtqueue",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = queue_fields,
};

static const VMStateField wire_fields[] = {
    { .name = "guest_features", .kind = VMS_U32, .size = 4,
      .offset = vmstate_type_check(VirtIOWire, features_low, uint32_t) },
    VMSTATE_UINT32(config_len, VirtIOWire),
    VMSTATE_VARRAY(config, VirtIOWire, config_len, uint8_t, VMS_U8),
    VMSTATE_UINT32(nr_queues, VirtIOWire),
    VMSTATE_STRUCT_VARRAY(queues, VirtIOWire, nr_queues, vmstate_queue, WireQueue),
    VMSTATE_END,
};

static const VMStateDescription vmstate_wire = {
    .name = "virtio-queues",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = check_counts,
    .fields = wire_fields,
};

static void put_isr(VMStateWriter *w, const void *member, const VMStateField *field)
{
    vmstate_put_u8(w, (uint8_t)__atomic_load_n((const uint32_t *)member, __ATOMIC_SEQ_CST));
}

static bool get_isr(VMStateReader *r, void *member, const VMStateField *field, GError **errp)
{
    uint8_t v;

    if (!vmstate_get_u8(r, &v, errp)) {
        return false;
    }
    __atomic_store_n((uint32_t *)member, v, __ATOMIC_SEQ_CST);
    return true;
}

static const VMStateField base_fields[] = {
    VMSTATE_UINT32(host_features_sel, VirtIODevice),
    VMSTATE_UINT32(guest_features_sel, VirtIODevice),
    VMSTATE_UINT32(guest_page_shift, VirtIODevice),
    VMSTATE_UINT8(status, VirtIODevice),
    { .name = "isr", .kind = VMS_CUSTOM, .offset = offsetof(VirtIODevice, isr), .size = 1,
      .type = "uint8", .put = put_isr, .get = get_isr },
    VMSTATE_UINT16(queue_sel, VirtIODevice),
    VMSTATE_STRUCT_POINTER(wire, VirtIODevice, vmstate_wire, VirtIOWire),
    VMSTATE_END,
};

const VMStateDescription vmstate_virtio_base = {
    .name = "virtio-base",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = base_pre_save,
    .pre_load = base_pre_load,
    .fields = base_fields,
};

/* Subsections. Each but the flags marks in the wire form that it was there. */

static bool note_features(void *opaque, int version_id, GError **errp)
{
    ((VirtIOWire *)opaque)->has_features = true;
    return true;
}

static const VMStateField features_wire_fields[] = {
    VMSTATE_UINT64(features, VirtIOWire),
    VMSTATE_END,
};

static const VMStateDescription vmstate_features_wire = {
    .name = "guest_features", .version_id = 1, .minimum_version_id = 1,
    .post_load = note_features, .fields = features_wire_fields,
};

static const VMStateField features_fields[] = {
    VMSTATE_STRUCT_POINTER(wire, VirtIODevice, vmstate_features_wire, VirtIOWire),
    VMSTATE_END,
};

static const VMStateDescription vmstate_64bit_features = {
    .name = "virtio/64bit_features", .version_id = 1, .minimum_version_id = 1,
    .fields = features_fields,
};

static bool note_rings(void *opaque, int version_id, GError **errp)
{
    ((VirtIOWire *)opaque)->has_rings = true;
    return true;
}

static const VMStateField rings_wire_fields[] = {
    VMSTATE_WIRE_ROW("rings", rings),
    VMSTATE_END,
};

static const VMStateDescription vmstate_rings_wire = {
    .name = "rings", .version_id = 1, .minimum_version_id = 1,
    .post_load = note_rings, .fields = rings_wire_fields,
};

static const VMStateField rings_fields[] = {
    VMSTATE_STRUCT_POINTER(wire, VirtIODevice, vmstate_rings_wire, VirtIOWire),
    VMSTATE_END,
};

static bool modern_needed(void *opaque)
{
    return is_modern(opaque);
}

static const VMStateDescription vmstate_virtqueues = {
    .name = "virtio/virtqueues", .version_id = 1, .minimum_version_id = 1,
    .needed = modern_needed, .fields = rings_fields,
};

static bool note_ringsize(void *opaque, int version_id, GError **errp)
{
    ((VirtIOWire *)opaque)->has_ringsize = true;
    return true;
}

static const VMStateField ringsize_wire_fields[] = {
    VMSTATE_WIRE_ROW("ringsize", ringsize),
    VMSTATE_END,
};

static const VMStateDescription vmstate_ringsize_wire = {
    .name = "num_default", .version_id = 1, .minimum_version_id = 1,
    .post_load = note_ringsize, .fields = ringsize_wire_fields,
};

static const VMStateField ringsize_fields[] = {
    VMSTATE_STRUCT_POINTER(wire, VirtIODevice, vmstate_ringsize_wire, VirtIOWire),
    VMSTATE_END,
};

static bool ringsize_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->wire->has_ringsize;
}

static const VMStateDescription vmstate_ringsize = {
    .name = "virtio/ringsize", .version_id = 1, .minimum_version_id = 1,
    .needed = ringsize_needed, .fields = ringsize_fields,
};

static bool broken_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->broken;
}

static const VMStateField broken_fields[] = {
    VMSTATE_BOOL(broken, VirtIODevice),
    VMSTATE_END,
};

static const VMStateDescription vmstate_broken = {
    .name = "virtio/broken", .version_id = 1, .minimum_version_id = 1,
    .needed = broken_needed, .fields = broken_fields,
};

static bool note_mmio(void *opaque, int version_id, GError **errp)
{
    ((VirtIOWire *)opaque)->has_mmio = true;
    return true;
}

static const VMStateField mmio_wire_fields[] = {
    VMSTATE_UINT32_ARRAY(mmio_features, VirtIOWire, 2),
    VMSTATE_WIRE_ROW("vqs", mmio_queues),
    VMSTATE_END,
};

static const VMStateDescription vmstate_mmio_wire = {
    .name = "mmio", .version_id = 1, .minimum_version_id = 1,
    .post_load = note_mmio, .fields = mmio_wire_fields,
};

static const VMStateField mmio_state_fields[] = {
    VMSTATE_STRUCT_POINTER(wire, VirtIODevice, vmstate_mmio_wire, VirtIOWire),
    VMSTATE_END,
};

static const VMStateDescription vmstate_mmio_state = {
    .name = "virtio_mmio/state", .version_id = 1, .minimum_version_id = 1,
    .fields = mmio_state_fields,
};

static const VMStateField no_fields[] = { VMSTATE_END };
static const VMStateDescription *const mmio_subsections[] = { &vmstate_mmio_state, NULL };

static const VMStateDescription vmstate_mmio = {
    .name = "virtio_mmio", .version_id = 1, .minimum_version_id = 1,
    .fields = no_fields, .subsections = mmio_subsections,
};

static const VMStateField extra_fields[] = {
    { .name = "extra_state", .kind = VMS_STRUCT, .vmsd = &vmstate_mmio,
      .size = sizeof(VirtIODevice) },
    VMSTATE_END,
};

static const VMStateDescription vmstate_extra_state = {
    .name = "virtio/extra_state", .version_id = 1, .minimum_version_id = 1,
    .needed = modern_needed, .fields = extra_fields,
};

static bool started_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->started;
}

static const VMStateField started_fields[] = {
    VMSTATE_BOOL(started, VirtIODevice),
    VMSTATE_END,
};

static const VMStateDescription vmstate_started = {
    .name = "virtio/started", .version_id = 1, .minimum_version_id = 1,
    .needed = started_needed, .fields = started_fields,
};

static const VMStateDescription *const tail_subsections[] = {
    &vmstate_64bit_features, &vmstate_virtqueues, &vmstate_ringsize, &vmstate_broken,
    &vmstate_extra_state, &vmstate_started, NULL,
};

const VMStateDescription vmstate_virtio_tail = {
    .name = "virtio",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_save = tail_post_save,
    .post_load = tail_post_load,
    .apply = tail_apply,
    .post_commit = tail_post_commit,
    .fields = no_fields,
    .subsections = tail_subsections,
};
