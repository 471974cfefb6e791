/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-migrate: the engine's snapshots of both sides as one reply. Which member is there in which
 * state is the engine's decision, except that of a side that nothing happened on nothing is shown.
 * Main loop's thread. Spec: qmp 5.4.
 */
#include "qmp-handlers.h"

#include "machine.h"
#include "migration-address.h"
#include "monitor-info.h"

static json_object *ram_to_json(const MigrationRamInfo *r)
{
    json_object *o = jo_new();

    jo_uint(o, "total", r->total);
    jo_uint(o, "postcopy-requests", r->postcopy_requests);
    jo_uint(o, "dirty-sync-count", r->dirty_sync_count);
    jo_uint(o, "multifd-bytes", r->multifd_bytes);
    jo_uint(o, "pages-per-second", r->pages_per_second);
    jo_uint(o, "downtime-bytes", r->downtime_bytes);
    jo_uint(o, "page-size", r->page_size);
    jo_uint(o, "remaining", r->remaining);
    jo_uint(o, "postcopy-bytes", r->postcopy_bytes);
    json_object_object_add(o, "mbps", json_object_new_double(r->mbps));
    jo_uint(o, "transferred", r->transferred);
    jo_uint(o, "dirty-sync-missed-zero-copy", r->dirty_sync_missed_zero_copy);
    jo_uint(o, "precopy-bytes", r->precopy_bytes);
    jo_uint(o, "duplicate", r->duplicate_pages);
    jo_uint(o, "dirty-pages-rate", r->dirty_pages_rate);
    jo_uint(o, "skipped", r->skipped_pages);
    jo_uint(o, "normal-bytes", r->normal_pages * r->page_size);
    jo_uint(o, "normal", r->normal_pages);
    return o;
}

static json_object *xbzrle_to_json(const MigrationXbzrleInfo *x)
{
    json_object *o = jo_new();

    jo_uint(o, "cache-size", x->cache_size);
    jo_uint(o, "bytes", x->bytes);
    jo_uint(o, "pages", x->pages);
    jo_uint(o, "cache-miss", x->cache_miss);
    json_object_object_add(o, "cache-miss-rate", json_object_new_double(x->cache_miss_rate));
    json_object_object_add(o, "encoding-rate", json_object_new_double(x->encoding_rate));
    jo_uint(o, "overflow", x->overflow);
    return o;
}

static json_object *zero_target_to_json(const MigrationZeroTargetInfo *z)
{
    json_object *o = jo_new();

    jo_uint(o, "fresh-pages", z->fresh_pages);
    jo_uint(o, "cleared-pages", z->cleared_pages);
    return o;
}

static json_object *numbers(const uint64_t *v, size_t n)
{
    json_object *list = jo_array();

    for (size_t i = 0; i < n; i++) {
        json_object_array_add(list, json_object_new_uint64(v[i]));
    }
    return list;
}

static json_object *preempt_to_json(const MigrationPreemptInfo *p)
{
    json_object *o = jo_new();

    jo_uint(o, "urgent-pages", p->urgent_pages);
    jo_uint(o, "hints-offered", p->hints_offered);
    jo_uint(o, "hints-consumed", p->hints_consumed);
    jo_uint(o, "hints-hit", p->hints_hit);
    jo_uint(o, "hints-dropped", p->hints_dropped);
    jo_uint(o, "prefetch-offered", p->prefetch_offered);
    jo_uint(o, "prefetch-sent", p->prefetch_sent);
    jo_uint(o, "prefetch-hit", p->prefetch_hit);
    jo_uint(o, "prefetch-useless", p->prefetch_useless);
    jo_uint(o, "prefetch-ahead", p->prefetch_ahead);
    return o;
}

static json_object *background_to_json(const MigrationBackgroundInfo *b)
{
    json_object *o = jo_new();

    jo_uint(o, "syncs", b->syncs);
    jo_uint(o, "time", b->time_us);
    jo_uint(o, "throttle-changes", b->throttle_changes);
    jo_uint(o, "skipped-pages", b->skipped_pages);
    return o;
}

