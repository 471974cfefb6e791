/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postcopy, the outgoing side: what its rooms share.
 *
 *   postcopy-switch.c    from the decision to the moment the destination may run
 *   postcopy-source.c    background pages, the end, pause
 *   postcopy-requests.c  a page request: checks, claim, send or queue
 *   preempt.c            the preempt channel: urgent pages, prefetch, hint
 *   recovery-source.c    reconnect, received bitmap, resume
 *
 * Threads: migration (background pages on the main channel) and return-path (requests; with preempt
 * it sends them itself on the preempt channel). A host page is sent by whoever clears its bits in
 * the dirty bitmap (postcopy_claim): no lock is held while a socket is written.
 * Wire: spec commands 3.4, ram 2.8 and 2.9.
 */
#ifndef MIGRATION_POSTCOPY_SOURCE_H
#define MIGRATION_POSTCOPY_SOURCE_H

#include "outgoing.h"
#include "prefetch-walk.h"
#include "ram-save.h"

#define POSTCOPY_QUEUE_MAX 4096 /* requests that wait for the migration thread */

struct PostcopySource {
    bool handed_over;        /* ms->lock; the permission to run is on its way: never resume here */
    bool confirmed;          /* ms->lock; a word of the destination showed: it has the package */
    bool taken_back;         /* ms->lock; the user knows that the destination does not run */
    /* Requests without a preempt channel; ms->lock. */
    GQueue queue;            /* of PageRange * */
    /* The preempt channel. `channel` under ms->lock, the rest is the return-path thread's. */
    struct {
        GwChannel *channel;
        StreamWriter *writer;
        RamSender sender;
        Prefetch *prefetch;
    } preempt;
    uint64_t hint;           /* atomic slot: 0 empty, else block index << 48 | page + 1 */
    uint64_t hint_expect;    /* atomic: where a hit of the last consumed hint would be */
    uint64_t hint_taken_at;  /* atomic: pages sent when it was consumed */
    int hint_score;          /* return-path thread: do hints hit? */
    unsigned hint_trial;     /* return-path thread: offers that were left out */
    PrefetchAhead ahead;     /* see prefetch-walk.c */
    bool urgent_busy;        /* atomic: the return-path thread claims or sends pages */
    /* Recovery; ms->lock. */
    GwAddress *address;      /* where to connect further channels; NULL: a ready-made channel */
    GwAddress *resume_address;
    unsigned bitmaps_missing; /* RECV_BITMAP answers that have not come */
    bool resume_acked;
};
typedef struct PostcopySource PostcopySource;

/* The host page (its first target page and how many) that holds a target page. */
static inline PageRange postcopy_host_page(RAMBlock *b, uint64_t page)
{
    const uint64_t n = b->info.page_size >> GW_TARGET_PAGE_BITS;

    return (PageRange){.block = b, .first = page / n * n, .npages = n};
}

/* postcopy-source.c; migration thread: what one outgoing migration needs, before it connects and
 * after its channels are closed. */
void postcopy_source_new(MigrationState *ms, const GwAddress *addr);
void postcopy_source_free(MigrationState *ms);

/* postcopy-switch.c; migration thread */
bool postcopy_switch(MigrationState *ms, StreamWriter *w, GError **errp);
/* A host page of which a part is dirty becomes dirty as a whole: it is sent and placed as a
 * whole. */
void postcopy_canonicalise(RAMBlock *b);
/* postcopy-source.c: all that follows; true: completed. */
bool postcopy_run(MigrationState *ms, GError **errp);
/* False, with the reason in *errp, if the return path ended or somebody asked for a pause: no use
 * to go on writing or waiting. */
bool postcopy_still_connected(MigrationState *ms, GError **errp);
/* Puts ADVISE; setup. */
void postcopy_put_advise(MigrationState *ms, StreamWriter *w);

/* Whether the permission to run is on its way. Any thread. */
bool postcopy_is_handed_over(MigrationState *ms);
/* The destination has shown that it has the package. ms->lock held; return-path thread. */
void postcopy_confirm(MigrationState *ms);

/* postcopy-requests.c; return-path thread */
bool postcopy_request(MigrationState *ms, RAMBlock *b, uint64_t start, uint32_t len,
                      GError **errp);
/* Migration thread: the next queued request. PageSourceFn. */
bool postcopy_queue_next(void *ms, PageRange *range);
/* Whether a page is queued that was not sent meanwhile; those that were are dropped. ms->lock
 * held. */
bool postcopy_queue_waits(MigrationState *ms);
void postcopy_queue_clear(MigrationState *ms);

/* preempt.c */
bool preempt_open(MigrationState *ms, GError **errp);   /* migration thread */
/* The end of the stream on it; migration thread, after the last background page. */
bool preempt_finish(MigrationState *ms, GError **errp);
void preempt_close(MigrationState *ms);                 /* after the return-path thread ended */
bool preempt_send(MigrationState *ms, const PageRange *host_page, GError **errp); /* return-path */
bool preempt_ready(MigrationState *ms);                 /* return-path: is there a channel */
void preempt_shutdown(MigrationState *ms);              /* any thread */
/* hint.c: PageSourceFn of the migration thread, and the offer of the return-path thread. */
bool hint_next(void *ms, PageRange *range);
void hint_offer(MigrationState *ms, const PageRange *sent);
void hint_request(MigrationState *ms, const PageRange *asked);

/* recovery-source.c; migration thread */
/* Closes everything, enters postcopy-paused with that error, and returns when a new connection has
 * taken over; false only when the state is being freed. Takes ownership of `why`. */
bool recovery_wait_and_resume(MigrationState *ms, GError *why, GError **errp);
/* Return-path thread: a bitmap that follows a RECV_BITMAP message. */
bool recovery_read_bitmap(MigrationState *ms, StreamReader *r, RAMBlock *b, GError **errp);

#endif
