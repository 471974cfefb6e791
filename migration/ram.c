/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RAM section of an outgoing migration: START (the block list), PARTs, END, and the dirty sync
 * between passes.
 * Migration thread; the machine lock is held in setup and cleanup only. The dirty bitmap has its
 * own rules (dirty-bitmap.h). Wire: spec ram 2.3 and 2.4.
 */
#include "error.h"
#include "bits.h"
#include "dirty-bitmap.h"
#include "free-page.h"
#include "lock.h"
#include "ram-xbzrle.h"
#include "zero-sweep.h"

/* A PART ends after this time even if little was sent: zero pages cost time and no bytes. */
#define PART_NS (50 * INT64_C(1000000))
/* dirty_pages_rate is measured over at least this time. */
#define RATE_WINDOW_NS INT64_C(1000000000)

bool ram_save_check_writer(StreamWriter *w, GError **errp)
{
    const GError *err = stream_writer_error(w);

    if (err && errp && !*errp) {
        *errp = g_error_copy(err);
    }
    return !err;
}

uint64_t ram_bytes_total(MigrationState *ms)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);

        sum += b->ignored ? 0 : b->info.used_length;
    }
    return sum;
}

uint64_t ram_bytes_remaining(MigrationState *ms)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        pages += dirty_bitmap_count(ram_block_at(ms, i));
    }
    return pages << GW_TARGET_PAGE_BITS;
}

void ram_count_dirty(MigrationState *ms, uint64_t new_pages)
{
    RamSave *rs = ms->ram_save;
    const int64_t now = ms_now_ns(ms);
    const int64_t ns = now - rs->rate_start_ns;

    rs->rate_pages += new_pages;
    if (ns >= RATE_WINDOW_NS) {
        STAT_SET(rs->ms->stats.dirty_pages_rate,
                 (uint64_t)((double)rs->rate_pages * 1e9 / (double)ns));
        rs->rate_pages = 0;
        rs->rate_start_ns = now;
    }
}

/* sync_lock held. */
static bool sync_all(MigrationState *ms, uint64_t *new_pages, GError **errp)
{
    RamSave *rs = ms->ram_save;

    free_page_close(ms);
    *new_pages = 0;
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        if (!dirty_bitmap_sync(ram_block_at(ms, i), rs->scratch, new_pages, errp)) {
            return false;
        }
    }
    ram_count_dirty(ms, *new_pages);
    return true;
}

bool ram_dirty_sync(MigrationState *ms, GError **errp)
{
    uint64_t new_pages;

    if (!ms->ram_save) {
        return gw_fail(errp, GW_ERROR_GENERIC, "dirty sync without an outgoing migration");
    }
    LOCK_GUARD(&ms->ram_save->sync_lock);
    const int64_t start = ms_now_ns(ms);
    const bool ok = sync_all(ms, &new_pages, errp);

    STAT_ADD(ms->out.blackout.dirty_sync_ns, (uint64_t)(ms_now_ns(ms) - start));
    return ok;
}

/* The end of a pass and the beginning of the next, of which the throttle is told. The syncs of the
 * switchover are none and have no MIGRATION_PASS either. */
static bool next_pass(MigrationState *ms, GError **errp)
{
    uint64_t new_pages;

    ram_xbzrle_measure(ms->ram_save);
    LOCK_GUARD(&ms->ram_save->sync_lock);
    if (!sync_all(ms, &new_pages, errp)) {
        return false;
    }
    STAT_ADD(ms->stats.dirty_sync_count, 1);
    STAT_SET(ms->ram_save->pass_start_ns, ms_now_ns(ms));
    cpu_throttle_synced(ms, new_pages);
    return true;
}

/* Frees what setup made; also after half a setup. */
static void save_free(MigrationState *ms)
{
    RamSave *rs = ms->ram_save;

    if (!rs) {
        return;
    }
    zero_sweep_stop(rs);
    free_page_close(ms);
    ms->ram_save = NULL;
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        dirty_bitmap_free(ram_block_at(ms, i));
    }
    ram_xbzrle_free(rs);
    ram_sender_clear(&rs->main);
    pagemap_clear(&rs->pagemap);
    pthread_mutex_destroy(&rs->sync_lock);
    g_free(rs->scratch);
    g_free(rs);
}

void ram_save_cleanup(void *opaque)
{
    MigrationState *ms = opaque;

    if (ms->ram_save && ms->has_dirty_log) {
        ms->dirty_log.stop(ms->dirty_log_opaque);
    }
    save_free(ms);
}

/* Also the blocks whose pages are not sent: the destination must have them. */
static void put_block_list(MigrationState *ms, StreamWriter *w)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        total += ram_block_at(ms, i)->info.used_length;
    }
    stream_put_be64(w, total | RAM_FLAG_MEM_SIZE);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);

        if (b->info.used_length == 0) {
            continue; /* absent: the peer's own firmware stays what it is */
        }
        stream_put_str8(w, b->info.idstr);
        stream_put_be64(w, b->info.used_length);
        if (b->info.page_size != GW_TARGET_PAGE_SIZE &&
            gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM)) {
            stream_put_be64(w, b->info.page_size);
        }
        if (gw_capability_get(ms, MIGRATION_CAP_X_IGNORE_SHARED)) {
            stream_put_be64(w, b->info.gpa);
        }
    }
    stream_put_be64(w, RAM_FLAG_EOS);
}

