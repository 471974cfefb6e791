/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon: the guest gives pages away and takes them back (virtio 1.2, 5.5). Queues:
 * inflate, deflate, statistics (a buffer that the host keeps until it wants new ones), and with
 * free-page-reporting one for pages that the guest does not use at the moment.
 *
 * I/O thread with the device's lock, but for the target and the guest's answer (`num_pages`,
 * `actual`), which monitors read and set at any time: atomics. While a postcopy brings pages in,
 * none are given back: a page that is missing again would be asked for at a source that has
 * forgotten it.
 * Section virtio-balloon version 1: num_pages, actual, and subsections of the device.
 */
#include "virtio-balloon.h"

#include <linux/virtio_balloon.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "virtio-props.h"

#define BALLOON_QUEUE_SIZE 128
#define REPORT_QUEUE_SIZE 32
#define BALLOON_CONFIG_BYTES 16
#define PFN_SHIFT VIRTIO_BALLOON_PFN_SHIFT
#define PFN_SIZE (UINT64_C(1) << PFN_SHIFT)

const char *const virtio_balloon_props[] = {
    "deflate-on-oom", "free-page-reporting", "page-poison", "iothread", NULL,
};

typedef struct VirtIOBalloon {
    VirtIODevice vdev;
    MachineBalloon ops;
    uint32_t num_pages, actual;  /* atomic; pages of 4 KiB in the balloon: wanted, reached */
    uint32_t poison_val;
    bool reporting;
    VirtQueueElement *stats;     /* the guest's buffer, held */
} VirtIOBalloon;

enum { INFLATE, DEFLATE, STATS, REPORTING };

/* ---- giving pages back ---- */

/* Main memory only, of small pages, and not what is a file's content. */
static bool may_discard(Machine *m, const uint8_t *host, uint64_t len)
{
    const RAMBlockInfo *ram = gw_ram_block_info(m->ram_block);

    return host && host >= ram->host && len <= ram->used_length &&
           (uint64_t)(host - ram->host) <= ram->used_length - len && ram->page_size == PFN_SIZE &&
           !(ram->flags & RAM_BLOCK_NAMED_FILE) && !((uintptr_t)host % PFN_SIZE) &&
           !(len % PFN_SIZE);
}

static void discard(Machine *m, uint64_t gpa, uint8_t *host, uint64_t len)
{
    bool shared = gw_ram_block_info(m->ram_block)->flags & RAM_BLOCK_SHARED;
    int advice = shared ? MADV_REMOVE : MADV_DONTNEED;

    if (may_discard(m, host, len) && madvise(host, len, advice) == 0) {
        memory_mark_dirty(m->memory, gpa, len);
    }
}

/* A list of page numbers; pages in a row are discarded at once. */
static void inflate(VirtIOBalloon *s, const VirtQueueElement *e)
{
    Machine *m = s->vdev.machine;
    uint64_t start = 0, len = 0;
    uint32_t pfn;

    if (virtio_postcopy_runs(m)) {
        return;
    }
    for (uint64_t at = 0; virtio_iov_read(e->out_sg, e->out_num, at, &pfn, 4) == 4; at += 4) {
        uint64_t gpa = (uint64_t)GUINT32_FROM_LE(pfn) << PFN_SHIFT;

        if (len && gpa == start + len && memory_host_ptr(m->memory, start, len + PFN_SIZE)) {
            len += PFN_SIZE;
            continue;
        }
        if (len) {
            discard(m, start, memory_host_ptr(m->memory, start, len), len);
        }
        start = gpa;
        len = PFN_SIZE;
    }
    if (len) {
        discard(m, start, memory_host_ptr(m->memory, start, len), len);
    }
}

/* The buffers themselves are what is free; with poison only if that is zero, as the host's is. */
static void report(VirtIOBalloon *s, const VirtQueueElement *e)
{
    if (virtio_postcopy_runs(s->vdev.machine) || s->poison_val) {
        return;
    }
    for (unsigned i = 0; i < e->in_num; i++) {
        discard(s->vdev.machine, e->in_pieces[i].gpa, e->in_sg[i].iov_base, e->in_pieces[i].len);
    }
}

static void balloon_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;
    unsigned which = virtio_queue_index(vq);
    VirtQueueElement *e;

    while (virtio_is_live(vdev) && (e = virtqueue_pop(vq, sizeof(*e)))) {
        if (which == STATS) {
            g_free(s->stats);
            s->stats = e; /* held: nobody asks for newer ones */
            break;
        }
        if (which == INFLATE) {
            inflate(s, e);
        } else if (which == REPORTING) {
            report(s, e);
        }
        virtqueue_push(vq, e, 0);
        virtio_notify(vdev, vq);
        g_free(e);
    }
}

/* The guest's statistics buffer goes back into its queue: the other side takes it out again. */
static void balloon_drain(VirtIODevice *vdev)
{
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;

    if (s->stats) {
        virtqueue_unpop(virtio_queue(vdev, STATS), s->stats);
        g_clear_pointer(&s->stats, g_free);
    }
}

