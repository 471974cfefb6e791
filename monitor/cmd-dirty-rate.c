/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP: calc-dirty-rate and query-dirty-rate: conversion only, the rules are the engine's. Both
 * return at once. Main loop's thread. Shapes: QEMU 11.1.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "machine.h"
#include "migration/dirty-rate.h"

static bool unit_is_ms(const QmpCall *call)
{
    return g_strcmp0(qmp_arg_str(call, "calc-time-unit"), "millisecond") == 0;
}

bool qmp_calc_dirty_rate(QmpCall *call, GError **errp)
{
    const char *mode = qmp_arg_str(call, "mode");
    const int64_t time = qmp_arg_int(call, "calc-time", 0);
    DirtyRateRequest r = {
        /* Out of range stays out of range, whatever the unit. */
        .calc_time_ms = unit_is_ms(call) ? time : CLAMP(time, 0, INT32_MAX) * 1000,
        .has_sample_pages = jo_get(call->args, "sample-pages") != NULL,
        .sample_pages = qmp_arg_int(call, "sample-pages", 0),
    };

    while (mode && strcmp(gw_dirty_rate_mode_name(r.mode), mode) != 0) {
        r.mode++; /* the schema's words are the engine's: it will be found */
    }
    return gw_dirty_rate_start(call->machine->migration, &r, errp);
}

static json_object *vcpus(const DirtyRateInfo *info)
{
    json_object *list = jo_array();

    for (unsigned i = 0; i < info->nr_vcpus; i++) {
        json_object *o = jo_new();

        jo_uint(o, "dirty-rate", info->vcpu_rate[i]);
        jo_uint(o, "id", i);
        json_object_array_add(list, o);
    }
    return list;
}

bool qmp_query_dirty_rate(QmpCall *call, GError **errp)
{
    const bool ms = unit_is_ms(call);
    json_object *o = call->ret = jo_new();
    DirtyRateInfo info;

    gw_dirty_rate_query(call->machine->migration, &info);
    if (info.nr_vcpus) {
        json_object_object_add(o, "vcpu-dirty-rate", vcpus(&info));
    }
    jo_str(o, "status", gw_dirty_rate_status_name(info.status));
    jo_uint(o, "sample-pages", info.sample_pages);
    if (info.status == DIRTY_RATE_MEASURED) {
        jo_uint(o, "dirty-rate", info.rate);
    }
    jo_str(o, "mode", gw_dirty_rate_mode_name(info.mode));
    jo_str(o, "calc-time-unit", ms ? "millisecond" : "second");
    jo_int(o, "start-time", info.start_time_s);
    jo_int(o, "calc-time", ms ? info.calc_time_ms : info.calc_time_ms / 1000);
    if (info.error[0]) {
        jo_str(o, "error-desc", info.error);
    }
    return true;
}
