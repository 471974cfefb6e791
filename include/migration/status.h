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
    char *error_desc;        /* owned by the info; NULL if none */
    GPtrArray *blocked_reasons; /* of char *, owned; NULL if none */
    GPtrArray *socket_addresses; /* of GwAddress *, owned; incoming side; NULL if none */
} MigrationInfo;

void gw_migration_info_clear(MigrationInfo *info);

#endif