bool ram_save_setup(void *opaque, StreamWriter *w, GError **errp)
{
    MigrationState *ms = opaque;
    RamSave *rs = g_new0(RamSave, 1);
    uint64_t largest = 0;

    save_free(ms);
    ms->ram_save = rs;
    rs->ms = ms;
    rs->is_zero = zero_page_best();
    rs->rate_start_ns = rs->pass_start_ns = ms_now_ns(ms);
    pthread_mutex_init(&rs->sync_lock, NULL);
    rs->release = gw_capability_get(ms, MIGRATION_CAP_RELEASE_RAM);
    pagemap_init(&rs->pagemap);
    page_search_init(&rs->search, ms);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        ram_block_set_ignored(ram_block_at(ms, i));
        largest = MAX(largest, ram_block_max_pages(ram_block_at(ms, i)));
    }
    rs->scratch = bits_new(largest);
    /* Log first, bitmap second: what the guest writes in between is in both. */
    if (!ram_xbzrle_setup(rs, errp) ||
        (ms->has_dirty_log && !ms->dirty_log.start(ms->dirty_log_opaque, errp))) {
        save_free(ms);
        return false;
    }
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        dirty_bitmap_init(ram_block_at(ms, i));
    }
    STAT_SET(ms->stats.dirty_sync_count, 1); /* this is the first pass */
    put_block_list(ms, w);
    return ram_save_check_writer(w, errp);
}

/* In postcopy a huge page goes out as a whole or not at all: the range is widened to it. */
static bool save_found(RamSave *rs, StreamWriter *w, const PageRange *range, GError **errp)
{
    const uint64_t n = range->block->info.page_size >> GW_TARGET_PAGE_BITS;
    bool put;

    if (!rs->in_postcopy || n <= 1) {
        return ram_save_range(rs, &rs->main, w, range, errp);
    }
    const PageRange page = {
        .block = range->block, .first = range->first / n * n, .npages = n,
    };

    if (range->source == PAGE_SOURCE_LINEAR) {
        page_search_seek(&rs->search, range->block, page.first + n);
    }
    return ram_save_host_page(rs, &rs->main, w, &page, &put, errp);
}

/* Sends until the budget or the time is used up, or nothing is dirty (*done). */
static bool save_pages(RamSave *rs, StreamWriter *w, uint64_t budget, int64_t deadline, bool *done,
                       GError **errp)
{
    const uint64_t start = stream_written(w);

    for (*done = false; !*done;) {
        const uint64_t put = stream_written(w) - start;
        PageRange range;

        if (put >= budget || ms_now_ns(rs->ms) >= deadline) {
            break;
        }
        /* In words of the bitmap, so that a small rest of the budget does not cost a look at the
         * pagemap per page. */
        const uint64_t fit = (budget - put) / RAM_PAGE_RECORD_SIZE;
        const uint64_t max = MIN((fit | (BITS_PER_WORD - 1)) + 1, PAGE_SEARCH_WINDOW);

        if (!page_search_next(&rs->search, max, &range)) {
            *done = true;
        } else if (!save_found(rs, w, &range, errp)) {
            return false;
        }
    }
    return true;
}

bool ram_save_iterate(void *opaque, StreamWriter *w, uint64_t budget, bool *done, GError **errp)
{
    MigrationState *ms = opaque;

    ram_xbzrle_follow_size(ms->ram_save);
    if (!save_pages(ms->ram_save, w, budget, ms_now_ns(ms) + PART_NS, done, errp)) {
        return false;
    }
    *done = *done || ram_bytes_remaining(ms) == 0;
    stream_put_be64(w, RAM_FLAG_EOS);
    return ram_save_check_writer(w, errp);
}

bool ram_save_complete(void *opaque, StreamWriter *w, GError **errp)
{
    MigrationState *ms = opaque;
    bool done;

    /* The guest is stopped: this sync is the last word. In postcopy it was made at the
     * switchover. */
    zero_sweep_stop(ms->ram_save);
    ms->ram_save->last_stage = true;
    if ((!ms->ram_save->in_postcopy && !ram_dirty_sync(ms, errp)) ||
        !save_pages(ms->ram_save, w, UINT64_MAX, INT64_MAX, &done, errp)) {
        return false;
    }
    stream_put_be64(w, RAM_FLAG_EOS);
    return ram_save_check_writer(w, errp);
}

bool ram_save_pending(void *opaque, bool exact, uint64_t *bytes, GError **errp)
{
    MigrationState *ms = opaque;

    if (exact) {
        zero_sweep_stop(ms->ram_save);
        if (!next_pass(ms, errp)) {
            return false;
        }
    }
    *bytes = ram_bytes_remaining(ms);
    return true;
}
