/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postcopy, the incoming side: what its rooms share.
 *
 *   postcopy-commands.c  ADVISE, DISCARD, LISTEN, RUN, PACKAGED: the state machine
 *   postcopy-ram.c       set-up and tear-down of the target memory: discard, register
 *   postcopy-fault.c     the fault thread: from a fault to a request
 *   postcopy-place.c     puts arrived pages, in runs
 *   postcopy-load.c      page records of the main and of the preempt channel
 *   postcopy-listen.c    the listen thread (main channel after the package) and the preempt thread
 *   recovery-incoming.c  pause, migrate-recover, received bitmap, resume
 *   latency.c            what the guest felt
 *
 * Threads: incoming (runs the package), listen (main channel), fault, preempt. `received` and
 * `requested` are bitmaps changed with atomics; everything else under ms->lock or owned by a
 * thread. Wire: spec commands 3.4 and 3.5, ram 2.8 and 2.9.
 */
#ifndef MIGRATION_POSTCOPY_H
#define MIGRATION_POSTCOPY_H

#include "latency.h"
#include "migration/fault.h"
#include "ram-load.h"
#include "state.h"

typedef enum PostcopyState {
    POSTCOPY_NONE,
    POSTCOPY_ADVISE,
    POSTCOPY_DISCARD,
    POSTCOPY_LISTENING,
    POSTCOPY_RUNNING,
    POSTCOPY_END,
} PostcopyState;

/* Pages that are placed with one operation at most: 128 KiB. */
#define POSTCOPY_RUN_PAGES 32

/* One channel that carries postcopy pages: main or preempt. Its thread owns it. */
typedef struct PostcopyChannel {
    MigrationState *ms;
    RamLoadChannel ram;     /* CONTINUE state; in ram.block after the precopy part for main */
    bool preempt;
    /* Arrived and not placed yet: `run_pages` target pages of run_block from run_first on. */
    RAMBlock *run_block;
    uint64_t run_first;
    unsigned run_pages;
    bool run_zero;          /* all of them zero: nothing in `buffer` */
    uint8_t *buffer;        /* page aligned: a run, or one host page of a huge-page block */
    size_t buffer_size;
} PostcopyChannel;

struct PostcopyIncoming {
    PostcopyState state;        /* ms->lock */
    StreamReader *package_of;   /* incoming thread: the stream that the package came in */
    const MigrationFaultOps *fault_ops;
    void *fs;                   /* the open fault source */
    GThread *fault_thread, *listen_thread, *preempt_thread;
    StreamReader *reader;       /* main channel after LISTEN: the listen thread's */
    GwListener *listener;       /* where the preempt channel comes; NULL: none is wanted */
    GwChannel *preempt_main;    /* preempt thread: whose peer it has to come from */
    GwChannel *preempt_channel; /* ms->lock; NULL: not recognised yet */
    PostcopyChannel main, preempt;
    uint64_t **requested;       /* per block: host pages asked for (bit of the first target page) */
    RAMBlock *asked_block;      /* in.rp_lock: block of the last REQ_PAGES_ID on this connection */
    LatencyTable *latency;      /* faults that wait, and the histogram */
    bool listen_done;           /* ms->lock; the main channel's EOF came: every page is here */
    bool paused;                /* ms->lock */
    bool give_up;               /* ms->lock; the load failed: the threads are to end */
    GError *broken;             /* ms->lock; why another thread than listen ended the connection */
    bool preempt_ended;         /* ms->lock; its end mark came: no page follows on it */
    bool stop_faults;           /* atomic */
    bool faults_failed;         /* ms->lock; an error has ended the fault thread */
    uint64_t missing;           /* atomic: target pages that have not arrived */
    uint64_t requests, duplicates; /* atomic counters: sent; pages that came twice */
};
typedef struct PostcopyIncoming PostcopyIncoming;

/* ---- postcopy-ram.c; incoming thread ---- */

