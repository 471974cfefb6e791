/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages the destination will probably ask for next: a stride by majority vote over the last
 * requests of a stream, and a window that grows while predictions hit and shrinks to nothing when
 * they do not. Pure logic, no thread, no lock: the return-path thread owns it.
 */
#ifndef MIGRATION_PREFETCH_H
#define MIGRATION_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

#define PREFETCH_WINDOW_MAX 256 /* host pages */
/* Pages that a guest in a hurry waits for together: see prefetch_request(). */
#define PREFETCH_GROUP      32

typedef struct Prefetch Prefetch;

/* A walk whose prediction hits, from its last request on. Positions in host pages and in walking
 * order: dir * page, so that every walk goes upwards. */
typedef struct PrefetchWalk {
    bool live;
    unsigned number;  /* its place in the table of walks */
    uint64_t serial;  /* the same walk, further on, has the same */
    unsigned block;
    int dir;          /* 1 or -1 */
    int64_t pos;      /* the last request */
    int64_t high;     /* the last page that was sent, or pos */
    uint64_t lo, hi;  /* the stride is between these, both included; fixed point */
} PrefetchWalk;

/* Counters for query-migrate. */
typedef struct PrefetchStats {
    uint64_t offered; /* pages predicted */
    uint64_t sent;    /* of those, sent (the others had been sent before) */
    uint64_t hit;     /* requests that fell into or just behind what was predicted */
    uint64_t useless; /* predicted and sent, and the prediction turned out wrong */
    unsigned window;  /* present size of the window, host pages */
} PrefetchStats;

Prefetch *prefetch_new(void);
void prefetch_free(Prefetch *p);
/*
 * A request for host page `page` (in units of the block's host page) of block number `block`, which
 * has `npages`. Writes the pages to send behind it into out (at most max), in the order of their
 * likely use; returns how many. Predicted pages are within the block and never the request itself.
 * `max` also bounds how far ahead the window reaches: with huge host pages, pass a small one.
 *
 * When the guest runs into pages that are still on their way (it is faster than the link), the
 * first pages of each PREFETCH_GROUP come last in it: the guest then waits once for the whole
 * group, not for each page.
 */
unsigned prefetch_request(Prefetch *p, unsigned block, uint64_t page, uint64_t npages,
                          uint64_t *out, unsigned max);
/* How many of the predicted pages of the last call really were sent. */
void prefetch_sent(Prefetch *p, unsigned n);
/* The caller looked at the first `done` pages of the last call only (something more urgent came):
 * the rest may be predicted again. Before or after prefetch_sent(). */
void prefetch_cut(Prefetch *p, unsigned done);
/* The walk of the last call, if a request has confirmed it. */
bool prefetch_walk(const Prefetch *p, PrefetchWalk *w);
void prefetch_stats(const Prefetch *p, PrefetchStats *s);

#endif