static json_object *free_page_to_json(const MigrationFreePageInfo *f)
{
    json_object *o = jo_new();

    jo_uint(o, "hints", f->hints);
    jo_uint(o, "late-hints", f->late_hints);
    jo_uint(o, "skipped-bytes", f->skipped_bytes);
    return o;
}

/* Only what this side knows of: the other's numbers are 0. */
static void some_uint(json_object *o, const char *name, uint64_t v)
{
    if (v) {
        jo_uint(o, name, v);
    }
}

static json_object *devices_to_json(const GArray *devices)
{
    json_object *list = jo_array();

    for (guint i = 0; i < devices->len; i++) {
        const MigrationDeviceTimes *t = &g_array_index(devices, MigrationDeviceTimes, i);
        json_object *o = jo_new();

        jo_str(o, "name", t->name);
        jo_uint(o, "instance-id", t->instance_id);
        some_uint(o, "save", t->save_ns);
        some_uint(o, "bytes", t->bytes);
        some_uint(o, "decode", t->decode_ns);
        some_uint(o, "apply", t->apply_ns);
        some_uint(o, "post-commit", t->post_commit_ns);
        json_object_array_add(list, o);
    }
    return list;
}

static json_object *blackout_to_json(const MigrationInfo *info)
{
    const MigrationBlackout *b = &info->blackout;
    json_object *o = jo_new();

    some_uint(o, "stop", b->stop_ns);
    some_uint(o, "dirty-sync", b->dirty_sync_ns);
    some_uint(o, "last-pages", b->last_pages_ns);
    some_uint(o, "device-save", b->device_save_ns);
    some_uint(o, "transfer", b->transfer_ns);
    some_uint(o, "description", b->description_ns);
    some_uint(o, "answer", b->answer_ns);
    some_uint(o, "decode", b->decode_ns);
    some_uint(o, "apply", b->apply_ns);
    some_uint(o, "commit", b->commit_ns);
    some_uint(o, "post-commit", b->post_commit_ns);
    some_uint(o, "start", b->start_ns);
    some_uint(o, "map-edits", b->map_edits);
    some_uint(o, "map-commits", b->map_commits);
    some_uint(o, "map-rebuilds", b->map_rebuilds);
    some_uint(o, "map-ioctls", b->map_ioctls);
    json_object_object_add(o, "devices", devices_to_json(info->devices));
    return o;
}

static void add_latency(json_object *o, const MigrationInfo *info)
{
    const MigrationLatency *l = &info->latency;
    json_object *split = jo_new();

    jo_uint(o, "postcopy-latency", l->mean_ns);
    jo_uint(o, "postcopy-non-vcpu-latency", l->non_vcpu_mean_ns);
    json_object_object_add(o, "postcopy-latency-dist",
                           numbers(l->dist, MIGRATION_LATENCY_BUCKETS));
    json_object_object_add(o, "postcopy-vcpu-latency", numbers(l->vcpu_mean_ns, l->nr_vcpus));
    jo_uint(split, "request", l->request_ns);
    jo_uint(split, "transfer", l->transfer_ns);
    jo_uint(split, "place", l->place_ns);
    json_object_object_add(o, "postcopy-latency-split", split);
    if (info->has_blocktime) {
        jo_uint(o, "postcopy-blocktime", l->blocktime_ms);
        json_object_object_add(o, "postcopy-vcpu-blocktime",
                               numbers(l->vcpu_blocktime_ms, l->nr_vcpus));
    }
}

