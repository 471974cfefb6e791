/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engine needs from the machine that embeds it: host, clock and fault-source operations.
 * Every table starts with its size, so that it can grow without breaking a caller.
 */
#ifndef MIGRATION_HOST_H
#define MIGRATION_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "migration/ram.h"
#include "migration/status.h"

/* What the memory map's transactions came to, since the machine was made. */
typedef struct MigrationMapCounts {
    uint64_t edits;     /* of regions and ioeventfds */
    uint64_t commits;
    uint64_t rebuilds;  /* flat views made */
    uint64_t ioctls;    /* memory slots and ioeventfds set or taken away */
    uint64_t commit_ns; /* spent in commits */
} MigrationMapCounts;

typedef struct MigrationHostOps {
    size_t size;

    /* Device state is guarded by the machine lock. The engine never holds it while it waits for a
     * peer. Recursive locking is not asked for. */
    void (*lock)(void *opaque);
    void (*unlock)(void *opaque);

    /* Pauses all vCPUs and devices and enters `run_state` ("finish-migrate", "postmigrate",
     * "paused"); returns when no vCPU runs any more. Any thread but a vCPU's, lock NOT held. Fine
     * when already stopped: then only the run state changes. */
    bool (*stop_guest)(void *opaque, const char *run_state, GError **errp);
    /* Resumes and enters "running". Lock not held. */
    bool (*start_guest)(void *opaque, GError **errp);
    /* The present run state, a static string of QEMU's RunState words. Any thread. */
    const char *(*run_state)(void *opaque);
    /* Changes the run state of a stopped guest; false with *errp for an unknown word. */
    bool (*set_run_state)(void *opaque, const char *run_state, GError **errp);
    /* Whether vCPUs run. Any thread. */
    bool (*is_running)(void *opaque);

    /* Incoming side: the guest may start (false with -S). */
    bool (*autostart)(void *opaque);

    /* Memory map edits between begin and commit become one flat view. Lock held. A commit that
     * fails, and abort, leave the map as it was at begin. */
    void (*transaction_begin)(void *opaque);
    bool (*transaction_commit)(void *opaque, GError **errp);
    void (*transaction_abort)(void *opaque);
    /* While on, this thread decodes device state whose map edits come later: what it would read of
     * the map is out of date. A read is a bug in a device: it aborts (debug builds) or makes the
     * next commit fail. Lock held. */
    void (*forbid_map_reads)(void *opaque, bool on);
    /* Any thread. Optional, as are the two above. */
    void (*map_counts)(void *opaque, MigrationMapCounts *out);

    /* Makes each vCPU sleep that share of its time, 0..99 percent. Any thread. */
    void (*set_throttle)(void *opaque, unsigned percent);

    /* Optional: the same for one vCPU; the larger share counts. */
    void (*set_vcpu_throttle)(void *opaque, unsigned vcpu, unsigned percent);
    /* Optional: how long that vCPU has slept for either so far, ns. Any thread. */
    uint64_t (*vcpu_throttled_ns)(void *opaque, unsigned vcpu);
    /* Optional: how long that vCPU has run, or waited for a CPU to run on, so far, ns; otherwise it
     * had nothing to do. 0: not known. Any thread. */
    uint64_t (*vcpu_busy_ns)(void *opaque, unsigned vcpu);

    /* A vCPU's index for a host thread id (fault attribution), -1 if it is none. Any thread. */
    int (*vcpu_of_thread)(void *opaque, int tid);

    /* Notifications; any thread, must not block and must not call back into the engine. */
    void (*status_changed)(void *opaque, bool incoming, MigrationStatus status);
    void (*pass_started)(void *opaque, uint64_t pass);
    /* The incoming side ended for good (failed, with exit-on-error): the process should exit. */
    void (*incoming_failed)(void *opaque, const char *message);

    /* fd:NAME, see channel.h. NULL: only inherited numbers. */
    int (*resolve_fd)(void *opaque, const char *name, int flags, GError **errp);
} MigrationHostOps;

/* Time is an operation, so that tests and the simulator drive it. */
typedef struct MigrationClockOps {
    size_t size;
    /* Monotonic nanoseconds. */
    int64_t (*now_ns)(void *opaque);
    /* Waits on cond (made for CLOCK_MONOTONIC) with mutex held until it is signalled or deadline_ns
     * has come; false: time. */
    bool (*wait_until)(void *opaque, pthread_cond_t *cond, pthread_mutex_t *mutex,
                       int64_t deadline_ns);
} MigrationClockOps;

#endif
