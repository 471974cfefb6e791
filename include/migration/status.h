/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MigrationStatus and the counters that query-migrate shows. Spec: qmp 5.4 and 5.5. */
#ifndef MIGRATION_STATUS_H
#define MIGRATION_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum MigrationStatus {
    MIGRATION_STATUS_NONE,
    MIGRATION_STATUS_SETUP,
    MIGRATION_STATUS_CANCELLING,
    MIGRATION_STATUS_CANCELLED,
    MIGRATION_STATUS_ACTIVE,
    MIGRATION_STATUS_POSTCOPY_DEVICE,
    MIGRATION_STATUS_POSTCOPY_ACTIVE,
    MIGRATION_STATUS_POSTCOPY_PAUSED,
    MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP,
    MIGRATION_STATUS_POSTCOPY_RECOVER,
    MIGRATION_STATUS_COMPLETED,
    MIGRATION_STATUS_FAILING,
    MIGRATION_STATUS_FAILED,
    MIGRATION_STATUS_COLO,
    MIGRATION_STATUS_PRE_SWITCHOVER,
    MIGRATION_STATUS_DEVICE,
    MIGRATION_STATUS_WAIT_UNPLUG,
    MIGRATION_STATUS__COUNT,
} MigrationStatus;

/* "none", "setup", ...: static. */
const char *gw_migration_status_name(MigrationStatus status);

/* RAM counters; bytes unless the name says pages. */
typedef struct MigrationRamInfo {
    uint64_t transferred, remaining, total;
    uint64_t duplicate_pages, normal_pages, skipped_pages;
    uint64_t dirty_pages_rate;  /* pages/s */
    double mbps;                /* megabits/s over the whole migration */
    uint64_t dirty_sync_count;
    uint64_t postcopy_requests;
    uint64_t page_size;
    uint64_t multifd_bytes, precopy_bytes, downtime_bytes, postcopy_bytes;
    uint64_t pages_per_second;
    uint64_t dirty_sync_missed_zero_copy;
} MigrationRamInfo;

/* XBZRLE at the source. */
typedef struct MigrationXbzrleInfo {
    uint64_t cache_size;     /* bytes, as it is set */
    uint64_t bytes, pages;   /* sent as changes */
    uint64_t cache_miss;     /* pages whose last version was not kept */
    double cache_miss_rate;  /* of the pages of the last pass, 0 to 1 */
    double encoding_rate;    /* bytes of pages per byte sent for them, in the last pass */
    uint64_t overflow;       /* pages that had changed too much */
} MigrationXbzrleInfo;

/* What the destination did so that zero pages need not be sent; pages. */
typedef struct MigrationZeroTargetInfo {
    uint64_t fresh_pages;    /* never touched before, the kernel says */
    uint64_t cleared_pages;  /* held something else */
} MigrationZeroTargetInfo;

#define MIGRATION_LATENCY_BUCKETS 24
#define MIGRATION_LATENCY_MAX_VCPUS 64

/*
 * What the guest felt of a postcopy: how long faults on missing pages took, from notice to wake.
 * Times in ns unless said; means over all faults that ended. Bucket k of `dist` counts those of
 * [2^k, 2^(k+1)) us, the last one all above, the first one those below too.
 */
typedef struct MigrationLatency {
    uint64_t faults;
    uint64_t mean_ns, p50_ns, p99_ns, max_ns; /* quantiles: upper bounds within their bucket */
    uint64_t dist[MIGRATION_LATENCY_BUCKETS];
    unsigned nr_vcpus;
    uint64_t vcpu_mean_ns[MIGRATION_LATENCY_MAX_VCPUS];
    uint64_t vcpu_blocktime_ms[MIGRATION_LATENCY_MAX_VCPUS]; /* time this vCPU waited */
    uint64_t non_vcpu_mean_ns;
    uint64_t blocktime_ms; /* time in which every vCPU waited at once */
    uint64_t request_ns, transfer_ns, place_ns; /* where the mean went */
} MigrationLatency;

/* How a postcopy's source sent what was asked for; host pages, prefetch_hit: requests. */
typedef struct MigrationPreemptInfo {
    uint64_t urgent_pages;
    uint64_t hints_offered, hints_consumed, hints_hit, hints_dropped;
    uint64_t prefetch_offered, prefetch_sent, prefetch_hit, prefetch_useless;
    uint64_t prefetch_ahead; /* sent by the background stream along a predicted walk */
} MigrationPreemptInfo;

