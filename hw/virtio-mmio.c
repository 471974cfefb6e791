/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of virtio-mmio, version 1 (legacy) and 2 (virtio 1.2, 4.2). vCPU threads with the
 * machine lock; the device's lock is taken for each access.
 *
 * The line is raised while `isr` has a bit set (virtio-line.c). A kick is a write to the queue's
 * eventfd, from here as from KVM.
 */
#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "error.h"
#include "lock.h"
#include "virtio-internal.h"
#include "virtio-mmio.h"

#define MMIO_MAGIC 0x74726976u   /* "virt" */
#define MMIO_VENDOR 0x554d4551u  /* what QEMU's transports say */
#define QUEUE_RESET 0x0c0        /* virtio 1.2; not in the kernel's header */
#define SHM_LEN_LOW 0x0b0
#define SHM_BASE_HIGH 0x0bc

struct VirtIOMMIO {
    uint64_t gpa;
    VirtIOLine *line;
    bool holds_line;             /* the line's */
    bool legacy, ioeventfd;
    MemoryRegion *window;
    VirtIODevice *vdev;
    GDestroyNotify destroy;
};

/* ---- interrupt ---- */

static void mmio_update_irq(void *opaque)
{
    VirtIOMMIO *t = opaque;

    virtio_line_update(t->line, &t->holds_line, &t->vdev->isr, false);
}

static MemoryRegion *mmio_kick_region(void *opaque, uint64_t *offset)
{
    VirtIOMMIO *t = opaque;

    *offset = VIRTIO_MMIO_QUEUE_NOTIFY;
    return t->ioeventfd ? t->window : NULL;
}

static const VirtIOTransportOps legacy_ops = {
    .notify = mmio_update_irq, .sync_irq = mmio_update_irq, .kick_region = mmio_kick_region,
};
static const VirtIOTransportOps modern_ops = {
    .notify = mmio_update_irq, .sync_irq = mmio_update_irq, .kick_region = mmio_kick_region,
    .modern = true,
};

/* ---- configuration space ---- */

static uint64_t config_read(VirtIODevice *vdev, uint64_t offset, unsigned size)
{
    uint8_t config[VIRTIO_CONFIG_MAX] = { 0 };
    uint64_t v = 0;

    if (offset + size > vdev->config_len) {
        return UINT64_MAX;
    }
    if (vdev->class->get_config) {
        vdev->class->get_config(vdev, config);
    }
    memcpy(&v, config + offset, size);
    return v;
}

static void config_write(VirtIODevice *vdev, uint64_t offset, uint64_t value, unsigned size)
{
    uint8_t config[VIRTIO_CONFIG_MAX] = { 0 };

    if (offset + size > vdev->config_len || !vdev->class->set_config) {
        return;
    }
    if (vdev->class->get_config) {
        vdev->class->get_config(vdev, config);
    }
    memcpy(config + offset, &value, size);
    vdev->class->set_config(vdev, config);
}

/* ---- reads ---- */

/* What a guest reads at each interrupt is read without the device's lock: its I/O thread may wait
 * for a page with it, and the reader here has the machine lock. */
static bool atomic_read(const VirtIODevice *vdev, uint64_t offset, uint32_t *v)
{
    switch (offset) {
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        *v = __atomic_load_n(&vdev->isr, __ATOMIC_SEQ_CST);
        return true;
    case VIRTIO_MMIO_STATUS:
        *v = __atomic_load_n(&vdev->status, __ATOMIC_RELAXED);
        return true;
    case VIRTIO_MMIO_CONFIG_GENERATION:
        *v = __atomic_load_n(&vdev->config_generation, __ATOMIC_RELAXED);
        return true;
    default:
        return false;
    }
}

static uint32_t empty_read(const VirtIOMMIO *t, uint64_t offset)
{
    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        return MMIO_MAGIC;
    case VIRTIO_MMIO_VERSION:
        return t->legacy ? 1 : 2;
    case VIRTIO_MMIO_VENDOR_ID:
        return MMIO_VENDOR;
    default:
        return 0; /* device id 0: nothing here */
    }
}

static uint32_t host_features(const VirtIOMMIO *t)
{
    const VirtIODevice *vdev = t->vdev;

    if (t->legacy) {
        return vdev->host_features_sel ? 0 : (uint32_t)vdev->host_features;
    }
    return vdev->host_features_sel > 1 ? 0
               : (uint32_t)(vdev->host_features >> (32 * vdev->host_features_sel));
}

static uint32_t legacy_read(VirtIOMMIO *t, const VirtQueue *vq, uint64_t offset)
{
    if (offset == VIRTIO_MMIO_QUEUE_PFN && vq) {
        return (uint32_t)(vq->desc >> t->vdev->guest_page_shift);
    }
    return 0;
}