static void add_outgoing(json_object *o, const MigrationInfo *info)
{
    const bool done = info->status == MIGRATION_STATUS_COMPLETED;

    if (info->has_expected_downtime) {
        jo_uint(o, "expected-downtime", info->expected_downtime);
    }
    if (info->has_ram && !done) {
        jo_uint(o, "remaining", info->remaining);
    }
    if (info->has_times) {
        jo_uint(o, "setup-time", info->setup_time);
        jo_uint(o, "total-time", info->total_time);
    }
    if (info->has_downtime) {
        jo_uint(o, "downtime", info->downtime);
    }
    if (info->has_expected_end) {
        jo_uint(o, "expected-end", info->expected_end);
        jo_uint(o, "expected-total-time", info->expected_total_time);
    }
    if (info->has_will_converge) {
        jo_bool(o, "will-converge", info->will_converge);
    }
    if (info->will_converge_reason[0]) {
        jo_str(o, "will-converge-reason", info->will_converge_reason);
    }
    if (info->cpu_throttle_percentage) {
        jo_uint(o, "cpu-throttle-percentage", info->cpu_throttle_percentage);
    }
    if (info->has_ram) {
        json_object_object_add(o, "ram", ram_to_json(&info->ram));
    }
    if (info->has_dirty_limit) {
        jo_uint(o, "dirty-limit-throttle-time-per-round", info->dirty_limit_throttle_us);
        jo_uint(o, "dirty-limit-ring-full-time", info->dirty_limit_ring_full_us);
    }
    if (info->has_background) {
        json_object_object_add(o, "background-sync", background_to_json(&info->background));
    }
    if (info->has_free_page) {
        json_object_object_add(o, "free-page-hint", free_page_to_json(&info->free_page));
    }
    if (info->has_xbzrle) {
        json_object_object_add(o, "xbzrle-cache", xbzrle_to_json(&info->xbzrle));
    }
    if (info->has_zero_target) {
        jo_bool(o, "zero-target-agreed", info->zero_target_agreed);
    }
    if (info->has_preempt) {
        json_object_object_add(o, "postcopy-preempt", preempt_to_json(&info->preempt));
    }
    if (info->blocked_reasons && info->blocked_reasons->len) {
        json_object *list = jo_array();

        for (guint i = 0; i < info->blocked_reasons->len; i++) {
            json_object_array_add(list, json_object_new_string(
                                            g_ptr_array_index(info->blocked_reasons, i)));
        }
        json_object_object_add(o, "blocked-reasons", list);
    }
}

static void add_sockets(json_object *o, const GPtrArray *addresses)
{
    json_object *list = jo_array();

    for (guint i = 0; i < addresses->len; i++) {
        json_object *a = migration_address_to_socket(g_ptr_array_index(addresses, i));

        if (a) {
            json_object_array_add(list, a);
        }
    }
    if (json_object_array_length(list) > 0) {
        json_object_object_add(o, "socket-address", list);
    } else {
        json_object_put(list);
    }
}

/* What both sides have; the source is added last and overwrites. */
static void add_common(json_object *o, const MigrationInfo *info)
{
    if (info->status != MIGRATION_STATUS_NONE) {
        jo_str(o, "status", gw_migration_status_name(info->status));
    }
    if (info->error_desc) {
        jo_str(o, "error-desc", info->error_desc);
    }
    if (info->has_blackout) {
        json_object_object_add(o, "blackout", blackout_to_json(info));
    }
}

json_object *monitor_migration_reply(const MigrationInfo *in, const MigrationInfo *out)
{
    json_object *o = jo_new();

    add_common(o, in);
    if (in->socket_addresses) {
        add_sockets(o, in->socket_addresses);
    }
    if (in->has_zero_target) {
        json_object_object_add(o, "zero-target", zero_target_to_json(&in->zero_target));
    }
    if (in->has_latency) {
        add_latency(o, in);
    }
    add_common(o, out);
    add_outgoing(o, out);
    return o;
}

bool qmp_query_migrate(QmpCall *call, GError **errp)
{
    MigrationInfo in, out;

    gw_incoming_query(call->machine->migration, &in);
    gw_migration_query(call->machine->migration, &out);
    call->ret = monitor_migration_reply(&in, &out);
    gw_migration_info_clear(&in);
    gw_migration_info_clear(&out);
    return true;
}
