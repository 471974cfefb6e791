/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recognising a walk among the last requests. Three looks, the surest first:
 *   vote       a stride d for which a strict majority of the places page - d, page - 2d, ... was
 *              asked for, in that order. The wire does not tell which vCPU faulted: requests of
 *              other walks in between, and pages that arrived by other ways, cost votes, no more.
 *   fraction   a stride that is not a whole number of pages (2, 3, 2, 3, ...)
 *   direction  small steps one way, of any size: the pages left over by an earlier pass
 * Pure logic; the caller's thread.
 */
#include "prefetch-stream.h"

#include <glib.h>

#define NEAR_PAGES   64 /* a step of this size at most needs no further evidence */
#define FAR_EVIDENCE 1  /* votes that a longer one needs in addition */
#define FAR_LOOK     8  /* newest requests from which a longer one is looked for */
#define SLOW_PAGES   16 /* largest step of a walk that has a direction and no stride */
#define CHAIN_MAX    12

static unsigned recent_block(const PrefetchRecent *r, unsigned k)
{
    return r->at[(r->newest + PREFETCH_RECENT - k) % PREFETCH_RECENT].block;
}

static int64_t recent_page(const PrefetchRecent *r, unsigned k)
{
    return (int64_t)r->at[(r->newest + PREFETCH_RECENT - k) % PREFETCH_RECENT].page;
}

void prefetch_recent_add(PrefetchRecent *r, unsigned block, uint64_t page)
{
    r->newest = (r->newest + 1) % PREFETCH_RECENT;
    r->at[r->newest].block = block;
    r->at[r->newest].page = page;
    r->count = MIN(r->count + 1, PREFETCH_RECENT);
}

static uint64_t distance(int64_t a, int64_t b)
{
    return (uint64_t)(a > b ? a - b : b - a);
}

static void start(PrefetchStream *s, unsigned block, int64_t page, int64_t first, uint64_t step)
{
    s->block = block;
    s->dir = page > first ? 1 : -1;
    s->pos = s->high = s->dir * page;
    s->anchor = s->dir * first;
    s->step = step;
}

/* The votes for stride d: places page - k * d, k = 1 .. places, that were asked for, newer ones
 * nearer. *first: the farthest of them. */
static unsigned votes(const PrefetchRecent *r, unsigned block, int64_t page, int64_t d,
                      unsigned places, int64_t *first)
{
    const double per_step = 1.0 / (double)d; /* this is the hot loop: no division in it */
    unsigned count = 0;
    int64_t last = 0;

    *first = page;
    for (unsigned k = 0; k < r->count; k++) {
        const int64_t back = page - recent_page(r, k);
        const double steps = (double)back * per_step + 0.5;

        if (recent_block(r, k) != block || steps < 1 || steps >= places + 1 ||
            (int64_t)steps * d != back || (int64_t)steps <= last) {
            continue;
        }
        last = (int64_t)steps;
        *first = page - back;
        count++;
    }
    return count;
}

static bool find_vote(const PrefetchRecent *r, unsigned block, int64_t page, unsigned need,
                      PrefetchStream *s)
{
    for (unsigned k = 0; k < r->count; k++) {
        const int64_t d = page - recent_page(r, k);
        const bool far_step = distance(d, 0) > NEAR_PAGES;
        const unsigned enough = need + (far_step ? FAR_EVIDENCE : 0);
        int64_t first;

        if (recent_block(r, k) != block || d == 0 || (far_step && k >= FAR_LOOK)) {
            continue;
        }
        if (votes(r, block, page, d, 2 * enough - 1, &first) >= enough) {
            start(s, block, page, first, distance(d, 0));
            return true;
        }
    }
    return false;
}

/* The requests that lead to `page` by steps in one direction, none longer than NEAR_PAGES; chain[0]
 * is `page`. */
static unsigned chain_of(const PrefetchRecent *r, unsigned block, int64_t page, int64_t *chain)
{
    unsigned n = 1;

    chain[0] = page;
    for (unsigned k = 0; k < r->count && n < CHAIN_MAX; k++) {
        const int64_t at = recent_page(r, k);

        if (recent_block(r, k) != block || distance(at, chain[n - 1]) > NEAR_PAGES) {
            continue;
        }
        if (at == chain[n - 1] || (n > 1 && (chain[0] > chain[1]) != (chain[n - 1] > at))) {
            break;
        }
        chain[n++] = at;
    }
    return n;
}

/* The strides that explain every pair of the chain: pages a and b, k steps apart, allow those
 * between (|a - b| - 1) / k and (|a - b| + 1) / k. Empty when lo >= hi. */
static void stride_range(const int64_t *chain, unsigned n, uint64_t *lo, uint64_t *hi)
{
    *lo = UINT64_C(1) << PREFETCH_FRACTION;
    *hi = UINT64_MAX;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i + 1; j < n; j++) {
            const uint64_t d = distance(chain[i], chain[j]);

            *lo = MAX(*lo, ((d - 1) << PREFETCH_FRACTION) / (j - i));
            *hi = MIN(*hi, ((d + 1) << PREFETCH_FRACTION) / (j - i));
        }
    }
}

static bool find_fraction(const int64_t *chain, unsigned n, unsigned block, PrefetchStream *s)
{
    uint64_t lo, hi;

    stride_range(chain, n, &lo, &hi);
    if (lo >= hi) {
        return false;
    }
    start(s, block, chain[0], chain[n - 1], 0);
    s->lo = lo;
    s->hi = hi;
    return true;
}

static bool find_direction(const int64_t *chain, unsigned n, unsigned block, PrefetchStream *s)
{
    for (unsigned i = 1; i < n; i++) {
        if (distance(chain[i - 1], chain[i]) > SLOW_PAGES) {
            return false;
        }
    }
    start(s, block, chain[0], chain[n - 1], 1);
    return true;
}

bool prefetch_trend_find(const PrefetchRecent *r, unsigned block, uint64_t page, unsigned need,
                         PrefetchStream *s)
{
    int64_t chain[CHAIN_MAX];
    unsigned n;

    if (find_vote(r, block, (int64_t)page, need, s)) {
        return true;
    }
    n = chain_of(r, block, (int64_t)page, chain);
    return (n >= need + 3 && find_fraction(chain, need + 3, block, s)) ||
           (n >= need + 4 && find_direction(chain, need + 4, block, s));
}