static uint32_t modern_read(VirtIOMMIO *t, const VirtQueue *vq, uint64_t offset)
{
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_READY:
        return vq ? vq->enabled : 0;
    default:
        /* No shared memory regions: all ones. */
        return offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH ? UINT32_MAX : 0;
    }
}

static uint32_t reg_read(VirtIOMMIO *t, uint64_t offset)
{
    VirtIODevice *vdev = t->vdev;
    const VirtQueue *vq = virtio_queue(vdev, vdev->queue_sel);

    switch (offset) {
    case VIRTIO_MMIO_DEVICE_ID:
        return vdev->class->device_id;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return host_features(t);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return vq ? vq->num_max : 0;
    case VIRTIO_MMIO_MAGIC_VALUE:
    case VIRTIO_MMIO_VERSION:
    case VIRTIO_MMIO_VENDOR_ID:
        return empty_read(t, offset);
    default:
        return t->legacy ? legacy_read(t, vq, offset) : modern_read(t, vq, offset);
    }
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    VirtIOMMIO *t = opaque;
    uint32_t v;

    if (!t->vdev) {
        return size == 4 ? empty_read(t, offset) : 0;
    }
    if (size == 4 && atomic_read(t->vdev, offset, &v)) {
        return v;
    }
    LOCK_GUARD(&t->vdev->lock);
    if (offset >= VIRTIO_MMIO_CONFIG) {
        return config_read(t->vdev, offset - VIRTIO_MMIO_CONFIG, size);
    }
    return size == 4 ? reg_read(t, offset) : 0;
}

/* ---- writes ---- */

static bool may_negotiate(const VirtIODevice *vdev)
{
    return !(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void write_features(VirtIOMMIO *t, uint32_t value)
{
    VirtIODevice *vdev = t->vdev;
    unsigned sel = vdev->guest_features_sel;

    if (t->legacy) {
        if (!sel) {
            virtio_set_features(vdev, value & vdev->host_features);
        }
    } else if (sel < 2 && may_negotiate(vdev)) {
        /* Checked as a whole when the guest says FEATURES_OK. */
        vdev->guest_features &= ~((uint64_t)UINT32_MAX << (32 * sel));
        vdev->guest_features |= (uint64_t)value << (32 * sel);
    }
}

static bool good_num(const VirtQueue *vq, uint32_t num)
{
    return num && num <= vq->num_max && !(num & (num - 1));
}

static void legacy_write(VirtIOMMIO *t, VirtQueue *vq, uint64_t offset, uint32_t value)
{
    VirtIODevice *vdev = t->vdev;

    switch (offset) {
    case VIRTIO_MMIO_GUEST_PAGE_SIZE:
        if (value && !(value & (value - 1))) {
            vdev->guest_page_shift = __builtin_ctz(value);
        }
        break;
    case VIRTIO_MMIO_QUEUE_NUM:
        if (vq && good_num(vq, value) && !vq->desc) {
            vq->num = value;
        }
        break;
    case VIRTIO_MMIO_QUEUE_ALIGN:
        if (vq && value >= 4 && !(value & (value - 1)) && !vq->desc) {
            vq->align = value;
        }
        break;
    case VIRTIO_MMIO_QUEUE_PFN:
        if (!value) {
            virtio_reset(vdev);
        } else if (vq) {
            vq->desc = (uint64_t)value << vdev->guest_page_shift;
            virtqueue_layout_legacy(vq);
            virtqueue_map(vq, NULL);
        }
        break;
    }
}

/* The guest says that the addresses it wrote are complete, or takes the queue back. */
static void set_ready(VirtIODevice *vdev, VirtQueue *vq, bool ready)
{
    if (!ready) {
        vq->enabled = false;
        virtqueue_unmap(vq);
    } else if (!vq->enabled && (vdev->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
        vq->num = vq->pending.num ? vq->pending.num : vq->num_default;
        vq->desc = (uint64_t)vq->pending.desc[1] << 32 | vq->pending.desc[0];
        vq->avail = (uint64_t)vq->pending.avail[1] << 32 | vq->pending.avail[0];
        vq->used = (uint64_t)vq->pending.used[1] << 32 | vq->pending.used[0];
        vq->enabled = virtqueue_map(vq, NULL);
    }
}

static uint32_t *pending_address(VirtQueue *vq, uint64_t offset)
{
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
        return &vq->pending.desc[0];
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        return &vq->pending.desc[1];
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
        return &vq->pending.avail[0];
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        return &vq->pending.avail[1];
    case VIRTIO_MMIO_QUEUE_USED_LOW:
        return &vq->pending.used[0];
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        return &vq->pending.used[1];
    default:
        return NULL;
    }
}

static void modern_write(VirtIOMMIO *t, VirtQueue *vq, uint64_t offset, uint32_t value)
{
    uint32_t *p = vq ? pending_address(vq, offset) : NULL;

    if (p) {
        *p = value;
    } else if (vq && offset == VIRTIO_MMIO_QUEUE_NUM && good_num(vq, value)) {
        vq->pending.num = value;
    } else if (vq && offset == VIRTIO_MMIO_QUEUE_READY) {
        set_ready(t->vdev, vq, value & 1);
    } else if (vq && offset == QUEUE_RESET && value == 1 &&
               virtio_has_feature(t->vdev, VIRTIO_F_RING_RESET)) {
        if (t->vdev->class->drain) {
            t->vdev->class->drain(t->vdev);
        }
        virtqueue_reset(vq);
    }
}

static void reg_write(VirtIOMMIO *t, uint64_t offset, uint32_t value)
{
    VirtIODevice *vdev = t->vdev;
    VirtQueue *vq = virtio_queue(vdev, vdev->queue_sel);

    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        vdev->host_features_sel = t->legacy ? value : value != 0;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        vdev->guest_features_sel = t->legacy ? value : value != 0;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        write_features(t, value);
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        if (value < VIRTIO_QUEUE_MAX) {
            vdev->queue_sel = value;
        }
        break;
    case VIRTIO_MMIO_STATUS:
        virtio_set_status(vdev, value);
        break;
    default:
        if (t->legacy) {
            legacy_write(t, vq, offset, value);
        } else {
            modern_write(t, vq, offset, value);
        }
    }
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    VirtIOMMIO *t = opaque;

    if (!t->vdev) {
        return;
    }
    if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
        if (size == 4 && value < t->vdev->nr_queues) {
            virtio_queue_kick(&t->vdev->vqs[value]);
        }
        return;
    }
    if (offset == VIRTIO_MMIO_INTERRUPT_ACK) { /* without the lock, as in atomic_read() */
        __atomic_fetch_and(&t->vdev->isr, ~(uint32_t)value, __ATOMIC_SEQ_CST);
        virtio_line_update(t->line, &t->holds_line, &t->vdev->isr, true);
        return;
    }
    LOCK_GUARD(&t->vdev->lock);
    if (offset >= VIRTIO_MMIO_CONFIG) {
        config_write(t->vdev, offset - VIRTIO_MMIO_CONFIG, value, size);
    } else if (size == 4) {
        reg_write(t, offset, (uint32_t)value);
    }
}

