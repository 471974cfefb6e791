/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The prediction: the table of known walks, and how much is sent for each.
 *
 * A request either continues a walk, or is remembered until enough of its kind make a new one. A
 * walk's window starts small and doubles with every hit. A walk that is not heard of for long ends;
 * if most of what was sent for it had been in vain, `doubt` grows: new walks then need more
 * evidence, and windows stay smaller, until they hit again. Owned by the return-path thread.
 */
#include "prefetch.h"

#include <inttypes.h>
#include <string.h>

#include <glib.h>

#include "prefetch-stream.h"
#include "trace.h"

#define STREAMS        24
#define UNPROVEN_MAX   8   /* walks without a hit yet, at one time */
#define WINDOW_FIRST   8
#define GATE           4   /* pages of a group that may go last; one of them is used first */
#define NEED           3   /* earlier requests that make a walk, without doubt */
#define DOUBT_MAX      5   /* window: 256 >> 5 = WINDOW_FIRST */
#define PATIENCE       256 /* requests after which a silent walk has ended */
#define PATIENCE_PAGE  8   /* and so many more per page of its window */
#define BLOCK_MAX      (UINT64_C(1) << 52) /* pages; keeps the arithmetic far from its limits */

struct Prefetch {
    PrefetchStream streams[STREAMS];
    PrefetchRecent recent;
    unsigned doubt;
    uint64_t tick;                       /* requests so far */
    uint64_t serial;                     /* walks so far */
    PrefetchStream *last;                /* the walk of the last call, until it is accounted */
    uint64_t plan[PREFETCH_WINDOW_MAX];  /* its pages, in walking order */
    unsigned planned, unaccounted;
    PrefetchStats stats;
};

Prefetch *prefetch_new(void)
{
    return g_new0(Prefetch, 1);
}

void prefetch_free(Prefetch *p)
{
    g_free(p);
}

static unsigned window_limit(const Prefetch *p)
{
    return PREFETCH_WINDOW_MAX >> p->doubt;
}

/* At the edge of the block no request can follow: nothing speaks against the prediction. */
static void stream_end(Prefetch *p, PrefetchStream *s)
{
    s->live = false;
    if (s->edge) {
        return;
    }
    p->stats.useless += s->unproven;
    if (s->unproven > 2 * s->proven) {
        p->doubt = MIN(p->doubt + 1, DOUBT_MAX);
    }
    trace_event(postcopy_prefetch_end,
                "block %u hits %u useless %" PRIu64 " doubt %u", s->block, s->hits, s->unproven,
                p->doubt);
}

static void end_silent(Prefetch *p)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        PrefetchStream *s = &p->streams[i];

        if (s->live && p->tick - s->tick > PATIENCE + PATIENCE_PAGE * s->window) {
            stream_end(p, s);
        }
    }
}

static PrefetchStream *continued(Prefetch *p, unsigned block, uint64_t page)
{
    PrefetchMatch surest = PREFETCH_MATCH_NONE;
    PrefetchStream *best = NULL;
    uint64_t least = UINT64_MAX, distance;

    for (unsigned i = 0; i < STREAMS; i++) {
        PrefetchStream *s = &p->streams[i];
        const PrefetchMatch match =
            s->live ? prefetch_stream_match(s, block, page, &distance) : PREFETCH_MATCH_NONE;

        if (match > surest || (match && match == surest && distance < least)) {
            best = s;
            surest = match;
            least = distance;
        }
    }
    /* After a long silence, and not the very next page: this may be chance. Begin small again. */
    if (best && least > best->step && p->tick - best->tick > PATIENCE / 4) {
        best->window = WINDOW_FIRST / 2;
    }
    return best;
}

static void hit(Prefetch *p, PrefetchStream *s, uint64_t page)
{
    prefetch_stream_advance(s, page);
    p->stats.hit++;
    if (p->doubt > 0 && s->window >= window_limit(p)) {
        p->doubt--;
    }
    s->window = MIN(s->window * 2, window_limit(p));
    trace_event(postcopy_prefetch_hit, "block %u page %" PRIu64 " window %u", s->block, page,
                s->window);
}

/* A free place, or that of the walk which was silent for longest; NULL while too many new walks
 * have yet to prove themselves. */
