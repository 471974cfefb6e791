/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What query-migrate shows of both sides: a consistent copy under ms->lock, counters by relaxed
 * atomics. Any thread, never waits. Spec: qmp 5.4 (which field is there in which state).
 */
#include "outgoing.h"

#include <string.h>

#include "blackout.h"
#include "dirty-limit.h"
#include "postcopy.h"

G_STATIC_ASSERT(MIGRATION_LATENCY_BUCKETS == LATENCY_BUCKETS);
G_STATIC_ASSERT(MIGRATION_LATENCY_MAX_VCPUS == LATENCY_MAX_CPUS);

static const char *const status_names[MIGRATION_STATUS__COUNT] = {
    [MIGRATION_STATUS_NONE] = "none",
    [MIGRATION_STATUS_SETUP] = "setup",
    [MIGRATION_STATUS_CANCELLING] = "cancelling",
    [MIGRATION_STATUS_CANCELLED] = "cancelled",
    [MIGRATION_STATUS_ACTIVE] = "active",
    [MIGRATION_STATUS_POSTCOPY_DEVICE] = "postcopy-device",
    [MIGRATION_STATUS_POSTCOPY_ACTIVE] = "postcopy-active",
    [MIGRATION_STATUS_POSTCOPY_PAUSED] = "postcopy-paused",
    [MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP] = "postcopy-recover-setup",
    [MIGRATION_STATUS_POSTCOPY_RECOVER] = "postcopy-recover",
    [MIGRATION_STATUS_COMPLETED] = "completed",
    [MIGRATION_STATUS_FAILING] = "failing",
    [MIGRATION_STATUS_FAILED] = "failed",
    [MIGRATION_STATUS_COLO] = "colo",
    [MIGRATION_STATUS_PRE_SWITCHOVER] = "pre-switchover",
    [MIGRATION_STATUS_DEVICE] = "device",
    [MIGRATION_STATUS_WAIT_UNPLUG] = "wait-unplug",
};

const char *gw_migration_status_name(MigrationStatus status)
{
    return status < MIGRATION_STATUS__COUNT ? status_names[status] : "unknown";
}

static bool status_is_active_like(MigrationStatus s)
{
    return outgoing_status_is_running(s) && s != MIGRATION_STATUS_SETUP;
}

static void fill_ram(MigrationState *ms, MigrationInfo *info)
{
    const MigrationStats *st = &ms->stats;
    const bool done = info->status == MIGRATION_STATUS_COMPLETED;

    info->has_ram = true;
    info->ram = (MigrationRamInfo){
        .transferred = STAT_GET(st->transferred),
        .total = ram_bytes_total(ms),
        .remaining = done ? 0 : ram_bytes_remaining(ms),
        .duplicate_pages = STAT_GET(st->zero_pages),
        .normal_pages = STAT_GET(st->normal_pages),
        .skipped_pages = STAT_GET(st->skipped_pages),
        .dirty_pages_rate = done ? 0 : STAT_GET(st->dirty_pages_rate),
        .mbps = ms->out.mbps,
        .dirty_sync_count = STAT_GET(st->dirty_sync_count),
        .postcopy_requests = STAT_GET(st->postcopy_requests),
        .page_size = GW_TARGET_PAGE_SIZE,
        .multifd_bytes = STAT_GET(st->multifd_bytes),
        .precopy_bytes = STAT_GET(st->precopy_bytes),
        .downtime_bytes = STAT_GET(st->downtime_bytes),
        .postcopy_bytes = STAT_GET(st->postcopy_bytes),
        .pages_per_second = STAT_GET(st->pages_per_second),
    };
    if (done && info->total_time) {
        info->ram.mbps = (double)info->ram.transferred * 8 / ((double)info->total_time * 1000);
    }
    info->remaining = info->ram.remaining;
}

