/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes memory ahead of a long run of arriving pages: a thread of its own lets the kernel back the
 * next megabytes (MADV_POPULATE_WRITE changes no contents), so that the incoming thread does not
 * stop for the first touch of each huge page. Only private anonymous memory, only behind runs that
 * were long already, and never in a stream that may become a postcopy, where a page that exists is
 * one that nobody asks for.
 * The incoming thread asks; the worker owns nothing but the range under `lock`.
 */
#include "ram-load.h"

#include <sys/mman.h>

#include "lock.h"
#include "postcopy.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define AHEAD_AFTER  1024 /* pages in a row */
#define AHEAD_PAGES  4096 /* 16 MiB */
#define AHEAD_STEP   (UINT64_C(2) << 20)

struct RamLoadAhead {
    GThread *thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool quit;            /* lock */
    uint8_t *from, *to;   /* lock; to be made, from == to: nothing */
    const RAMBlock *block; /* incoming thread: what was asked for last */
    uint64_t asked_to;    /* incoming thread: page of `block` up to which that goes */
};

static gpointer worker(gpointer opaque)
{
    RamLoadAhead *a = opaque;

    pthread_mutex_lock(&a->lock);
    while (!a->quit) {
        uint8_t *at = a->from;
        const uint64_t len = MIN((uint64_t)(a->to - at), AHEAD_STEP);

        if (len == 0) {
            pthread_cond_wait(&a->cond, &a->lock);
            continue;
        }
        a->from += len;
        pthread_mutex_unlock(&a->lock);
        /* Nothing is lost if it fails: then the incoming thread faults as ever. */
        (void)madvise(at, len, MADV_POPULATE_WRITE);
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
    a->thread = g_thread_new("mig/dst/ahead", worker, a);
    return a;
}

void ram_load_ahead_free(RamLoadAhead *a)
{
    if (!a) {
        return;
    }
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
    const uint64_t huge = AHEAD_STEP >> GW_TARGET_PAGE_BITS;
    uint64_t from = (page + huge) / huge * huge;
    const uint64_t to = MIN(page + AHEAD_PAGES, ram_block_pages(b));

    if (run < AHEAD_AFTER || !ram_block_is_private_anonymous(b) ||
        b->info.page_size > GW_TARGET_PAGE_SIZE || postcopy_state(ld->ms) != POSTCOPY_NONE) {
        return;
    }
    if (!a) {
        a = ld->ahead = ram_load_ahead_new();
    }
    if (a->block == b && a->asked_to > page) {
        from = MAX(from, a->asked_to);
    }
    if (from + AHEAD_PAGES / 4 > to) {
        return; /* enough is asked for already */
    }
    pthread_mutex_lock(&a->lock);
    if (a->from == a->to) {
        a->from = ram_block_page(b, from);
        a->to = ram_block_page(b, to);
        a->block = b;
        a->asked_to = to;
        pthread_cond_signal(&a->cond);
    }
    pthread_mutex_unlock(&a->lock);
}