static const MmioOps mmio_ops = { mmio_read, mmio_write };

/* ---- life ---- */

static void mmio_reset(void *opaque)
{
    VirtIOMMIO *t = opaque;

    if (t->vdev) {
        LOCK_GUARD(&t->vdev->lock);
        virtio_reset(t->vdev);
        t->vdev->guest_page_shift = 0;
    }
}

static void mmio_free(void *opaque)
{
    VirtIOMMIO *t = opaque;

    /* The window is the map's to free. KVM drops the ioeventfds with the VM, all at once. */
    if (t->vdev) {
        virtio_cleanup(t->vdev);
        t->destroy(t->vdev);
    }
    g_free(t);
}

VirtIOMMIO *virtio_mmio_new(Machine *m, uint64_t gpa, VirtIOLine *line,
                            const VirtIOMMIOProps *props, GError **errp)
{
    VirtIOMMIO *t = g_new0(VirtIOMMIO, 1);

    t->gpa = gpa;
    t->line = line;
    t->legacy = props->legacy;
    t->ioeventfd = props->ioeventfd;
    t->window = memory_region_new_mmio(m->memory, "virtio-mmio", &mmio_ops, t,
                                       VIRTIO_MMIO_SIZE);
    machine_add_device(m, t, mmio_free, mmio_reset);
    return memory_region_add(memory_map_root(m->memory), gpa, t->window, errp) ? t : NULL;
}

bool virtio_mmio_is_free(const VirtIOMMIO *t)
{
    return !t->vdev;
}

bool virtio_mmio_is_legacy(const VirtIOMMIO *t)
{
    return t->legacy;
}

VirtIODevice *virtio_mmio_device(const VirtIOMMIO *t)
{
    return t->vdev;
}

bool virtio_mmio_plug(VirtIOMMIO *t, VirtIODevice *vdev, GDestroyNotify destroy, GError **errp)
{
    g_autofree char *idstr = g_strdup_printf("virtio-mmio@%016" PRIx64 "/%s", t->gpa,
                                             vdev->class->name);

    vdev->tops = t->legacy ? &legacy_ops : &modern_ops;
    vdev->transport = t;
    vdev->host_features |= 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
    if (t->legacy) {
        vdev->host_features |= 1ull << VIRTIO_F_NOTIFY_ON_EMPTY;
    } else {
        vdev->host_features |= 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_RESET;
        vdev->host_features &= ~(1ull << VIRTIO_F_ANY_LAYOUT);
    }
    if (!virtio_plug(vdev, idstr, errp)) {
        return false;
    }
    t->destroy = destroy;
    t->vdev = vdev;
    return true;
}
