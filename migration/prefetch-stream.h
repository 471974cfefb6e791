/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to the prediction: one walk through a block (prefetch-stream.c), and how a new walk is
 * recognised among the last requests (prefetch-trend.c). prefetch.c keeps the table of walks and
 * decides how much is sent. Pure logic, no thread, no lock.
 *
 * Positions are in walking order: dir * page, so that every walk goes upwards.
 */
#ifndef MIGRATION_PREFETCH_STREAM_H
#define MIGRATION_PREFETCH_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#define PREFETCH_RECENT   32 /* requests of no known walk that are remembered */
#define PREFETCH_FRACTION 16 /* bits behind the point in lo and hi */

typedef struct PrefetchStream {
    bool live;
    unsigned block;
    int dir;             /* 1 or -1 */
    int64_t anchor;      /* an early page of the walk: what the stride is measured from */
    int64_t pos;         /* the last request */
    int64_t high;        /* the last page predicted, or pos */
    uint64_t step;       /* pages; 0: not a whole number, between lo and hi */
    uint64_t lo, hi;     /* fixed point */
    unsigned window;     /* pages to have on their way ahead of pos */
    unsigned hits;
    bool hurry;          /* the last hit was on its way still: the guest is faster than the link */
    uint64_t unproven;   /* sent, and no later request has shown that the walk came by */
    uint64_t proven;
    bool edge;           /* predicted up to the end of the block: no request will follow */
    uint64_t serial;     /* of all walks */
    uint64_t tick;       /* when it was used last, in requests */
} PrefetchStream;

/* The last requests of no known walk, a ring: entry k is the k-th newest. */
typedef struct PrefetchRecent {
    struct {
        unsigned block;
        uint64_t page;
    } at[PREFETCH_RECENT];
    unsigned newest, count;
} PrefetchRecent;

/* Where a walk is `steps` steps after pos: [*from, *to]; the stride is between lo and hi. */
static inline void prefetch_places(int64_t pos, uint64_t lo, uint64_t hi, uint64_t steps,
                                   int64_t *from, int64_t *to)
{
    const uint64_t round_up = (UINT64_C(1) << PREFETCH_FRACTION) - 1;

    *from = pos + (int64_t)(steps * lo >> PREFETCH_FRACTION);
    *to = pos + (int64_t)((steps * hi + round_up) >> PREFETCH_FRACTION);
}

/* prefetch-stream.c */

typedef enum PrefetchMatch {
    PREFETCH_MATCH_NONE,
    PREFETCH_MATCH_SLIP,  /* off by one page: the walk goes on if no other one claims it */
    PREFETCH_MATCH_EXACT,
} PrefetchMatch;

/* Whether `page` continues the walk; *distance says how far behind the predicted pages. */
PrefetchMatch prefetch_stream_match(const PrefetchStream *s, unsigned block, uint64_t page,
                                    uint64_t *distance);
/* Takes a page that matches as the new position. */
void prefetch_stream_advance(PrefetchStream *s, uint64_t page);
/* The pages up to s->window ahead that were not predicted before, in walking order; at most max. */
unsigned prefetch_stream_plan(PrefetchStream *s, uint64_t npages, uint64_t *out, unsigned max);

/* prefetch-trend.c */

void prefetch_recent_add(PrefetchRecent *r, unsigned block, uint64_t page);
/* Looks for a walk that `page` belongs to; `need` earlier requests must speak for it. Fills block,
 * dir, anchor, pos, high and the stride of *s. */
bool prefetch_trend_find(const PrefetchRecent *r, unsigned block, uint64_t page, unsigned need,
                         PrefetchStream *s);

#endif