/* Whether this host can do it at all: opens and closes a fault source. */
bool postcopy_supported(MigrationState *ms, GError **errp);
/* ADVISE: opens the fault source. */
bool postcopy_ram_prepare(MigrationState *ms, GError **errp);
/* Drops [offset, offset + len) of a block and its received bits. */
bool postcopy_ram_discard(MigrationState *ms, RAMBlock *b, uint64_t offset, uint64_t len,
                          GError **errp);
/* LISTEN: registers all blocks, starts the fault thread. */
bool postcopy_ram_listen(MigrationState *ms, GError **errp);
/* Stops the fault thread and takes the ranges back: whoever waits for a page goes on without it. */
void postcopy_ram_release(MigrationState *ms);
/* The same, and frees. After the last page, or on failure. */
void postcopy_ram_end(MigrationState *ms);

/* ---- postcopy-fault.c ---- */

/* Starts and ends the fault thread. */
void postcopy_faults_start(MigrationState *ms);
void postcopy_faults_stop(MigrationState *ms);
/* After a resume: if an error has ended the fault thread, starts it anew, and whoever waits for a
 * page is noticed once more. */
bool postcopy_faults_restart(MigrationState *ms, GError **errp);
/* Sends REQ_PAGES for one host page, unless it is already asked for. Any thread. */
bool postcopy_request_page(MigrationState *ms, RAMBlock *b, uint64_t page, GError **errp);
/* After a resume: repeats every request whose page has not arrived. */
bool postcopy_request_again(MigrationState *ms, GError **errp);

/* ---- postcopy-place.c; the channel's thread ---- */

/* Places pages [page, page + n) of the block, whole host pages. `src` NULL: zeros. Marks them
 * received, wakes, accounts latency. A page that is there already is left and counted. */
bool postcopy_place(MigrationState *ms, RAMBlock *b, uint64_t page, uint64_t n, const uint8_t *src,
                    GError **errp);

/* ---- postcopy-load.c; the channel's thread ---- */

/* False if there is no memory for the buffer. */
bool postcopy_channel_init(PostcopyChannel *pc, MigrationState *ms, StreamReader *r, bool preempt,
                           GError **errp);
void postcopy_channel_clear(PostcopyChannel *pc);
/* A new connection: what the old one had begun is forgotten, the buffer is kept. */
void postcopy_channel_restart(PostcopyChannel *pc, StreamReader *r);
/* Records until EOS (*eos) or, on the preempt channel, the end of the stream (*end). Pages are
 * gathered into runs; a run is placed when it is full, when the next record does not continue it,
 * and before the thread would have to wait for more bytes. */
bool postcopy_load_records(PostcopyChannel *pc, bool *eos, bool *end, GError **errp);

/* The body of a RAM section on the main channel, whose reader r has to be; listen thread. */
bool postcopy_load_section(MigrationState *ms, StreamReader *r, GError **errp);

/* ---- postcopy-commands.c; incoming or listen thread ---- */

bool postcopy_command(MigrationState *ms, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                      uint16_t len, bool *quit, GError **errp);
PostcopyState postcopy_state(MigrationState *ms);

/* ---- postcopy-listen.c ---- */

/* Ends the connection with that reason, of which the first is kept: both ends pause. Takes it over.
 * Any thread, ms->lock held. */
void postcopy_break(MigrationState *ms, GError *why);

/* Waits for a connection that may be the preempt channel; starts the thread that recognises and
 * reads it; shuts it down and ends the thread. */
bool postcopy_accept_preempt(MigrationState *ms, GError **errp);
bool postcopy_preempt_start(MigrationState *ms, GError **errp);
void postcopy_preempt_join(MigrationState *ms);

bool postcopy_listen_start(MigrationState *ms, StreamReader *r, GError **errp);
/* Incoming thread, after the guest was started: waits until every page is here. */
bool postcopy_listen_join(MigrationState *ms, GError **errp);
/* Whether the listen thread has taken over the main channel's reader. Incoming thread. */
bool postcopy_owns_reader(MigrationState *ms);
/* Ends and frees everything; keeps the latency figures for query-migrate. */
void postcopy_incoming_free(MigrationState *ms);

#endif