static void fill_xbzrle(MigrationState *ms, MigrationInfo *info)
{
    const XbzrleStats *st = &ms->stats.xbzrle;

    info->has_xbzrle = true;
    info->xbzrle = (MigrationXbzrleInfo){
        .cache_size = gw_param_get(ms, MIGRATION_PARAM_XBZRLE_CACHE_SIZE),
        .bytes = STAT_GET(st->bytes),
        .pages = STAT_GET(st->pages),
        .cache_miss = STAT_GET(st->misses),
        .cache_miss_rate = ms->out.xbzrle_miss_rate,
        .encoding_rate = ms->out.xbzrle_encoding_rate,
        .overflow = STAT_GET(st->overflows),
    };
}

static void fill_times(MigrationState *ms, MigrationInfo *info)
{
    const Outgoing *out = &ms->out;
    const int64_t now = out->end_ns ? out->end_ns : ms_now_ns(ms);

    info->has_times = true;
    info->total_time = (uint64_t)((now - out->start_ns) / 1000000);
    if (out->setup_end_ns) {
        info->setup_time = (uint64_t)((out->setup_end_ns - out->start_ns) / 1000000);
    }
    if (info->status == MIGRATION_STATUS_COMPLETED || outgoing_status_is_postcopy(info->status)) {
        info->has_downtime = true;
        info->downtime = out->downtime_ms;
    } else {
        info->has_expected_downtime = true;
        info->expected_downtime = out->expected_downtime_ms;
    }
}

static void fill_preempt(MigrationState *ms, MigrationInfo *info)
{
    const PostcopyCounters *c = &ms->postcopy_counters;

    info->has_preempt = true;
    info->preempt = (MigrationPreemptInfo){
        .urgent_pages = STAT_GET(c->urgent_pages),
        .hints_offered = STAT_GET(c->hints_offered),
        .hints_consumed = STAT_GET(c->hints_consumed),
        .hints_hit = STAT_GET(c->hints_hit),
        .hints_dropped = STAT_GET(c->hints_dropped),
        .prefetch_offered = STAT_GET(c->prefetch_offered),
        .prefetch_sent = STAT_GET(c->prefetch_sent),
        .prefetch_hit = STAT_GET(c->prefetch_hit),
        .prefetch_useless = STAT_GET(c->prefetch_useless),
        .prefetch_ahead = STAT_GET(c->prefetch_ahead),
    };
}

static void fill_background(MigrationState *ms, MigrationInfo *info)
{
    const BackgroundCounters *c = &ms->background_counters;

    info->has_background = true;
    info->background = (MigrationBackgroundInfo){
        .syncs = STAT_GET(c->syncs),
        .time_us = STAT_GET(c->ns) / 1000,
        .throttle_changes = STAT_GET(c->throttle_changes),
        .skipped_pages = STAT_GET(c->skipped_pages),
    };
}

static void fill_free_page(MigrationState *ms, MigrationInfo *info)
{
    const FreePageCounters *c = &ms->free_page.counters;

    info->has_free_page = STAT_GET(c->windows) != 0;
    info->free_page = (MigrationFreePageInfo){
        .hints = STAT_GET(c->hints),
        .late_hints = STAT_GET(c->late_hints),
        .skipped_bytes = STAT_GET(c->skipped_bytes),
    };
}

void gw_migration_query(MigrationState *ms, MigrationInfo *info)
{
    LOCK_GUARD(&ms->lock);
    const Outgoing *out = &ms->out;

    *info = (MigrationInfo){.status = out->status};
    info->error_desc = out->error ? g_strdup(out->error->message) : NULL;
    info->blocked_reasons = blockers_list(ms);
    info->has_blackout = out->downtime_start_ns != 0;
    blackout_copy(&info->blackout, &out->blackout);
    info->devices = info->has_blackout ? blackout_devices(ms) : NULL;
    if (status_is_active_like(out->status) || out->status == MIGRATION_STATUS_COMPLETED) {
        fill_times(ms, info);
        fill_ram(ms, info);
        info->cpu_throttle_percentage = cpu_throttle_percent(ms);
        info->has_dirty_limit = dirty_limit_of_migration(ms->dirty_limit) != 0;
        dirty_limit_stats(ms->dirty_limit, &info->dirty_limit_throttle_us,
                          &info->dirty_limit_ring_full_us);
        if (gw_capability_get(ms, MIGRATION_CAP_BACKGROUND_SYNC)) {
            fill_background(ms, info);
        }
        fill_free_page(ms, info);
        if (gw_capability_get(ms, MIGRATION_CAP_XBZRLE)) {
            fill_xbzrle(ms, info);
        }
        info->has_zero_target = gw_capability_get(ms, MIGRATION_CAP_SKIP_ZERO_PAGES);
        info->zero_target_agreed = out->zero_target;
        outlook_fill(ms, info);
        if (out->had_postcopy) {
            fill_preempt(ms, info);
        }
    }
}

