/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands that start and steer migrations and set their options: conversion only, the rules
 * are the engine's. All return at once. Main loop's thread. Spec: qmp 5.1 to 5.3.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "machine.h"
#include "migration-address.h"

bool qmp_migrate(QmpCall *call, GError **errp)
{
    g_autoptr(GwAddress) addr = migration_address_from_args(call->args, errp);

    return addr && gw_migrate(call->machine->migration, addr,
                              qmp_arg_bool(call, "resume", false), errp);
}

bool qmp_migrate_cancel(QmpCall *call, GError **errp)
{
    return gw_migrate_cancel(call->machine->migration, errp);
}

bool qmp_migrate_continue(QmpCall *call, GError **errp)
{
    const char *word = qmp_arg_str(call, "state");
    MigrationStatus s = MIGRATION_STATUS_NONE;

    while (strcmp(gw_migration_status_name(s), word) != 0) {
        s++; /* the schema's words are the engine's: it will be found */
    }
    return gw_migrate_continue(call->machine->migration, s, errp);
}

bool qmp_migrate_incoming(QmpCall *call, GError **errp)
{
    g_autoptr(GwAddress) addr = migration_address_from_args(call->args, errp);

    return addr && gw_incoming_start(call->machine->migration, addr,
                                     qmp_arg_bool(call, "exit-on-error", true), errp);
}

bool qmp_migrate_start_postcopy(QmpCall *call, GError **errp)
{
    return gw_migrate_start_postcopy(call->machine->migration, errp);
}

bool qmp_migrate_pause(QmpCall *call, GError **errp)
{
    return gw_migrate_pause(call->machine->migration, errp);
}

bool qmp_migrate_recover(QmpCall *call, GError **errp)
{
    g_autoptr(GwAddress) addr = gw_address_parse_uri(qmp_arg_str(call, "uri"), errp);

    return addr && gw_incoming_recover(call->machine->migration, addr, errp);
}

bool qmp_migrate_set_capabilities(QmpCall *call, GError **errp)
{
    json_object *list = jo_get(call->args, "capabilities");
    const size_t n = json_object_array_length(list);
    g_autofree MigrationCapabilityChange *changes = g_new0(MigrationCapabilityChange, n);

    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(list, i);

        changes[i].cap = gw_capability_by_name(jo_get_str(o, "capability"));
        changes[i].on = json_object_get_boolean(jo_get(o, "state"));
    }
    return gw_capabilities_set(call->machine->migration, changes, n, errp);
}

bool qmp_query_migrate_capabilities(QmpCall *call, GError **errp)
{
    call->ret = jo_array();
    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        json_object *o = jo_new();

        jo_bool(o, "state", gw_capability_get(call->machine->migration, i));
        jo_str(o, "capability", gw_capability_desc(i)->name);
        json_object_array_add(call->ret, o);
    }
    return true;
}

static uint64_t word_index(const MigrationParamDesc *d, const char *word)
{
    uint64_t i = 0;

    while (d->words[i] && strcmp(d->words[i], word) != 0) {
        i++;
    }
    return i;
}

static void param_from_json(MigrationParamChange *c, json_object *v)
{
    const MigrationParamDesc *d = gw_param_desc(c->param);

    switch (d->type) {
    case PARAM_BOOL:
        c->value.num = json_object_get_boolean(v);
        break;
    case PARAM_ENUM:
        c->value.num = word_index(d, json_object_get_string(v));
        break;
    case PARAM_STR:
        /* null means the empty string; the engine copies */
        c->value.str = v ? (char *)json_object_get_string(v) : (char *)"";
        break;
    default:
        c->value.num = jo_get_u64(v);
        break;
    }
}

bool qmp_migrate_set_parameters(QmpCall *call, GError **errp)
{
    MigrationParamChange changes[MIGRATION_PARAM__COUNT];
    size_t n = 0;

    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        json_object *v;

        if (json_object_object_get_ex(call->args, gw_param_desc(i)->name, &v)) {
            changes[n] = (MigrationParamChange){.param = i};
            param_from_json(&changes[n++], v);
        }
    }
    return gw_params_set(call->machine->migration, changes, n, errp);
}

bool qmp_query_migrate_parameters(QmpCall *call, GError **errp)
{
    MigrationState *ms = call->machine->migration;

    call->ret = jo_new();
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        const MigrationParamDesc *d = gw_param_desc(i);
        const uint64_t num = gw_param_get(ms, i);
        g_autofree char *str = d->type == PARAM_STR ? gw_param_get_str(ms, i) : NULL;

        switch (d->type) {
        case PARAM_BOOL:
            jo_bool(call->ret, d->name, num);
            break;
        case PARAM_ENUM:
            jo_str(call->ret, d->name, d->words[num]);
            break;
        case PARAM_STR:
            jo_str(call->ret, d->name, str);
            break;
        default:
            jo_uint(call->ret, d->name, num);
            break;
        }
    }
    return true;
}
