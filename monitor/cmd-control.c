/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands about the monitor itself: negotiation, version, lists of commands, the schema, HMP
 * lines, and quit. Main loop's thread.
 */
#include "qapi.h"
#include "qmp-handlers.h"

#include "error.h"
#include "hmp.h"
#include "monitor-set.h"
#include "qmp.h"

/* The level of QEMU's monitor protocol that is honoured. */
#define QMP_LEVEL_MAJOR 7
#define QMP_LEVEL_MINOR 2
#define QMP_LEVEL_MICRO 0

json_object *qmp_version_info(void)
{
    json_object *o = jo_new(), *qemu = jo_new();

    jo_int(qemu, "micro", QMP_LEVEL_MICRO);
    jo_int(qemu, "minor", QMP_LEVEL_MINOR);
    jo_int(qemu, "major", QMP_LEVEL_MAJOR);
    json_object_object_add(o, "qemu", qemu);
    jo_str(o, "package", "godwit " GODWIT_VERSION);
    return o;
}

bool qmp_qmp_capabilities(QmpCall *call, GError **errp)
{
    json_object *enable = jo_get(call->args, "enable");

    /* The schema has one capability, so that every element that passed its check is oob. */
    call->session->oob = enable && json_object_array_length(enable) > 0;
    call->session->negotiated = true;
    return true;
}

bool qmp_query_version(QmpCall *call, GError **errp)
{
    call->ret = qmp_version_info();
    return true;
}

bool qmp_query_commands(QmpCall *call, GError **errp)
{
    call->ret = jo_array();
    for (const QapiCommand *c = qapi_commands; c->name; c++) {
        json_object *o = jo_new();

        jo_str(o, "name", c->name);
        json_object_array_add(call->ret, o);
    }
    return true;
}

bool qmp_query_qmp_schema(QmpCall *call, GError **errp)
{
    call->ret = json_tokener_parse(qapi_introspection);
    return call->ret || gw_fail(errp, GW_ERROR_GENERIC, "out of memory for the schema");
}

bool qmp_human_monitor_command(QmpCall *call, GError **errp)
{
    const int64_t cpu = qmp_arg_int(call, "cpu-index", 0);
    g_autofree char *text = NULL;

    if (jo_get(call->args, "cpu-index") && (cpu < 0 || cpu >= call->machine->nr_vcpus)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter 'cpu-index' expects a CPU number");
    }
    text = hmp_run_line(call->set, qmp_arg_str(call, "command-line"), (unsigned)cpu, &call->quit);
    call->ret = json_object_new_string(text);
    return true;
}

bool qmp_quit(QmpCall *call, GError **errp)
{
    call->quit = true;
    return true;
}
