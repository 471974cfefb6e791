/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that devices wrote while the dirty log is on, merged into what the accelerator reports.
 *
 * `lock` (leaf) guards the bitmaps. Devices mark on any thread; the engine's sync runs on the
 * migration thread without the machine lock. `enabled` is an atomic, so that a machine that does
 * not migrate pays one load for each write. A mark that races with start() may be lost: start()
 * counts everything as dirty anyway.
 */
#include "dirty-log.h"

#include <pthread.h>
#include <string.h>

struct DirtyTracker {
    pthread_mutex_t lock;
    bool enabled;       /* atomic */
    GHashTable *bitmaps; /* RAMBlock * -> GArray of uint64_t, made at the first mark */
};

DirtyTracker *dirty_tracker_new(void)
{
    DirtyTracker *t = g_new0(DirtyTracker, 1);

    pthread_mutex_init(&t->lock, NULL);
    t->bitmaps = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
    return t;
}

void dirty_tracker_free(DirtyTracker *t)
{
    if (t) {
        g_hash_table_unref(t->bitmaps);
        pthread_mutex_destroy(&t->lock);
        g_free(t);
    }
}

void dirty_tracker_mark(void *opaque, RAMBlock *block, uint64_t offset, uint64_t len)
{
    DirtyTracker *t = opaque;

    if (!len || !__atomic_load_n(&t->enabled, __ATOMIC_ACQUIRE)) {
        return;
    }
    uint64_t last = (offset + len - 1) >> GW_TARGET_PAGE_BITS;

    pthread_mutex_lock(&t->lock);

    GArray *map = g_hash_table_lookup(t->bitmaps, block);

    if (!map) {
        map = g_array_new(FALSE, TRUE, sizeof(uint64_t));
        g_hash_table_insert(t->bitmaps, block, map);
    }
    if (last / 64 >= map->len) {
        g_array_set_size(map, last / 64 + 1);
    }
    for (uint64_t page = offset >> GW_TARGET_PAGE_BITS; page <= last; page++) {
        g_array_index(map, uint64_t, page / 64) |= 1ULL << (page % 64);
    }
    pthread_mutex_unlock(&t->lock);
}

static bool log_start(void *opaque, GError **errp)
{
    Machine *m = opaque;

    pthread_mutex_lock(&m->dirty->lock);
    g_hash_table_remove_all(m->dirty->bitmaps);
    pthread_mutex_unlock(&m->dirty->lock);
    __atomic_store_n(&m->dirty->enabled, true, __ATOMIC_RELEASE);
    if (!m->accel->dirty_log->start(m, errp)) {
        __atomic_store_n(&m->dirty->enabled, false, __ATOMIC_RELEASE);
        return false;
    }
    return true;
}

static void log_stop(void *opaque)
{
    Machine *m = opaque;

    __atomic_store_n(&m->dirty->enabled, false, __ATOMIC_RELEASE);
    m->accel->dirty_log->stop(m);
}

/* Moves the marks of pages [first, first + npages) into `bitmap`; first is a multiple of 64. */
static void take_marks(DirtyTracker *t, RAMBlock *block, uint64_t first, uint64_t npages,
                       uint64_t *bitmap)
{
    pthread_mutex_lock(&t->lock);

    GArray *map = g_hash_table_lookup(t->bitmaps, block);

    for (uint64_t i = 0; map && i * 64 < npages && first / 64 + i < map->len; i++) {
        uint64_t *word = &g_array_index(map, uint64_t, first / 64 + i);
        uint64_t mask = npages - i * 64 >= 64 ? UINT64_MAX : (1ULL << (npages - i * 64)) - 1;

        bitmap[i] |= *word & mask;
        *word &= ~mask;
    }
    pthread_mutex_unlock(&t->lock);
}

static bool log_sync(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                     uint64_t *bitmap, GError **errp)
{
    Machine *m = opaque;

    take_marks(m->dirty, block, first, npages, bitmap);
    return m->accel->dirty_log->sync(m, block, first, npages, bitmap, errp);
}

static bool log_clear(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                      GError **errp)
{
    Machine *m = opaque;

    return m->accel->dirty_log->clear(m, block, first, npages, errp);
}

bool machine_dirty_log_ops(Machine *m, MigrationDirtyLogOps *ops)
{
    const MigrationDirtyLogOps *accel = m->accel->dirty_log;

    if (!accel) {
        return false;
    }
    *ops = *accel;
    ops->size = sizeof(*ops);
    ops->start = log_start;
    ops->stop = log_stop;
    ops->sync = log_sync;
    ops->clear = accel->clear ? log_clear : NULL;
    return true;
}
