/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's dirty log, shared: a migration and a measurement of the dirty rate may both use it
 * at once and neither loses a page to the other. Each user gets MigrationDirtyLogOps of its own.
 *
 * A page that the log reports to one user is kept for the others until they sync. While there is
 * one user only, its calls go straight through and nothing is kept.
 * `lock` (leaf) is held over the machine's sync and clear: they never run twice at once.
 */
#ifndef MIGRATION_DIRTY_SHARE_H
#define MIGRATION_DIRTY_SHARE_H

#include <pthread.h>

#include "migration/ram.h"
#include "migration/status.h"

typedef enum DirtyUserId {
    DIRTY_USER_MIGRATION,
    DIRTY_USER_MEASURE,
    DIRTY_USER_LIMIT,
    DIRTY_USER__COUNT,
} DirtyUserId;

typedef struct DirtyShare DirtyShare;

typedef struct DirtyUser {
    DirtyShare *share;
    bool on;             /* between start and stop */
    GHashTable *pending; /* RAMBlock * -> bitmap of what others were told; owned */
    uint64_t vcpu_pages[MIGRATION_LATENCY_MAX_VCPUS]; /* not yet asked for */
} DirtyUser;

struct DirtyShare {
    pthread_mutex_t lock;
    MigrationDirtyLogOps log; /* the machine's; copied */
    void *log_opaque;
    DirtyUser users[DIRTY_USER__COUNT];
};

DirtyShare *dirty_share_new(const MigrationDirtyLogOps *log, void *log_opaque);
void dirty_share_free(DirtyShare *s);
/* Fills *ops for that user and returns their opaque. The ops keep the machine log's rules, with two
 * differences: two users may call them at once, and start() reports no more than it must: what was
 * written before a second user's start() may be in its first sync(). */
void *dirty_share_ops(DirtyShare *s, DirtyUserId user, MigrationDirtyLogOps *ops);

#endif
