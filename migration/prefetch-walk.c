/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The background stream goes where the prediction says that the guest goes: the walks that hit are
 * offered by the return-path thread, and the migration thread sends their next pages, a few of each
 * in turn, until they leave the block or nothing is left of them. The preempt channel sends the
 * window next to the guest; this is what lies behind it, so that the window need not be filled by
 * further faults.
 *
 * `offered` is guarded by ahead->lock, a leaf: nothing is called under it. `own` and `turn` are the
 * migration thread's. It sends no page for nothing: each is sent once, here or elsewhere.
 */
#include "prefetch-walk.h"

#include <inttypes.h>

#include "bits.h"
#include "lock.h"
#include "postcopy-source.h"
#include "prefetch-stream.h"
#include "trace.h"

#define TURN_PAGES  16   /* of one walk, before the next one has its turn */
#define EMPTY_MAX   4096 /* places in a row that were sent before: the walk has been here */
#define SPREAD_MAX  4    /* a stride known this badly is no place to go */

void prefetch_ahead_init(PrefetchAhead *a)
{
    pthread_mutex_init(&a->lock, NULL);
}

void prefetch_ahead_clear(PrefetchAhead *a)
{
    pthread_mutex_destroy(&a->lock);
}

void prefetch_ahead_offer(PrefetchAhead *a, const PrefetchWalk *w)
{
    LOCK_GUARD(&a->lock);

    a->offered[w->number % PREFETCH_WALKS] = *w;
    __atomic_store_n(&a->news, true, __ATOMIC_RELEASE);
}

/* A walk that is known already goes on where it is, unless the guest is in front of it. */
static void take_over(PrefetchWalk *own, const PrefetchWalk *offered)
{
    const bool same = own->live && own->serial == offered->serial;
    const int64_t high = own->high;

    *own = *offered;
    if (same && high > own->high) {
        own->high = high;
    }
}

static void take_offers(PrefetchAhead *a)
{
    LOCK_GUARD(&a->lock);

    for (unsigned i = 0; i < PREFETCH_WALKS; i++) {
        if (a->offered[i].live) {
            take_over(&a->own[i], &a->offered[i]);
            a->offered[i].live = false;
        }
    }
    __atomic_store_n(&a->news, false, __ATOMIC_RELAXED);
}

/* The next host page of the walk that was not sent yet. */
static bool walk_page(MigrationState *ms, PrefetchWalk *w, PageRange *range)
{
    RAMBlock *b = ram_block_at(ms, w->block);
    const uint64_t per_host = b->info.page_size >> GW_TARGET_PAGE_BITS;
    const int64_t end = w->dir > 0 ? (int64_t)(ram_block_pages(b) / per_host) : 1;
    uint64_t steps = ((uint64_t)(w->high - w->pos) << PREFETCH_FRACTION) / w->hi;

    for (unsigned looked = 0; looked < EMPTY_MAX; steps++) {
        int64_t from, to;

        prefetch_places(w->pos, w->lo, w->hi, steps, &from, &to);
        if (to - from > SPREAD_MAX) {
            return false;
        }
        for (int64_t u = MAX(from, w->high + 1); u <= to; u++, looked++) {
            const uint64_t page = (uint64_t)(w->dir * u) * per_host;

            if (u >= end) {
                return false;
            }
            w->high = u;
            if (bits_test(b->dirty, page)) {
                *range = postcopy_host_page(b, page);
                return true;
            }
        }
    }
    return false;
}

/* Every page in turn is what the linear search does, in longer ranges. */
static bool is_linear(const PrefetchWalk *w)
{
    return w->dir > 0 && w->lo == UINT64_C(1) << PREFETCH_FRACTION && w->hi == w->lo;
}

static void go_linear(MigrationState *ms, PrefetchWalk *w)
{
    RAMBlock *b = ram_block_at(ms, w->block);
    const uint64_t per_host = b->info.page_size >> GW_TARGET_PAGE_BITS;

    w->live = false;
    page_search_follow_on(&ms->ram_save->search, b, (uint64_t)(w->high + 1) * per_host);
}

bool prefetch_ahead_next(MigrationState *ms, PageRange *range)
{
    PrefetchAhead *a = &ms->postcopy_source->ahead;

    if (__atomic_load_n(&a->news, __ATOMIC_ACQUIRE)) {
        take_offers(a);
    }
    for (unsigned i = 0; i < PREFETCH_WALKS; i++) {
        PrefetchWalk *w = &a->own[a->turn / TURN_PAGES % PREFETCH_WALKS];

        if (w->live && is_linear(w)) {
            go_linear(ms, w);
        } else if (w->live && walk_page(ms, w, range)) {
            a->turn++;
            STAT_ADD(ms->postcopy_counters.prefetch_ahead, 1);
            return true;
        }
        if (w->live) {
            trace_event(postcopy_prefetch_walked, "block %u until page %" PRIi64, w->block,
                        w->dir * w->high);
        }
        w->live = false;
        a->turn = (a->turn / TURN_PAGES + 1) * TURN_PAGES;
    }
    return false;
}
