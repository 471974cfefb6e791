/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP: migrate-estimate. Conversion only: the model is the engine's (migration/estimate.h). Returns
 * at once, also when the guest has to be measured first. Main loop's thread.
 */
#include "qmp-handlers.h"

#include "error.h"
#include "machine.h"
#include "migration/estimate.h"
#include "monitor-info.h"

static void add_number(json_object *o, const char *name, double v)
{
    json_object_object_add(o, name, json_object_new_double(v));
}

static json_object *curve_to_json(const DirtyCurve *c)
{
    json_object *list = jo_array();

    for (unsigned i = 0; i < c->n; i++) {
        json_object *o = jo_new();

        add_number(o, "time", c->t_s[i] * 1e3);
        jo_uint(o, "bytes", (uint64_t)(c->pages[i] * GW_TARGET_PAGE_SIZE));
        json_object_array_add(list, o);
    }
    return list;
}

static json_object *result_to_json(EstimateMethod m, const EstimateResult *r)
{
    json_object *o = jo_new();

    jo_str(o, "method", gw_estimate_method_name(m));
    jo_bool(o, "converges", r->converges);
    if (r->converges) {
        jo_uint(o, "total-time", (uint64_t)(r->total_s * 1e3 + 0.5));
        jo_uint(o, "downtime", (uint64_t)(r->downtime_s * 1e3 + 0.5));
        jo_uint(o, "transferred", (uint64_t)r->bytes);
        add_number(o, "slowdown", r->slowdown * 100);
    } else {
        jo_str(o, "reason", r->reason);
    }
    jo_uint(o, "throttle", r->throttle);
    jo_uint(o, "passes", r->passes);
    return o;
}

static void add_methods(json_object *o, const EstimateInput *in)
{
    EstimateResult results[ESTIMATE_METHOD__COUNT];
    json_object *list = jo_array();
    EstimateMethod best;
    char why[512];

    for (EstimateMethod m = 0; m < ESTIMATE_METHOD__COUNT; m++) {
        gw_estimate(in, m, &results[m]);
        json_object_array_add(list, result_to_json(m, &results[m]));
    }
    json_object_object_add(o, "methods", list);
    best = gw_estimate_recommend(results, why, sizeof(why));
    if (best != ESTIMATE_METHOD__COUNT) {
        jo_str(o, "recommended", gw_estimate_method_name(best));
    }
    jo_str(o, "recommendation", why);
}

static json_object *estimate_to_json(const EstimateInput *in, EstimateBandwidth source,
                                     int64_t age_ns)
{
    json_object *o = jo_new();

    jo_str(o, "status", gw_dirty_rate_status_name(DIRTY_RATE_MEASURED));
    jo_uint(o, "ram", in->survey.ram_pages * GW_TARGET_PAGE_SIZE);
    add_number(o, "zero", in->survey.zero_share * 100);
    jo_uint(o, "working-set", (uint64_t)(gw_estimate_working_set(in) * GW_TARGET_PAGE_SIZE));
    json_object_object_add(o, "dirty-curve", curve_to_json(&in->survey.curve));
    jo_int(o, "age", age_ns / 1000000);
    jo_uint(o, "bandwidth", (uint64_t)in->bandwidth);
    jo_str(o, "bandwidth-source", gw_estimate_bandwidth_name(source));
    jo_uint(o, "downtime-limit", (uint64_t)(in->downtime_limit_s * 1e3 + 0.5));
    add_methods(o, in);
    return o;
}

bool qmp_migrate_estimate(QmpCall *call, GError **errp)
{
    MigrationState *ms = call->machine->migration;
    const uint64_t bandwidth = (uint64_t)qmp_arg_int(call, "bandwidth", 0);
    const int64_t limit_ms = qmp_arg_int(call, "downtime-limit", -1);
    EstimateBandwidth source;
    EstimateInput in;
    bool ready;

    if (jo_get(call->args, "downtime-limit") && (limit_ms < 0 || limit_ms > 2000000)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Parameter 'downtime-limit' expects 0 to 2000000 milliseconds");
    }
    if (!gw_estimate_survey(ms, qmp_arg_bool(call, "fresh", false),
                            qmp_arg_int(call, "calc-time", 1000), &ready, errp)) {
        return false;
    }
    if (!ready) {
        call->ret = jo_new();
        jo_str(call->ret, "status", gw_dirty_rate_status_name(DIRTY_RATE_MEASURING));
        return true;
    }
    if (!gw_estimate_input(ms, bandwidth, &in, &source, errp)) {
        return false;
    }
    if (limit_ms >= 0) {
        in.downtime_limit_s = (double)limit_ms / 1e3;
    }
    call->ret = estimate_to_json(&in, source, gw_estimate_age_ns(ms, &in));
    return true;
}
