/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MigrationState and its two halves: the data model of the engine. Private to migration/.
 *
 * Locks, in the order in which they may be taken:
 *   machine lock (host->lock)  device state, the registries below; never held while waiting for a
 *                              peer
 *   ms->lock                   status, error, channels and thread handles of both halves; short
 *   RamSave.sync_lock          harvesting the dirty log, the pages of the next pass, the throttle
 *   ms->options.lock           option values; leaf
 *   ms->free_page.lock         whether free-page hints are taken; leaf
 */
#ifndef MIGRATION_STATE_H
#define MIGRATION_STATE_H

#include <pthread.h>

#include "cpu-throttle.h"
#include "latency.h"
#include "lock.h"
#include "migration/migration.h"
#include "outlook.h"
#include "savevm.h"
#include "stream.h"

typedef struct OptionValues {
    pthread_mutex_t lock;
    bool caps[MIGRATION_CAP__COUNT];
    MigrationParamValue params[MIGRATION_PARAM__COUNT];
    MigrationCompat compat;
} OptionValues;

void option_values_init(OptionValues *o);
void option_values_clear(OptionValues *o);

struct DirtyShare; /* dirty-share.h */
struct DirtyRate;  /* dirty-rate.h */

typedef struct RamSave RamSave; /* ram.c: the RAM section of one outgoing migration */
typedef struct RamLoad RamLoad; /* ram-load.c: of one incoming migration */

/* A block of guest memory and what both directions know of it. */
struct RAMBlock {
    RAMBlockInfo info; /* idstr owned */
    MigrationState *ms;
    uint64_t *dirty;    /* RamSave: one bit per target page, set = to be sent */
    uint64_t *unprotected; /* RamSave: chunks whose dirty log must be cleared before reading */
    uint64_t *news;     /* background-sync, two-step log: chunks that were protected since the log
                           reported of them, so that what it reports was written since */
    uint64_t *news_seen; /* ... as the harvest found it at its start; RamSave.sync_lock */
    uint64_t *received; /* RamLoad: one bit per target page */
    uint64_t *known_zero; /* RamLoad: target pages that are known to read as zeros */
    uint64_t dirty_pages; /* population of `dirty` */
    uint64_t *next;     /* background-sync: found dirty in this pass, to be sent in the next one;
                           RamSave.sync_lock */
    uint64_t *recent;   /* postcopy: pages that the last dirty sync found; sent first */
    uint64_t recent_at; /* how far that is sent; migration thread */
    unsigned index;     /* in ms->ram_blocks */
    bool ignored;       /* x-ignore-shared: the pages of this block are not sent */
    bool listed;        /* incoming: the source has this block */
    bool watched;       /* incoming postcopy: faults on it are reported */
    bool bitmap_expected; /* outgoing recovery, ms->lock: RECV_BITMAP was asked for */
};

/* Of XBZRLE; `bytes` of its records, headers included. */
typedef struct XbzrleStats {
    uint64_t lookups, misses, pages, bytes, overflows;
} XbzrleStats;

/* Counters of the outgoing side; relaxed atomics, written by the threads that send. */
typedef struct MigrationStats {
    uint64_t transferred, normal_pages, zero_pages, skipped_pages;
    uint64_t precopy_bytes, downtime_bytes, postcopy_bytes, multifd_bytes;
    uint64_t dirty_sync_count, dirty_pages_rate, postcopy_requests;
    uint64_t pages_per_second;
    XbzrleStats xbzrle;
} MigrationStats;

/* How the urgent pages of a postcopy fared; relaxed atomics. */
typedef struct PostcopyCounters {
    uint64_t urgent_pages, hints_offered, hints_consumed, hints_hit, hints_dropped;
    uint64_t prefetch_offered, prefetch_sent, prefetch_hit, prefetch_useless, prefetch_ahead;
} PostcopyCounters;

/* What the background syncs of an outgoing migration did; relaxed atomics. */
typedef struct BackgroundCounters {
    uint64_t syncs, ns, throttle_changes, skipped_pages;
} BackgroundCounters;

/* What came of free-page hints in an outgoing migration; relaxed atomics. */
typedef struct FreePageCounters {
    uint64_t windows, hints, late_hints, skipped_bytes;
} FreePageCounters;

/* free-page.c. `lock` is a leaf; ops and opaque change only while no migration runs. */
typedef struct FreePage {
    pthread_mutex_t lock;
    const struct MigrationFreePageOps *ops; /* NULL: nobody hints */
    void *opaque;
    bool is_open;
    FreePageCounters counters;
} FreePage;

