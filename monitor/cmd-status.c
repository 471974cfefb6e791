/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands about the run state. stop, cont and system_reset wait for vCPUs and for nothing
 * else. Main loop's thread. Spec: qmp 5.5.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "monitor-set.h"
#include "runstate.h"

bool qmp_query_status(QmpCall *call, GError **errp)
{
    const RunState state = runstate_get(call->machine->run_state);

    call->ret = jo_new();
    jo_str(call->ret, "status", runstate_name(state));
    jo_bool(call->ret, "singlestep", false);
    jo_bool(call->ret, "running", state == RUN_STATE_RUNNING);
    return true;
}

bool qmp_stop(QmpCall *call, GError **errp)
{
    monitor_stop_guest(call->set);
    return true;
}

bool qmp_cont(QmpCall *call, GError **errp)
{
    return monitor_continue_guest(call->set, errp);
}

/* panic and watchdog are accepted for clients that always set them: nothing here has either. */
bool qmp_set_action(QmpCall *call, GError **errp)
{
    const char *reboot = qmp_arg_str(call, "reboot"), *shutdown = qmp_arg_str(call, "shutdown");

    if (reboot) {
        __atomic_store_n(&call->machine->no_reboot, strcmp(reboot, "shutdown") == 0,
                         __ATOMIC_RELAXED);
    }
    if (shutdown) {
        __atomic_store_n(&call->machine->no_shutdown, strcmp(shutdown, "pause") == 0,
                         __ATOMIC_RELAXED);
    }
    return true;
}

bool qmp_system_reset(QmpCall *call, GError **errp)
{
    monitor_reset(call->set);
    return true;
}

bool qmp_system_powerdown(QmpCall *call, GError **errp)
{
    monitor_powerdown(call->set);
    return true;
}
