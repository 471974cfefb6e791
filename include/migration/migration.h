/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libgodwit: the migration engine's front door.
 *
 * A MigrationState is one machine's view of migration: its options, its RAM blocks and device
 * handlers, at most one outgoing and at most one incoming migration. There is no process-wide
 * state: two of them in one process migrate to each other (see tests/unit/test-migration-pair.c).
 *
 * Calls here return within milliseconds and may come from any thread, unless said otherwise.
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

#include "migration/channel.h"
#include "migration/error.h"
#include "migration/host.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "migration/status.h"
#include "migration/vmstate.h"

typedef struct MigrationSettings {
    size_t size;              /* sizeof(MigrationSettings) */
    const char *machine_name; /* what the configuration section says: "microvm" */
    uint8_t uuid[16];
    bool has_uuid;            /* the user gave a UUID */
    const MigrationHostOps *host;
    void *host_opaque;
    unsigned nr_vcpus;        /* whose fault latency is told apart; 0: not known */
    const MigrationDirtyLogOps *dirty_log; /* NULL: the guest never writes (a stopped copy) */
    void *dirty_log_opaque;
    const MigrationClockOps *clock;        /* NULL: the real one */
    void *clock_opaque;
} MigrationSettings;

/* Strings and ops are copied; opaques must outlive the state. NULL with *errp if a needed
 * operation is missing. */
MigrationState *gw_migration_new(const MigrationSettings *settings, GError **errp);
/* Cancels what still runs and joins every thread; registrations and RAM blocks stay, so that
 * devices can be taken apart in order. No migration may be started afterwards. Machine lock not
 * held. */
void gw_migration_stop(MigrationState *ms);
/* gw_migration_stop(), and frees. Machine lock not held. */
void gw_migration_free(MigrationState *ms);

/* ---- outgoing ---- */

/*
 * Starts a migration to `addr`. Returns once it is started; progress and failure are seen in
 * gw_migration_query() and status_changed. file, fd and exec are opened before it returns, tcp and
 * unix in the background. The guest goes on running here after any failure before the switchover.
 */
bool gw_migrate(MigrationState *ms, const GwAddress *addr, bool resume, GError **errp);
/* The same over a channel that is already connected (takes a reference). */
bool gw_migrate_channel(MigrationState *ms, GwChannel *main_channel, GError **errp);
/* Stops a precopy; no error when none runs. The guest goes on here. */
bool gw_migrate_cancel(MigrationState *ms, GError **errp);
/* Leaves pre-switchover; `state` must be the present status. */
bool gw_migrate_continue(MigrationState *ms, MigrationStatus state, GError **errp);

/* Switches to postcopy as soon as possible; at any time of a precopy with capability
 * postcopy-ram. */
bool gw_migrate_start_postcopy(MigrationState *ms, GError **errp);
/* Breaks the connection of a running postcopy on purpose, on whichever side this is: both ends
 * enter postcopy-paused. */
bool gw_migrate_pause(MigrationState *ms, GError **errp);
/*
 * Takes the guest back from a postcopy that is paused and of whose package the destination has not
 * said a word: it goes on here as soon as the migration thread has ended, and the migration has
 * failed. For a user who knows that the destination does not run it. False, and nothing happens, if
 * this is no such migration. Any thread.
 */
bool gw_migrate_take_back(MigrationState *ms);

/* ---- incoming ---- */

/* Tells that this machine waits for a migration (-incoming). Before anything below. */
void gw_incoming_prepare(MigrationState *ms);
/*
 * Listens on `addr` and loads what comes. Errors of the address are returned; errors of the stream
 * are seen in gw_incoming_query(). With exit_on_error, host->incoming_failed is called on failure;
 * without, a further gw_incoming_start() may follow.
 */
bool gw_incoming_start(MigrationState *ms, const GwAddress *addr, bool exit_on_error,
                       GError **errp);
/* Loads from a channel that is already connected (takes a reference). */
bool gw_incoming_start_channel(MigrationState *ms, GwChannel *main_channel, bool exit_on_error,
                               GError **errp);

/* Destination, postcopy-paused: listens on `addr` for the source's `migrate` with resume. A second
 * call replaces the address. */
bool gw_incoming_recover(MigrationState *ms, const GwAddress *addr, GError **errp);

/* ---- either side ---- */

/* Whether there is a connection (or an attempt) that gw_migration_yank() would end. */
bool gw_migration_can_yank(MigrationState *ms);
/*
 * Ends the connections of both halves at once, for a peer or network that hangs: a precopy fails
 * and the guest goes on at the source (or stays paused there, if everything was sent already and
 * the destination may run it), a postcopy enters postcopy-paused on this side. No effect without a
 * connection.
 */
void gw_migration_yank(MigrationState *ms);

/* ---- looking ---- */

/* Fills *info with what query-migrate shows for one side; gw_migration_info_clear() it. */
void gw_migration_query(MigrationState *ms, MigrationInfo *info);
void gw_incoming_query(MigrationState *ms, MigrationInfo *info);
/* Waits until no outgoing (incoming) migration runs, however it ended. For tests and tools; not
 * from the main loop. */
void gw_migration_wait(MigrationState *ms);
void gw_incoming_wait(MigrationState *ms);

/* A reason why this machine cannot migrate now; returns an id to take it away again. */
int gw_blocker_add(MigrationState *ms, const char *reason);
void gw_blocker_remove(MigrationState *ms, int id);

/* ---- device state ---- */

typedef enum MigrationPriority {
    MIGRATION_PRIORITY_LOW = -1,
    MIGRATION_PRIORITY_DEFAULT = 0,
    MIGRATION_PRIORITY_APIC = 10,
} MigrationPriority;

#define VMSTATE_INSTANCE_ANY UINT32_MAX

/*
 * Registers one device's state. idstr NULL means vmsd->name; VMSTATE_INSTANCE_ANY takes the next
 * free number of that name. `vmsd` must outlive the registration, idstr is copied. Machine lock
 * held.
 */
bool gw_vmstate_register(MigrationState *ms, const char *idstr, uint32_t instance_id,
                         const VMStateDescription *vmsd, void *opaque, MigrationPriority priority,
                         GError **errp);
void gw_vmstate_unregister(MigrationState *ms, const VMStateDescription *vmsd, void *opaque);

#endif
