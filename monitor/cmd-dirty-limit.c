/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty limits of vCPUs, in QMP and in HMP: conversion only, the limiter is the engine's. All
 * return at once. Main loop's thread.
 */
#include "qmp-handlers.h"

#include "error.h"
#include "hmp-run.h"
#include "machine.h"
#include "migration/dirty-limit.h"

#define HINT "[Please use 'info vcpu_dirty_limit' to query dirty limit for virtual CPU]\n"

/* -1: all of them. A number that no vCPU can have stays one that no vCPU has. */
static int index_of(QmpCall *call)
{
    json_object *v = jo_get(call->args, "cpu-index");

    return v ? (int)CLAMP(json_object_get_int64(v), -2, INT32_MAX) : -1;
}

static bool set_limit(Machine *m, int vcpu, uint64_t mb_per_s, GError **errp)
{
    if (vcpu < -1) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cpu-index: a vCPU's index is not negative");
    }
    return gw_dirty_limit_set(m->migration, vcpu, mb_per_s, errp);
}

static bool lift_limit(Machine *m, int vcpu, GError **errp)
{
    return !gw_dirty_limit_supported(m->migration, NULL) || set_limit(m, vcpu, 0, errp);
}

bool qmp_set_vcpu_dirty_limit(QmpCall *call, GError **errp)
{
    return set_limit(call->machine, index_of(call), jo_get_u64(jo_get(call->args, "dirty-rate")),
                     errp);
}

bool qmp_cancel_vcpu_dirty_limit(QmpCall *call, GError **errp)
{
    return lift_limit(call->machine, index_of(call), errp);
}

bool qmp_query_vcpu_dirty_limit(QmpCall *call, GError **errp)
{
    DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS];
    const unsigned n = gw_dirty_limit_query(call->machine->migration, info);

    call->ret = jo_array();
    for (unsigned i = 0; i < n; i++) {
        json_object *o = jo_new();

        jo_uint(o, "cpu-index", info[i].vcpu);
        jo_uint(o, "limit-rate", info[i].limit_mb);
        jo_uint(o, "current-rate", info[i].current_mb);
        json_object_array_add(call->ret, o);
    }
    return true;
}

/* The optional last word of the line. */
static bool parse_index(const char *word, int *vcpu, GError **errp)
{
    guint64 n;

    *vcpu = -1;
    if (!word || !*word) {
        return true;
    }
    if (!g_ascii_string_to_unsigned(word, 10, 0, INT32_MAX, &n, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cpu_index '%s' is not a number", word);
    }
    *vcpu = (int)n;
    return true;
}

void hmp_set_vcpu_dirty_limit(HmpCall *call)
{
    g_autoptr(GError) err = NULL;
    int vcpu;

    if (!parse_index(call->strings[1], &vcpu, &err) ||
        !set_limit(call->machine, vcpu, call->numbers[0], &err)) {
        hmp_error(call, err);
        return;
    }
    hmp_printf(call, HINT);
}

void hmp_cancel_vcpu_dirty_limit(HmpCall *call)
{
    g_autoptr(GError) err = NULL;
    int vcpu;

    if (!parse_index(call->strings[0], &vcpu, &err) || !lift_limit(call->machine, vcpu, &err)) {
        hmp_error(call, err);
        return;
    }
    hmp_printf(call, HINT);
}

void hmp_info_vcpu_dirty_limit(HmpCall *call)
{
    DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS];
    const unsigned n = gw_dirty_limit_query(call->machine->migration, info);

    if (n == 0) {
        hmp_printf(call, "Dirty page limit not enabled!\n");
    }
    for (unsigned i = 0; i < n; i++) {
        hmp_printf(call, "vcpu[%u], limit rate %" G_GUINT64_FORMAT " (MB/s), current rate %"
                   G_GUINT64_FORMAT " (MB/s)\n", info[i].vcpu, info[i].limit_mb,
                   info[i].current_mb);
    }
}
