/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page-request hint: after an urgent send the return-path thread offers the following host page
 * to the background stream, which jumps there. One slot, an atomic word: 0 is empty, so an offer is
 * a compare-and-swap and never waits. The migration thread empties it.
 *
 * Random access must not pay for it: when the last consumed hints were not hit, most offers are
 * left out, and an occasional one finds out whether the pattern has changed. The scoring belongs to
 * the return-path thread.
 */
#include "postcopy-source.h"

#include "bits.h"
#include "trace.h"

#define NEAR_HOST_PAGES 256 /* a request this little ahead of a hint hits it */
#define LASTED          1024 /* so many pages later a request elsewhere does not speak against it */
#define TRIAL           16  /* offers out of which one is made when hints do not hit */
#define SCORE_MAX       8
#define SCORE_OFF       (-4)

/* What the background stream has sent; a clock. Any thread. */
static uint64_t pages_sent(MigrationState *ms)
{
    return STAT_GET(ms->stats.normal_pages) + STAT_GET(ms->stats.zero_pages);
}

static uint64_t pack(const RAMBlock *b, uint64_t page)
{
    return (uint64_t)ram_block_index(b) << 48 | (page + 1);
}

static bool unpack(MigrationState *ms, uint64_t slot, RAMBlock **b, uint64_t *page)
{
    if (slot == 0) {
        return false;
    }
    *b = ram_block_at(ms, (unsigned)(slot >> 48));
    *page = (slot & ((UINT64_C(1) << 48) - 1)) - 1;
    return true;
}

void hint_offer(MigrationState *ms, const PageRange *sent)
{
    PostcopySource *ps = ms->postcopy_source;
    const uint64_t next = sent->first + sent->npages;
    uint64_t empty = 0;

    if (!gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT_HINT) ||
        next >= ram_block_pages(sent->block) || !bits_test(sent->block->dirty, next) ||
        (ps->hint_score <= SCORE_OFF && ++ps->hint_trial % TRIAL)) {
        return;
    }
    if (__atomic_compare_exchange_n(&ps->hint, &empty, pack(sent->block, next), false,
                                    __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        STAT_ADD(ms->postcopy_counters.hints_offered, 1);
        trace_event(postcopy_preempt_hint_offered, "block %s page %" G_GUINT64_FORMAT,
                    sent->block->info.idstr, next);
    } else {
        STAT_ADD(ms->postcopy_counters.hints_dropped, 1);
        trace_event(postcopy_preempt_hint_dropped, "the last one was not taken yet");
    }
}

bool hint_next(void *opaque, PageRange *range)
{
    MigrationState *ms = opaque;
    PostcopySource *ps = ms->postcopy_source;
    const uint64_t slot = __atomic_exchange_n(&ps->hint, 0, __ATOMIC_ACQUIRE);
    RAMBlock *b;
    uint64_t page;

    if (!unpack(ms, slot, &b, &page)) {
        return false;
    }
    STAT_ADD(ms->postcopy_counters.hints_consumed, 1);
    __atomic_store_n(&ps->hint_taken_at, pages_sent(ms), __ATOMIC_RELAXED);
    __atomic_store_n(&ps->hint_expect, slot, __ATOMIC_RELEASE);
    trace_event(postcopy_preempt_hint_taken, "block %s page %" G_GUINT64_FORMAT, b->info.idstr,
                page);
    if (!bits_test(b->dirty, page)) {
        return false;
    }
    *range = postcopy_host_page(b, page);
    page_search_follow(&ms->ram_save->search, b, range->first + range->npages);
    return true;
}

void hint_request(MigrationState *ms, const PageRange *asked)
{
    PostcopySource *ps = ms->postcopy_source;
    const uint64_t slot = __atomic_exchange_n(&ps->hint_expect, 0, __ATOMIC_ACQUIRE);
    RAMBlock *b;
    uint64_t page;

    if (!unpack(ms, slot, &b, &page)) {
        return;
    }
    if (b == asked->block && asked->first >= page &&
        asked->first < page + NEAR_HOST_PAGES * asked->npages) {
        STAT_ADD(ms->postcopy_counters.hints_hit, 1);
        ps->hint_score = MIN(ps->hint_score + 2, SCORE_MAX);
        trace_event(postcopy_preempt_hint_hit, "block %s page %" G_GUINT64_FORMAT, b->info.idstr,
                    asked->first);
    } else if (pages_sent(ms) - __atomic_load_n(&ps->hint_taken_at, __ATOMIC_RELAXED) >= LASTED) {
        ps->hint_score = MIN(ps->hint_score + 1, SCORE_MAX);
    } else {
        ps->hint_score = MAX(ps->hint_score - 1, SCORE_OFF);
    }
}