#define STAT_ADD(field, n) __atomic_fetch_add(&(field), (n), __ATOMIC_RELAXED)
#define STAT_SET(field, n) __atomic_store_n(&(field), (n), __ATOMIC_RELAXED)
#define STAT_GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* The outgoing half; migration.c. Fields under ms->lock unless said. */
typedef struct Outgoing {
    MigrationStatus status;
    GError *error;
    GThread *thread;
    bool thread_running;
    GwCancel *cancel;      /* ends a connect */
    bool cancel_requested; /* atomic reads by the migration thread */
    pthread_cond_t cond;   /* signalled on: cancel, continue, return-path news, thread end */
    bool continue_requested;
    bool postcopy_requested; /* atomic */
    GwChannel *channel;    /* the main channel while it is open */
    StreamWriter *writer;  /* migration thread only */
    struct ReturnPath *return_path; /* return-path.c */
    int64_t start_ns, setup_end_ns, downtime_start_ns, end_ns;
    uint64_t downtime_ms, expected_downtime_ms;
    double mbps;
    double xbzrle_miss_rate, xbzrle_encoding_rate; /* of the last pass */
    double link_bytes_per_s; /* as far as it is known, also of earlier migrations; 0: not */
    bool had_postcopy;     /* this migration switched to postcopy */
    bool yanked;           /* yank ended its connection */
    bool was_running;      /* guest ran when the switchover began */
    bool stopped_guest;    /* this migration paused the guest: resume it if it fails */
    bool pause_requested;  /* migrate-pause or yank in postcopy */
    bool quit;             /* the state is being freed: leave even postcopy-paused */
    bool zero_target;      /* the destination's memory was zero before the first page */
    bool sent_everything;  /* EOF is on its way: the destination may own the guest */
    uint64_t bandwidth;    /* bytes/s of the last window; migration thread */
    MigrationBlackout blackout; /* relaxed atomics; migration thread */
    uint64_t threshold_bytes; /* migration thread; what fits into the downtime limit */
} Outgoing;

/* What the destination did so that zero pages need not be sent; pages. */
typedef struct ZeroTarget {
    bool agreed;
    uint64_t fresh_pages;   /* never touched, the kernel says */
    uint64_t cleared_pages; /* held something else */
} ZeroTarget;

/* The incoming half; incoming.c. Fields under ms->lock unless said. */
typedef struct Incoming {
    MigrationStatus status;
    GError *error;
    bool expected;         /* -incoming was given */
    bool started;          /* a listener or channel is in use */
    bool exit_on_error;
    GThread *thread;
    bool thread_running;
    pthread_cond_t cond;
    GwListener *listener;
    struct IncomingDoor *door; /* incoming-door.c; NULL without a listener */
    GwListener *next_listener; /* of a second migrate-recover, while the first is still waited on */
    GPtrArray *addresses;  /* of GwAddress * */
    GwChannel *channel;
    pthread_mutex_t rp_lock;        /* one return-path message at a time */
    bool rp_open;          /* incoming thread; the source opened the return path */
    bool abort_requested;
    bool pause_requested;  /* migrate-pause in postcopy */
    bool yanked;           /* yank ended its connection */
    bool zero_promised;    /* incoming thread; the stream leaves zero pages out */
    ZeroTarget zero_target;
    MigrationBlackout blackout; /* relaxed atomics; incoming thread */
    bool has_latency;      /* of the last postcopy */
    LatencyInfo latency;
    char run_state[64];    /* what globalstate said; "" if it said nothing; incoming thread */
} Incoming;

struct MigrationState {
    char *machine_name;
    uint8_t uuid[16];
    bool has_uuid;
    MigrationHostOps host;
    void *host_opaque;
    unsigned nr_vcpus;     /* 0: not known */
    MigrationDirtyLogOps dirty_log;
    void *dirty_log_opaque;
    bool has_dirty_log;
    struct DirtyShare *dirty_share; /* dirty_log is its migration's side; NULL without a log */
    struct DirtyRate *dirty_rate;
    MigrationClockOps clock;
    void *clock_opaque;

    pthread_mutex_t lock;
    OptionValues options;
    GPtrArray *ram_blocks; /* of RAMBlock, largest first; machine lock, fixed while migrating */
    SaveRegistry registry;
    MigrationStats stats;
    RamSave *ram_save;     /* exists from setup to cleanup of an outgoing migration */
    RamLoad *ram_load;
    Outgoing out;
    Outlook outlook;       /* ms->lock */
    Incoming in;
    GHashTable *blockers;  /* id -> reason; ms->lock */
    int next_blocker;
    char global_run_state[64]; /* globalstate section to send: before the guest was stopped */
    struct GlobalState *global_state;
    struct PostcopySource *postcopy_source;     /* postcopy-source.h; one outgoing migration's */
    struct PostcopyIncoming *postcopy_incoming; /* postcopy.h; one incoming migration's */
    const struct MigrationFaultOps *fault_ops;  /* migration/fault.h; constant */
    PostcopyCounters postcopy_counters;
    struct DirtyLimit *dirty_limit;
    CpuThrottle throttle;  /* of the outgoing migration */
    BackgroundCounters background_counters;
    FreePage free_page;
};

static inline int64_t ms_now_ns(MigrationState *ms)
{
    return ms->clock.now_ns(ms->clock_opaque);
}

/* ram.c, ram-load.c: register the RAM section's handlers with ms->registry (at
 * gw_migration_new). */
void ram_register(MigrationState *ms);
/* Frees what is left of the blocks (at gw_migration_free). */
void ram_unregister(MigrationState *ms);
/* Bytes of all blocks that migrate. */
uint64_t ram_bytes_total(MigrationState *ms);
/* Bytes still dirty by the present bitmap; any thread, approximate. */
uint64_t ram_bytes_remaining(MigrationState *ms);
/* Harvests the dirty log into the bitmap. Migration thread. */
bool ram_dirty_sync(MigrationState *ms, GError **errp);

/* global-state.c: registers the `globalstate` section. */
bool global_state_register(MigrationState *ms, GError **errp);
/* Whether QEMU knows that RunState word. */
bool ms_run_state_is_known(MigrationState *ms, const char *word);

/* blockers.c: false with *errp if there is one; the list (ms->lock held), NULL if none. */
bool blockers_check(MigrationState *ms, GError **errp);
GPtrArray *blockers_list(MigrationState *ms);

/* incoming.c: ends an incoming migration that waits or loads; returns at once. */
void incoming_abort(MigrationState *ms);

#endif
