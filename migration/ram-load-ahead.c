/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes memory ahead of a long run of arriving pages: a thread of its own lets the kernel back the
 * next megabytes (MADV_POPULATE_WRITE changes no contents), so that the incoming thread does not
 * stop for first touches. Only private anonymous memory, only behind runs that were long already,
 * and never in a stream that may become a postcopy, where a page that exists is one that nobody
 * asks for.
 *
 * Huge pages or small ones: huge ones are better for the guest and usually cheaper to make. On a
 * machine that is itself a guest, and whose free memory its host took back, they can cost five
 * times as much as the small ones, which the kernel still has. So both are timed, and small ones
 * are made while huge ones are much dearer; khugepaged may join them after the load.
 *
 * The incoming thread asks; the range is under `lock`, the prices are the worker's own.
 */
#include "ram-load.h"

#include <sys/mman.h>
#include <time.h>

#include "lock.h"
#include "postcopy.h"
#include "trace.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define AHEAD_AFTER 1024 /* pages in a row */
#define AHEAD_PAGES 4096 /* 16 MiB */
#define AHEAD_STEP  (UINT64_C(2) << 20)
#define HUGE_PAGES  (AHEAD_STEP >> GW_TARGET_PAGE_BITS)
#define ASK_AGAIN   64 /* steps until the kind that is not used is tried again */
#define EXISTED_NS  50000.0 /* less than this for 2 MiB: there was nothing to make */
/* Huge pages may cost this many times as much as small ones; to come back to them, this. */
#define PATIENCE    1.5
#define RETURN      1.2

typedef enum Kind { SMALL, HUGE, KINDS } Kind;

struct RamLoadAhead {
    GThread *thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool quit;            /* lock */
    uint8_t *from, *to;   /* lock; to be made, from >= to: nothing */
    uint8_t *end;         /* lock; of the block that this lies in */
    double price[KINDS];  /* worker; CPU ns a step, 0: not known */
    unsigned steps;       /* worker */
    Kind advised;         /* worker; what the rest of the block has been advised to be */
    const RAMBlock *block; /* incoming thread: what was asked for last */
    uint64_t asked_to;    /* incoming thread: page of `block` up to which that goes */
};

/* Of this thread: how long it waits for a CPU says nothing about pages. */
static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static Kind cheaper(const RamLoadAhead *a)
{
    const double most = a->advised == HUGE ? PATIENCE : RETURN;

    return a->price[HUGE] <= most * a->price[SMALL] ? HUGE : SMALL;
}

static Kind choose(RamLoadAhead *a)
{
    for (Kind k = 0; k < KINDS; k++) {
        if (a->price[k] == 0) {
            return k;
        }
    }
    return ++a->steps % ASK_AGAIN ? cheaper(a) : !cheaper(a);
}

/* All these are hints: where they fail the incoming thread faults as ever. */
static void make(RamLoadAhead *a, uint8_t *at, uint64_t len, uint8_t *end)
{
    static const int advice[KINDS] = {MADV_NOHUGEPAGE, MADV_HUGEPAGE};
    const Kind k = choose(a);
    double ns;

    if (k != a->advised) {
        (void)madvise(at, len, advice[k]);
    }
    ns = cpu_ns();
    (void)madvise(at, len, MADV_POPULATE_WRITE);
    ns = (cpu_ns() - ns) * ((double)AHEAD_STEP / (double)len);
    if (ns < EXISTED_NS) {
        return;
    }
    a->price[k] = a->price[k] == 0 ? ns : a->price[k] * 0.75 + ns * 0.25;
    if (a->price[!k] != 0 && cheaper(a) != a->advised) {
        a->advised = cheaper(a);
        (void)madvise(at + len, (size_t)(end - (at + len)), advice[a->advised]);
        trace_event(ram_load_ahead, "%s pages; 2 MiB cost %.0f us small, %.0f us huge",
                    a->advised == HUGE ? "huge" : "small", a->price[SMALL] / 1e3,
                    a->price[HUGE] / 1e3);
    }
}

static gpointer worker(gpointer opaque)
{
    RamLoadAhead *a = opaque;

    pthread_mutex_lock(&a->lock);
    while (!a->quit) {
        uint8_t *at = a->from, *end = a->end;

        if (a->from >= a->to) {
            pthread_cond_wait(&a->cond, &a->lock);
            continue;
        }
        const uint64_t len = MIN((uint64_t)(a->to - at), AHEAD_STEP);

        a->from += len;
        pthread_mutex_unlock(&a->lock);
        make(a, at, len, end);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

RamLoadAhead *ram_load_ahead_new(void)
{
    RamLoadAhead *a = g_new0(RamLoadAhead, 1);

    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->cond, NULL);
    a->advised = HUGE; /* ram_load_setup() */
    a->thread = g_thread_new("mig/dst/ahead", worker, a);
    return a;
}

void ram_load_ahead_free(RamLoadAhead *a)
{
    pthread_mutex_lock(&a->lock);
    a->quit = true;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
    g_thread_join(a->thread);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->cond);
    g_free(a);
}

void ram_load_ahead(RamLoad *ld, const RAMBlock *b, uint64_t page, unsigned run)
{
    RamLoadAhead *a = ld->ahead;
    uint64_t from = (page + HUGE_PAGES) / HUGE_PAGES * HUGE_PAGES, to;

    if (run < AHEAD_AFTER || !ram_block_is_private_anonymous(b) ||
        b->info.page_size > GW_TARGET_PAGE_SIZE || postcopy_state(ld->ms) != POSTCOPY_NONE) {
        return;
    }
    if (!a) {
        a = ld->ahead = ram_load_ahead_new();
    }
    to = MIN(from + AHEAD_PAGES, ram_block_pages(b));
    if (a->block == b && a->asked_to > page && to < a->asked_to + HUGE_PAGES) {
        return; /* enough is asked for already */
    }
    pthread_mutex_lock(&a->lock);
    if (a->block != b || a->from < ram_block_page(b, from) || a->from > ram_block_page(b, to)) {
        a->from = ram_block_page(b, from); /* overtaken, or elsewhere */
    }
    a->to = ram_block_page(b, to);
    a->end = b->info.host + b->info.used_length;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
    a->block = b;
    a->asked_to = to;
}