/* Of the postcopy that goes on, or of the last one; false if there was none. */
static bool get_latency(MigrationState *ms, LatencyInfo *l)
{
    const PostcopyIncoming *pi = ms->postcopy_incoming;

    if (pi && pi->state >= POSTCOPY_LISTENING) {
        latency_info(pi->latency, l);
        return true;
    }
    *l = ms->in.latency;
    return !pi && ms->in.has_latency;
}

static void fill_latency(MigrationState *ms, MigrationInfo *info)
{
    MigrationLatency *to = &info->latency;
    LatencyInfo l;

    info->has_latency = get_latency(ms, &l);
    if (!info->has_latency) {
        return;
    }
    info->has_blocktime = info->status == MIGRATION_STATUS_COMPLETED &&
                          gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_BLOCKTIME);
    to->faults = l.faults;
    to->mean_ns = l.mean_ns;
    to->p50_ns = latency_quantile_ns(&l, 0.5);
    to->p99_ns = latency_quantile_ns(&l, 0.99);
    to->max_ns = l.max_ns;
    to->nr_vcpus = MIN(ms->nr_vcpus, l.nr_vcpus);
    to->non_vcpu_mean_ns = l.non_vcpu_mean_ns;
    to->blocktime_ms = l.all_block_ms;
    to->request_ns = l.request_ns;
    to->transfer_ns = l.transfer_ns;
    to->place_ns = l.place_ns;
    memcpy(to->dist, l.dist, sizeof(to->dist));
    memcpy(to->vcpu_mean_ns, l.vcpu_mean_ns, sizeof(to->vcpu_mean_ns));
    memcpy(to->vcpu_blocktime_ms, l.vcpu_block_ms, sizeof(to->vcpu_blocktime_ms));
}

void gw_incoming_query(MigrationState *ms, MigrationInfo *info)
{
    LOCK_GUARD(&ms->lock);
    const Incoming *in = &ms->in;

    *info = (MigrationInfo){.status = in->status};
    info->error_desc = in->error ? g_strdup(in->error->message) : NULL;
    if (in->addresses && outgoing_status_is_running(in->status)) {
        info->socket_addresses =
            g_ptr_array_new_with_free_func((GDestroyNotify)gw_address_free);
        for (guint i = 0; i < in->addresses->len; i++) {
            g_ptr_array_add(info->socket_addresses,
                            gw_address_copy(g_ptr_array_index(in->addresses, i)));
        }
    }
    info->has_zero_target = in->zero_target.agreed;
    info->zero_target = (MigrationZeroTargetInfo){
        .fresh_pages = in->zero_target.fresh_pages,
        .cleared_pages = in->zero_target.cleared_pages,
    };
    fill_latency(ms, info);
    blackout_copy(&info->blackout, &in->blackout);
    info->has_blackout = info->blackout.decode_ns != 0;
    info->devices = info->has_blackout ? blackout_devices(ms) : NULL;
}

void gw_migration_info_clear(MigrationInfo *info)
{
    g_clear_pointer(&info->error_desc, g_free);
    g_clear_pointer(&info->devices, g_array_unref);
    g_clear_pointer(&info->blocked_reasons, g_ptr_array_unref);
    g_clear_pointer(&info->socket_addresses, g_ptr_array_unref);
}