/* ---- configuration space ---- */

static void balloon_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;
    struct virtio_balloon_config c = {
        .num_pages = GUINT32_TO_LE(__atomic_load_n(&s->num_pages, __ATOMIC_RELAXED)),
        .actual = GUINT32_TO_LE(__atomic_load_n(&s->actual, __ATOMIC_RELAXED)),
        .poison_val = GUINT32_TO_LE(s->poison_val),
    };

    memcpy(config, &c, BALLOON_CONFIG_BYTES);
}

static uint64_t balloon_bytes(void *opaque)
{
    VirtIOBalloon *s = opaque;

    return s->vdev.machine->ram_size -
           ((uint64_t)__atomic_load_n(&s->actual, __ATOMIC_RELAXED) << PFN_SHIFT);
}

static void balloon_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;
    struct virtio_balloon_config c;
    uint32_t old = s->actual, all = (uint32_t)(vdev->machine->ram_size >> PFN_SHIFT);

    memcpy(&c, config, BALLOON_CONFIG_BYTES);
    __atomic_store_n(&s->actual, MIN(GUINT32_FROM_LE(c.actual), all), __ATOMIC_RELAXED);
    if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON)) {
        s->poison_val = GUINT32_FROM_LE(c.poison_val);
    }
    if (s->actual != old && s->ops.changed) {
        s->ops.changed(s->ops.changed_opaque, balloon_bytes(s));
    }
}

static void balloon_set_target(void *opaque, uint64_t bytes)
{
    VirtIOBalloon *s = opaque;
    uint64_t all = s->vdev.machine->ram_size;

    __atomic_store_n(&s->num_pages, (uint32_t)((all - MIN(bytes, all)) >> PFN_SHIFT),
                     __ATOMIC_RELAXED);
    virtio_notify_config(&s->vdev);
}

static void balloon_reset(VirtIODevice *vdev)
{
    ((VirtIOBalloon *)vdev)->poison_val = 0;
}

/* ---- state ---- */

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

static const VMStateDescription *const device_subsections[] = { &vmstate_poison, NULL };

static bool device_post_load(void *opaque, int version_id, GError **errp)
{
    VirtIOBalloon *s = opaque;
    uint64_t all = s->vdev.machine->ram_size >> PFN_SHIFT;

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

static const VMStateDescription vmstate_balloon = {
    .name = "virtio-balloon",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = balloon_fields,
};

static const VirtIODeviceClass balloon_class = {
    .name = "virtio-balloon",
    .device_id = VIRTIO_ID_BALLOON,
    .vmsd = &vmstate_balloon,
    .get_config = balloon_get_config,
    .set_config = balloon_set_config,
    .reset = balloon_reset,
    .handle_output = balloon_handle_output,
    .drain = balloon_drain,
};

static void balloon_free(gpointer p)
{
    VirtIOBalloon *s = p;

    if (s->vdev.machine->balloon == &s->ops) {
        s->vdev.machine->balloon = NULL;
    }
    g_free(s->stats);
    g_free(s);
}

bool virtio_balloon_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp)
{
    VirtIOBalloon *s;
    bool on_oom = false, poison = true, ok;

    if (m->balloon) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Only one balloon device is supported");
    }
    s = g_new0(VirtIOBalloon, 1);
    s->ops = (MachineBalloon){ .actual = balloon_bytes, .set_target = balloon_set_target,
                               .opaque = s };
    virtio_init(&s->vdev, m, &balloon_class, BALLOON_CONFIG_BYTES);
    s->vdev.id = g_strdup(conf->id);
    ok = virtio_prop_bool(conf, "deflate-on-oom", &on_oom, errp) &&
         virtio_prop_bool(conf, "page-poison", &poison, errp) &&
         virtio_prop_bool(conf, "free-page-reporting", &s->reporting, errp);
    for (int i = INFLATE; ok && i <= STATS; i++) {
        ok = virtio_add_queue(&s->vdev, BALLOON_QUEUE_SIZE, errp);
    }
    s->vdev.host_features = 1ull << VIRTIO_F_ANY_LAYOUT | 1ull << VIRTIO_BALLOON_F_STATS_VQ |
                            (uint64_t)on_oom << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                            (uint64_t)poison << VIRTIO_BALLOON_F_PAGE_POISON |
                            (uint64_t)s->reporting << VIRTIO_BALLOON_F_REPORTING;
    ok = ok && (!s->reporting || virtio_add_queue(&s->vdev, REPORT_QUEUE_SIZE, errp)) &&
         virtio_mmio_plug(t, &s->vdev, balloon_free, errp);
    if (ok) {
        m->balloon = &s->ops;
        return true;
    }
    virtio_cleanup(&s->vdev);
    balloon_free(s);
    return false;
}