static PrefetchStream *place_for_new(Prefetch *p)
{
    PrefetchStream *place = NULL;
    unsigned unproven = 0;

    for (unsigned i = 0; i < STREAMS; i++) {
        PrefetchStream *s = &p->streams[i];

        unproven += s->live && s->hits == 0;
        if (!place || (place->live && (!s->live || s->tick < place->tick))) {
            place = s;
        }
    }
    if (unproven >= UNPROVEN_MAX) {
        return NULL;
    }
    if (place->live) {
        stream_end(p, place);
    }
    return place;
}

static PrefetchStream *begun(Prefetch *p, unsigned block, uint64_t page)
{
    PrefetchStream found = {.live = true, .window = MIN(WINDOW_FIRST, window_limit(p))};
    PrefetchStream *s = NULL;

    if (prefetch_trend_find(&p->recent, block, page, NEED + p->doubt, &found)) {
        s = place_for_new(p);
    }
    if (!s) {
        prefetch_recent_add(&p->recent, block, page);
        return NULL;
    }
    *s = found;
    s->serial = ++p->serial;
    trace_event(postcopy_prefetch_begin,
                "block %u page %" PRIu64 " step %s%" PRIu64 "%s", block, page,
                s->dir < 0 ? "-" : "", s->step ? s->step : s->lo >> PREFETCH_FRACTION,
                s->step ? "" : "+");
    return s;
}

/* A guest that is faster than the link would fault on each page in turn, a moment before it comes.
 * It waits once when the first pages of a group come last. */
static void arrange(const Prefetch *p, uint64_t *out)
{
    for (unsigned at = 0; at < p->planned; at += PREFETCH_GROUP) {
        const unsigned n = MIN(PREFETCH_GROUP, p->planned - at);
        const unsigned gate = p->last->hurry ? MIN(GATE, n) : 0;

        memcpy(out + at, p->plan + at + gate, (n - gate) * sizeof(*out));
        memcpy(out + at + n - gate, p->plan + at, gate * sizeof(*out));
    }
}

unsigned prefetch_request(Prefetch *p, unsigned block, uint64_t page, uint64_t npages,
                          uint64_t *out, unsigned max)
{
    PrefetchStream *s;

    p->last = NULL;
    p->planned = p->unaccounted = 0;
    if (page >= npages || npages > BLOCK_MAX) {
        return 0;
    }
    p->tick++;
    end_silent(p);
    s = continued(p, block, page);
    if (s) {
        hit(p, s, page);
    } else {
        s = begun(p, block, page);
        if (!s) {
            return 0;
        }
    }
    s->tick = p->tick;
    p->last = s;
    p->planned = prefetch_stream_plan(s, npages, p->plan, MIN(max, PREFETCH_WINDOW_MAX));
    p->unaccounted = p->planned;
    p->stats.offered += p->planned;
    p->stats.window = s->window;
    arrange(p, out);
    return p->planned;
}

void prefetch_sent(Prefetch *p, unsigned n)
{
    n = MIN(n, p->unaccounted);
    p->unaccounted -= n;
    p->stats.sent += n;
    if (p->last) {
        p->last->unproven += n;
    }
}

void prefetch_cut(Prefetch *p, unsigned done)
{
    const unsigned whole = done - done % PREFETCH_GROUP;

    if (p->last && done < p->planned) {
        p->last->high = p->last->dir * (int64_t)p->plan[whole] - 1;
        p->last->edge = false;
    }
}

bool prefetch_walk(const Prefetch *p, PrefetchWalk *w)
{
    const PrefetchStream *s = p->last;

    if (!s || s->hits == 0) {
        return false;
    }
    *w = (PrefetchWalk){
        .live = true,
        .number = (unsigned)(s - p->streams),
        .serial = s->serial,
        .block = s->block,
        .dir = s->dir,
        .pos = s->pos,
        .high = s->high,
        .lo = s->step ? s->step << PREFETCH_FRACTION : s->lo,
        .hi = s->step ? s->step << PREFETCH_FRACTION : s->hi,
    };
    return true;
}

void prefetch_stats(const Prefetch *p, PrefetchStats *s)
{
    *s = p->stats;
}
