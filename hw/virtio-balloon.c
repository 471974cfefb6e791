/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon: the guest gives pages away and takes them back (virtio 1.2, 5.5). Queues:
 * inflate, deflate, statistics (virtio-balloon-stats.c), with free-page-hint one for hints to a
 * migration (virtio-balloon-hint.c), and with free-page-reporting one for pages that the guest does
 * not use at the moment.
 *
 * I/O thread with the device's lock, but for the target and the guest's answer (`num_pages`,
 * `actual`), which monitors read and set at any time: atomics. While a postcopy brings pages in,
 * none are given back: a page that is missing again would be asked for at a source that has
 * forgotten it.
 */
#include "virtio-balloon-internal.h"

#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "virtio-props.h"

#define BALLOON_QUEUE_SIZE 128
#define REPORT_QUEUE_SIZE 32
#define BALLOON_CONFIG_BYTES 16

const char *const virtio_balloon_props[] = {
    "deflate-on-oom", "free-page-hint", "free-page-reporting", "guest-stats-polling-interval",
    "page-poison", "iothread", NULL,
};

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
            balloon_stats_element(s, e);
            break;
        }
        if (which == INFLATE) {
            inflate(s, e);
        } else if (s->hinting && which == s->hint_queue) {
            balloon_hint_element(s, e);
        } else if (s->reporting && which == s->report_queue) {
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

    balloon_stats_release(s);
    balloon_hint_update(s);
}

static void balloon_resumed(VirtIODevice *vdev)
{
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;

    if (s->hint_news) {
        s->hint_news = false;
        virtio_notify_config(vdev);
    }
}

/* ---- configuration space ---- */

static void balloon_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;
    struct virtio_balloon_config c = {
        .num_pages = GUINT32_TO_LE(__atomic_load_n(&s->num_pages, __ATOMIC_RELAXED)),
        .actual = GUINT32_TO_LE(__atomic_load_n(&s->actual, __ATOMIC_RELAXED)),
        .free_page_hint_cmd_id = GUINT32_TO_LE(balloon_hint_config(s)),
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
    VirtIOBalloon *s = (VirtIOBalloon *)vdev;

    s->poison_val = 0;
    balloon_hint_reset(s);
}

static const VirtIODeviceClass balloon_class = {
    .name = "virtio-balloon",
    .device_id = VIRTIO_ID_BALLOON,
    .vmsd = &vmstate_virtio_balloon,
    .get_config = balloon_get_config,
    .set_config = balloon_set_config,
    .reset = balloon_reset,
    .handle_output = balloon_handle_output,
    .drain = balloon_drain,
    .resumed = balloon_resumed,
};

static void balloon_free(gpointer p)
{
    VirtIOBalloon *s = p;

    if (s->vdev.machine->balloon == &s->ops) {
        s->vdev.machine->balloon = NULL;
    }
    balloon_hint_cleanup(s);
    balloon_stats_cleanup(s);
    g_free((char *)s->ops.id);
    g_free(s);
}

static bool read_props(VirtIOBalloon *s, const DeviceConfig *conf, GError **errp)
{
    bool on_oom = false, poison = true;

    if (!virtio_prop_bool(conf, "deflate-on-oom", &on_oom, errp) ||
        !virtio_prop_bool(conf, "page-poison", &poison, errp) ||
        !virtio_prop_bool(conf, "free-page-hint", &s->hinting, errp) ||
        !virtio_prop_bool(conf, "free-page-reporting", &s->reporting, errp) ||
        !virtio_prop_u32(conf, "guest-stats-polling-interval", 0, UINT32_MAX, &s->stats_interval,
                         errp)) {
        return false;
    }
    s->vdev.host_features = 1ull << VIRTIO_F_ANY_LAYOUT | 1ull << VIRTIO_BALLOON_F_STATS_VQ |
                            (uint64_t)on_oom << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                            (uint64_t)poison << VIRTIO_BALLOON_F_PAGE_POISON |
                            (uint64_t)s->hinting << VIRTIO_BALLOON_F_FREE_PAGE_HINT |
                            (uint64_t)s->reporting << VIRTIO_BALLOON_F_REPORTING;
    return true;
}

/* A queue that is not there does not count: the one after it has its number. */
static bool add_queues(VirtIOBalloon *s, GError **errp)
{
    bool ok = true;

    for (int i = INFLATE; ok && i <= STATS; i++) {
        ok = virtio_add_queue(&s->vdev, BALLOON_QUEUE_SIZE, errp);
    }
    s->hint_queue = STATS + 1;
    s->report_queue = s->hint_queue + s->hinting;
    return ok && (!s->hinting || virtio_add_queue(&s->vdev, BALLOON_QUEUE_SIZE, errp)) &&
           (!s->reporting || virtio_add_queue(&s->vdev, REPORT_QUEUE_SIZE, errp));
}

bool virtio_balloon_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp)
{
    VirtIOBalloon *s;

    if (m->balloon) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Only one balloon device is supported");
    }
    s = g_new0(VirtIOBalloon, 1);
    s->ops = (MachineBalloon){ .actual = balloon_bytes, .set_target = balloon_set_target,
                               .opaque = s, .id = g_strdup(conf->id) };
    s->hint_fd = s->stats_fd = -1;
    pthread_mutex_init(&s->stats_lock, NULL);
    virtio_init(&s->vdev, m, &balloon_class, BALLOON_CONFIG_BYTES);
    s->vdev.id = g_strdup(conf->id);
    if (read_props(s, conf, errp) && add_queues(s, errp) && balloon_stats_init(s, errp) &&
        balloon_hint_init(s, errp) && virtio_mmio_plug(t, &s->vdev, balloon_free, errp)) {
        m->balloon = &s->ops;
        return true;
    }
    virtio_cleanup(&s->vdev);
    balloon_free(s);
    return false;
}