/* What background-sync did in an outgoing migration. */
typedef struct MigrationBackgroundInfo {
    uint64_t syncs;
    uint64_t time_us;          /* spent in them */
    uint64_t throttle_changes; /* of auto-converge, caused by them */
    uint64_t skipped_pages;    /* written again before they were sent: sent once */
} MigrationBackgroundInfo;

/* What the guest's free-page hints spared an outgoing migration. */
typedef struct MigrationFreePageInfo {
    uint64_t hints;          /* that were taken, each of any number of pages */
    uint64_t late_hints;     /* that came when none were taken any more */
    uint64_t skipped_bytes;  /* not sent in the first pass */
} MigrationFreePageInfo;

/* Where the time in which the guest stood still went; ns. Each side knows its own part: the source
 * the first six, the destination the last five, both of `transfer`: the time that the source
 * needed to write, and that the destination waited to read the device state. */
typedef struct MigrationBlackout {
    uint64_t stop_ns, dirty_sync_ns, last_pages_ns, device_save_ns, description_ns, answer_ns;
    uint64_t transfer_ns;
    uint64_t decode_ns, apply_ns, commit_ns, post_commit_ns, start_ns;
    uint64_t map_edits, map_commits, map_rebuilds, map_ioctls; /* of the device load */
} MigrationBlackout;

/* The part of one section in it; ns. Decoding without the wait for bytes. */
typedef struct MigrationDeviceTimes {
    char name[256];
    uint32_t instance_id;
    uint64_t save_ns, decode_ns, apply_ns, post_commit_ns;
    uint64_t bytes;          /* sent */
} MigrationDeviceTimes;

/* A snapshot of one side. Times in ms unless said; has_* tells what QEMU would show. */
typedef struct MigrationInfo {
    MigrationStatus status;
    bool has_times;
    uint64_t total_time, setup_time;
    bool has_expected_downtime;
    uint64_t expected_downtime;
    bool has_downtime;
    uint64_t downtime;
    bool has_ram;
    MigrationRamInfo ram;
    uint64_t remaining;      /* bytes, whole system */
    unsigned cpu_throttle_percentage;
    bool has_dirty_limit;    /* outgoing: dirty-limit is in service */
    uint64_t dirty_limit_throttle_us, dirty_limit_ring_full_us; /* of the last period */
    bool has_background;     /* outgoing, with background-sync */
    MigrationBackgroundInfo background;
    bool has_free_page;      /* outgoing: the guest was asked for hints */
    MigrationFreePageInfo free_page;
    bool has_xbzrle;         /* outgoing, with ram: the capability is on */
    MigrationXbzrleInfo xbzrle;
    bool has_zero_target;    /* outgoing, with ram: skip-zero-pages is on; incoming: it agreed */
    bool zero_target_agreed; /* outgoing: the zero pages of the first pass are not sent */
    MigrationZeroTargetInfo zero_target; /* incoming */
    bool has_expected_end;   /* outgoing, while RAM is sent: as things are */
    uint64_t expected_end;   /* from now */
    uint64_t expected_total_time; /* from the start, as total_time */
    bool has_will_converge;  /* known whether the precopy ends by itself */
    bool will_converge;
    char will_converge_reason[384]; /* why not, and what would help; "" */
    bool has_preempt;        /* outgoing: it switched to postcopy */
    MigrationPreemptInfo preempt;
    bool has_latency;        /* incoming: there is or was a postcopy */
    MigrationLatency latency;
    bool has_blocktime;      /* incoming: show the blocktimes in `latency` */
    bool has_blackout;       /* the guest was stopped, or device state has come */
    MigrationBlackout blackout;
    GArray *devices;         /* of MigrationDeviceTimes, owned; with has_blackout */
    char *error_desc;        /* owned by the info; NULL if none */
    GPtrArray *blocked_reasons; /* of char *, owned; NULL if none */
    GPtrArray *socket_addresses; /* of GwAddress *, owned; incoming side; NULL if none */
} MigrationInfo;

void gw_migration_info_clear(MigrationInfo *info);

#endif
