/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One walk through a block: which requests continue it, and which pages it will come to next.
 *
 * A walk whose prediction works is not heard of until it has used up what was sent: then it asks
 * for the page just behind. It may also ask for a page that is on its way, or, when others have
 * sent the pages in between, for one a little further on. All three are hits. Pure logic; the
 * caller's thread.
 */
#include "prefetch-stream.h"

#include <glib.h>

#define SLACK_STEPS   8 /* how far behind the window a request still continues the walk */
#define SLIP_STEPS    4 /* a stride measured over fewer steps is not refined */
#define REFILL        4 /* part of the window that must be used up before it is filled again */
#define ANCHOR_MAX    (INT64_C(1) << 40)

static uint64_t long_step(const PrefetchStream *s)
{
    return s->step ? s->step : (s->hi >> PREFETCH_FRACTION) + 1;
}

/* How far a position is off the places pos + k * step, k > 0: -1, 0, 1, or 2 for more. */
static int slip(const PrefetchStream *s, int64_t u)
{
    const uint64_t d = (uint64_t)(u - s->pos);
    const uint64_t rest = s->step ? d % s->step : 0;

    if (rest == 0) {
        return 0;
    }
    return rest == s->step - 1 ? -1 : rest == 1 && d > s->step ? 1 : 2;
}

PrefetchMatch prefetch_stream_match(const PrefetchStream *s, unsigned block, uint64_t page,
                                    uint64_t *distance)
{
    const int64_t u = s->dir * (int64_t)page;

    if (block != s->block || u <= s->pos || slip(s, u) == 2) {
        return PREFETCH_MATCH_NONE;
    }
    *distance = u <= s->high ? 0 : (uint64_t)(u - s->high);
    if (*distance > long_step(s) * SLACK_STEPS) {
        return PREFETCH_MATCH_NONE;
    }
    return slip(s, u) ? PREFETCH_MATCH_SLIP : PREFETCH_MATCH_EXACT;
}

/* A whole stride that is off by one page was no whole stride. */
static void measure_slip(PrefetchStream *s, int64_t u, int off)
{
    const uint64_t d = (uint64_t)(u - s->anchor);
    const uint64_t steps = (d - (uint64_t)(int64_t)off) / s->step;

    s->high = u;
    if (steps >= SLIP_STEPS && d < ANCHOR_MAX) {
        s->lo = ((d - 1) << PREFETCH_FRACTION) / steps;
        s->hi = ((d + 1) << PREFETCH_FRACTION) / steps;
        s->step = 0;
    } else {
        s->anchor = u;
    }
}

/* Every further page narrows the stride, as long as it is clear how many steps lie between. */
static void measure_fraction(PrefetchStream *s, int64_t u)
{
    const uint64_t d = (uint64_t)(u - s->anchor);
    const uint64_t least = ((d - 1) << PREFETCH_FRACTION) / s->hi + 1;
    const uint64_t most = (((d + 1) << PREFETCH_FRACTION) - 1) / s->lo;
    uint64_t lo, hi;

    if (d >= ANCHOR_MAX || least != most) {
        s->anchor = u;
        return;
    }
    lo = MAX(s->lo, ((d - 1) << PREFETCH_FRACTION) / least);
    hi = MIN(s->hi, ((d + 1) << PREFETCH_FRACTION) / least);
    if (lo < hi) {
        s->lo = lo;
        s->hi = hi;
    } else {
        s->anchor = u;
    }
}

void prefetch_stream_advance(PrefetchStream *s, uint64_t page)
{
    const int64_t u = s->dir * (int64_t)page;
    const int off = slip(s, u);
    const double share = u > s->high ? 1.0 : (double)(u - s->pos) / (double)(s->high - s->pos);
    const uint64_t passed = MIN(s->unproven, (uint64_t)((double)s->unproven * share));

    s->unproven -= passed;
    s->proven += passed;
    s->hits++;
    s->hurry = u <= s->high;
    if (off != 0) {
        measure_slip(s, u, off);
    } else if (s->step == 0) {
        measure_fraction(s, u);
    }
    s->pos = u;
    s->high = MAX(s->high, u);
}

/* Where the walk is after `steps` more steps: [*from, *to]. */
static void places(const PrefetchStream *s, uint64_t steps, int64_t *from, int64_t *to)
{
    if (s->step) {
        *from = *to = s->pos + (int64_t)(steps * s->step);
    } else {
        prefetch_places(s->pos, s->lo, s->hi, steps, from, to);
    }
}

unsigned prefetch_stream_plan(PrefetchStream *s, uint64_t npages, uint64_t *out, unsigned max)
{
    const int64_t before = s->high;
    const int64_t end = s->dir > 0 ? (int64_t)npages : 1;
    const unsigned window = MIN(s->window, max);
    unsigned n = 0, ahead = 0;
    int64_t last = s->pos;

    for (uint64_t steps = 1; ahead < window; steps++) {
        int64_t from, to;

        places(s, steps, &from, &to);
        for (int64_t u = MAX(from, last + 1); u <= to && ahead < window; u++, ahead++) {
            if (u >= end) {
                s->edge = true;
                return n;
            }
            last = u;
            if (u > s->high) {
                s->high = u;
                out[n++] = (uint64_t)(s->dir * u);
            }
        }
    }
    if (n < ahead && n < window / REFILL) {
        s->high = before; /* plenty is on its way: few pages now would only be many small sends */
        return 0;
    }
    return n;
}
