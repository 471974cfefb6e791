/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See dirty-share.h. start and stop run under the machine lock, sync and clear on the threads of
 * the users; `lock` is taken inside all of them, the machine's log is called with it held.
 *
 * Why a second user costs the first no page: what a sync takes out of the machine's log goes into
 * the `pending` map of every other user under the same lock, and each sync of theirs hands it out.
 * A clear() by one protects pages that were reported to the other as well; that one then protects
 * them a second time, before it reads them, which is harmless: a write in between is in the log.
 */
#include "dirty-share.h"

#include <string.h>

#include "bits.h"
#include "lock.h"

static bool others_on(const DirtyUser *u)
{
    for (unsigned i = 0; i < DIRTY_USER__COUNT; i++) {
        if (&u->share->users[i] != u && u->share->users[i].on) {
            return true;
        }
    }
    return false;
}

static bool share_start(void *opaque, GError **errp)
{
    DirtyUser *u = opaque;
    DirtyShare *s = u->share;
    LOCK_GUARD(&s->lock);

    g_hash_table_remove_all(u->pending);
    if (!others_on(u) && !s->log.start(s->log_opaque, errp)) {
        return false;
    }
    u->on = true;
    return true;
}

static void share_stop(void *opaque)
{
    DirtyUser *u = opaque;
    DirtyShare *s = u->share;
    LOCK_GUARD(&s->lock);

    u->on = false;
    g_hash_table_remove_all(u->pending);
    if (!others_on(u)) {
        s->log.stop(s->log_opaque);
    }
}

/* Keeps found pages [first, first + n) for a user; `first` is a multiple of 64. */
static void keep(DirtyUser *u, RAMBlock *block, uint64_t first, uint64_t n, const uint64_t *found)
{
    uint64_t *map = g_hash_table_lookup(u->pending, block);

    if (!map) {
        map = bits_new(gw_ram_block_info(block)->max_length >> GW_TARGET_PAGE_BITS);
        g_hash_table_insert(u->pending, block, map);
    }
    for (uint64_t i = 0; i < bits_words(n); i++) {
        map[first / BITS_PER_WORD + i] |= found[i];
    }
}

/* Hands out what was kept of the pages [first, first + n). */
static void take_kept(DirtyUser *u, RAMBlock *block, uint64_t first, uint64_t n, uint64_t *bitmap)
{
    uint64_t *map = g_hash_table_lookup(u->pending, block);

    if (!map) {
        return;
    }
    BITS_FOREACH_WORD(i, mask, first, n) {
        bitmap[i - first / BITS_PER_WORD] |= map[i] & mask;
        map[i] &= ~mask;
    }
}

static bool sync_shared(DirtyUser *u, RAMBlock *block, uint64_t first, uint64_t n,
                        uint64_t *bitmap, GError **errp)
{
    DirtyShare *s = u->share;
    g_autofree uint64_t *found = bits_new(n);

    if (!s->log.sync(s->log_opaque, block, first, n, found, errp)) {
        return false;
    }
    for (unsigned i = 0; i < DIRTY_USER__COUNT; i++) {
        if (&s->users[i] != u && s->users[i].on) {
            keep(&s->users[i], block, first, n, found);
        }
    }
    for (uint64_t i = 0; i < bits_words(n); i++) {
        bitmap[i] |= found[i];
    }
    return true;
}

static bool share_sync(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                       uint64_t *bitmap, GError **errp)
{
    DirtyUser *u = opaque;
    DirtyShare *s = u->share;
    LOCK_GUARD(&s->lock);

    take_kept(u, block, first, npages, bitmap);
    if (others_on(u)) {
        return sync_shared(u, block, first, npages, bitmap, errp);
    }
    return s->log.sync(s->log_opaque, block, first, npages, bitmap, errp);
}

static bool share_clear(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                        GError **errp)
{
    DirtyUser *u = opaque;
    DirtyShare *s = u->share;
    LOCK_GUARD(&s->lock);

    return s->log.clear(s->log_opaque, block, first, npages, errp);
}

static unsigned share_vcpu_pages(void *opaque, uint64_t *pages, unsigned n)
{
    DirtyUser *u = opaque;
    DirtyShare *s = u->share;
    uint64_t now[MIGRATION_LATENCY_MAX_VCPUS] = {0};
    unsigned count;
    LOCK_GUARD(&s->lock);

    count = s->log.vcpu_dirty_pages(s->log_opaque, now, G_N_ELEMENTS(now));
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < DIRTY_USER__COUNT; k++) {
            s->users[k].vcpu_pages[i] += now[i];
        }
    }
    count = MIN(count, n);
    memcpy(pages, u->vcpu_pages, count * sizeof(*pages));
    memset(u->vcpu_pages, 0, sizeof(u->vcpu_pages));
    return count;
}

static void share_vcpu_limit(void *opaque, int vcpu, uint64_t mb_per_s)
{
    const DirtyUser *u = opaque;

    u->share->log.vcpu_dirty_limit(u->share->log_opaque, vcpu, mb_per_s);
}

DirtyShare *dirty_share_new(const MigrationDirtyLogOps *log, void *log_opaque)
{
    DirtyShare *s = g_new0(DirtyShare, 1);

    pthread_mutex_init(&s->lock, NULL);
    s->log = *log;
    s->log_opaque = log_opaque;
    for (unsigned i = 0; i < DIRTY_USER__COUNT; i++) {
        s->users[i].share = s;
        s->users[i].pending = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    }
    return s;
}

void dirty_share_free(DirtyShare *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < DIRTY_USER__COUNT; i++) {
        g_hash_table_unref(s->users[i].pending);
    }
    pthread_mutex_destroy(&s->lock);
    g_free(s);
}

void *dirty_share_ops(DirtyShare *s, DirtyUserId user, MigrationDirtyLogOps *ops)
{
    *ops = s->log;
    ops->start = share_start;
    ops->stop = share_stop;
    ops->sync = share_sync;
    ops->clear = s->log.clear ? share_clear : NULL;
    ops->vcpu_dirty_pages = s->log.vcpu_dirty_pages ? share_vcpu_pages : NULL;
    ops->vcpu_dirty_limit = s->log.vcpu_dirty_limit ? share_vcpu_limit : NULL;
    return &s->users[user];
}
