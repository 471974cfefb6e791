/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words for run states, as QMP's RunState and the globalstate section write them.
 * Constant data; any thread. Wire: globalstate section (spec minimal-machines 6.2).
 */
#include "runstate.h"

#include <string.h>

static const char *const names[RUN_STATE__COUNT] = {
    [RUN_STATE_DEBUG] = "debug",
    [RUN_STATE_INMIGRATE] = "inmigrate",
    [RUN_STATE_INTERNAL_ERROR] = "internal-error",
    [RUN_STATE_IO_ERROR] = "io-error",
    [RUN_STATE_PAUSED] = "paused",
    [RUN_STATE_POSTMIGRATE] = "postmigrate",
    [RUN_STATE_PRELAUNCH] = "prelaunch",
    [RUN_STATE_FINISH_MIGRATE] = "finish-migrate",
    [RUN_STATE_RESTORE_VM] = "restore-vm",
    [RUN_STATE_RUNNING] = "running",
    [RUN_STATE_SAVE_VM] = "save-vm",
    [RUN_STATE_SHUTDOWN] = "shutdown",
    [RUN_STATE_SUSPENDED] = "suspended",
    [RUN_STATE_WATCHDOG] = "watchdog",
    [RUN_STATE_GUEST_PANICKED] = "guest-panicked",
    [RUN_STATE_COLO] = "colo",
};

const char *runstate_name(RunState s)
{
    return (unsigned)s < RUN_STATE__COUNT ? names[s] : "unknown";
}

int runstate_by_name(const char *name)
{
    for (int i = 0; i < RUN_STATE__COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}
