/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run state: QEMU's RunState words, who may change to what, and who is told.
 * Guarded by a lock of its own for reading; changes of running/stopped are serialised by
 * `transition_lock` inside, so that stop and cont of several threads do not interleave.
 */
#ifndef SYSTEM_RUNSTATE_H
#define SYSTEM_RUNSTATE_H

#include <stdbool.h>

#include <glib.h>

struct Machine;

typedef enum RunState {
    RUN_STATE_DEBUG,
    RUN_STATE_INMIGRATE,
    RUN_STATE_INTERNAL_ERROR,
    RUN_STATE_IO_ERROR,
    RUN_STATE_PAUSED,
    RUN_STATE_POSTMIGRATE,
    RUN_STATE_PRELAUNCH,
    RUN_STATE_FINISH_MIGRATE,
    RUN_STATE_RESTORE_VM,
    RUN_STATE_RUNNING,
    RUN_STATE_SAVE_VM,
    RUN_STATE_SHUTDOWN,
    RUN_STATE_SUSPENDED,
    RUN_STATE_WATCHDOG,
    RUN_STATE_GUEST_PANICKED,
    RUN_STATE_COLO,
    RUN_STATE__COUNT,
} RunState;

typedef struct RunStateMachine RunStateMachine;

RunStateMachine *runstate_new(struct Machine *m, RunState initial);
void runstate_free(RunStateMachine *rs);
const char *runstate_name(RunState s);
int runstate_by_name(const char *name); /* -1: unknown */
RunState runstate_get(RunStateMachine *rs); /* any thread */
bool runstate_is_running(RunStateMachine *rs);

/* Stops the vCPUs and enters `s`; when already stopped only the state changes. Machine lock not
 * held, not on a vCPU thread. */
void runstate_stop(RunStateMachine *rs, RunState s);
/* Starts the vCPUs. False with *errp if the state forbids it (finish-migrate; shutdown and
 * internal-error want a reset first). In inmigrate the guest is made to start when the migration
 * is there, and runstate_stop() takes that back. */
bool runstate_start(RunStateMachine *rs, GError **errp);
/* Changes the word only; the guest must be stopped and `s` must not be running. */
bool runstate_set(RunStateMachine *rs, RunState s, GError **errp);
/* From a vCPU thread: the main loop will stop the guest with that state (shutdown, internal-error).
 */
void runstate_request_stop(RunStateMachine *rs, RunState s);

/* From a vCPU thread (triple fault, reset port): the main loop stops the guest, resets the machine
 * and starts it again; with -no-reboot it stops with RUN_STATE_SHUTDOWN. */
void runstate_request_reset(RunStateMachine *rs);
/* The engine's start: leaves inmigrate and finish-migrate, which runstate_start() refuses. */
bool runstate_start_migrated(RunStateMachine *rs, GError **errp);

/* The machine is about to be freed: pauses the guest for good. Neither state nor listeners hear of
 * it, and no later start has an effect. A vCPU that waits for a page of a postcopy stops when it
 * has got one, which the end of the migration takes care of. */
void runstate_end(RunStateMachine *rs);

/* Listeners: called on the changing thread after the change, without any lock; must not block. The
 * monitors turn them into STOP, RESUME, SHUTDOWN events. */
typedef void (*RunStateNotify)(void *opaque, RunState old, RunState now);
void runstate_add_notify(RunStateMachine *rs, RunStateNotify fn, void *opaque);

#endif
