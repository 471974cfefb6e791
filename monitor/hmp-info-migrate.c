/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: `info migrate`, its capabilities and parameters, in the shape of QEMU 11.1, which scripts
 * take apart. Main loop's thread. Spec: qmp 5.6.
 */
#include "hmp-run.h"

#include "machine.h"

char *hmp_size_text(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    unsigned i = 0;

    /* three digits that count: 1000 KiB is 0.977 MiB */
    while (v >= 999.5 && i + 1 < G_N_ELEMENTS(units)) {
        v /= 1024;
        i++;
    }
    return g_strdup_printf("%.3g %s", v, units[i]);
}

static void put_status(HmpCall *call, const MigrationInfo *info)
{
    hmp_printf(call, "Status: \t\t%s", gw_migration_status_name(info->status));
    if (info->error_desc && (info->status == MIGRATION_STATUS_FAILED ||
                             info->status == MIGRATION_STATUS_POSTCOPY_PAUSED)) {
        hmp_printf(call, " (%s)", info->error_desc);
    }
    hmp_printf(call, "\n");
}

static void put_blockers(HmpCall *call, const GPtrArray *reasons)
{
    if (!reasons || reasons->len == 0) {
        return;
    }
    hmp_printf(call, "Outgoing migration blocked:\n");
    for (guint i = 0; i < reasons->len; i++) {
        hmp_printf(call, "  %s\n", (const char *)g_ptr_array_index(reasons, i));
    }
}

static void put_times(HmpCall *call, const MigrationInfo *info)
{
    if (!info->has_times) {
        return;
    }
    hmp_printf(call, "Time (ms): \t\ttotal=%" G_GUINT64_FORMAT ", setup=%" G_GUINT64_FORMAT,
               info->total_time, info->setup_time);
    if (info->has_expected_downtime) {
        hmp_printf(call, ", exp_down=%" G_GUINT64_FORMAT, info->expected_downtime);
    }
    if (info->has_downtime) {
        hmp_printf(call, ", down=%" G_GUINT64_FORMAT, info->downtime);
    }
    hmp_printf(call, "\n");
    if (info->has_ram && info->status != MIGRATION_STATUS_COMPLETED) {
        g_autofree char *left = hmp_size_text(info->remaining);

        hmp_printf(call, "Remaining: \t\t%s\n", left);
    }
    hmp_put_outlook(call, info);
}

static void put_sockets(HmpCall *call, const GPtrArray *addresses)
{
    if (!addresses || addresses->len == 0) {
        return;
    }
    hmp_printf(call, "Sockets: [\n");
    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *uri = gw_address_to_uri(g_ptr_array_index(addresses, i));

        hmp_printf(call, "\t%s\n", uri);
    }
    hmp_printf(call, "]\n");
}

static void put_others(HmpCall *call, const MigrationRamInfo *r)
{
    hmp_printf(call, "  Others: \t\tdirty_syncs=%" G_GUINT64_FORMAT, r->dirty_sync_count);
    if (r->postcopy_requests) {
        hmp_printf(call, ", postcopy_req=%" G_GUINT64_FORMAT, r->postcopy_requests);
    }
    if (r->downtime_bytes) {
        hmp_printf(call, ", downtime_bytes=%" G_GUINT64_FORMAT, r->downtime_bytes);
    }
    if (r->dirty_sync_missed_zero_copy) {
        hmp_printf(call, ", zerocopy_fallbacks=%" G_GUINT64_FORMAT,
                   r->dirty_sync_missed_zero_copy);
    }
    hmp_printf(call, "\n");
}

static void put_ram(HmpCall *call, const MigrationRamInfo *r)
{
    g_autofree char *page = hmp_size_text(r->page_size), *total = hmp_size_text(r->total);
    g_autofree char *sent = hmp_size_text(r->transferred), *left = hmp_size_text(r->remaining);
    g_autofree char *pre = hmp_size_text(r->precopy_bytes);
    g_autofree char *multi = hmp_size_text(r->multifd_bytes);
    g_autofree char *post = hmp_size_text(r->postcopy_bytes);

    hmp_printf(call, "RAM info:\n  Throughput (Mbps): \t%0.2f\n", r->mbps);
    hmp_printf(call, "  Sizes: \t\tpagesize=%s, total=%s\n", page, total);
    hmp_printf(call, "  Transfers: \t\ttransferred=%s, remain=%s\n", sent, left);
    hmp_printf(call, "    Channels: \t\tprecopy=%s, multifd=%s, postcopy=%s\n", pre, multi, post);
    hmp_printf(call, "    Page Types: \tnormal=%" G_GUINT64_FORMAT ", zero=%" G_GUINT64_FORMAT,
               r->normal_pages, r->duplicate_pages);
    if (r->skipped_pages) {
        hmp_printf(call, ", skipped=%" G_GUINT64_FORMAT, r->skipped_pages);
    }
    hmp_printf(call, "\n");
    hmp_printf(call, "  Page Rates (pps): \ttransfer=%" G_GUINT64_FORMAT, r->pages_per_second);
    if (r->dirty_pages_rate) {
        hmp_printf(call, ", dirty=%" G_GUINT64_FORMAT, r->dirty_pages_rate);
    }
    hmp_printf(call, "\n");
    put_others(call, r);
}

static void put_free_page(HmpCall *call, const MigrationFreePageInfo *f)
{
    g_autofree char *skipped = hmp_size_text(f->skipped_bytes);

    hmp_printf(call, "Free-page hints: taken=%" G_GUINT64_FORMAT ", late=%" G_GUINT64_FORMAT
               ", skipped=%s\n", f->hints, f->late_hints, skipped);
}

static void put_xbzrle(HmpCall *call, const MigrationXbzrleInfo *x)
{
    hmp_printf(call, "XBZRLE: size=%" G_GUINT64_FORMAT ", transferred=%" G_GUINT64_FORMAT
               ", pages=%" G_GUINT64_FORMAT ", miss=%" G_GUINT64_FORMAT "\n", x->cache_size,
               x->bytes, x->pages, x->cache_miss);
    hmp_printf(call, "  miss_rate=%0.2f, encode_rate=%0.2f, overflow=%" G_GUINT64_FORMAT "\n",
               x->cache_miss_rate, x->encoding_rate, x->overflow);
}

/* Of either side. */
static void put_zero_target(HmpCall *call, const MigrationInfo *in, const MigrationInfo *out)
{
    if (out->has_zero_target) {
        hmp_printf(call, "Zero target: \t\t%s\n",
                   out->zero_target_agreed ? "agreed" : "not agreed, zero pages are sent");
    } else if (in->has_zero_target) {
        hmp_printf(call, "Zero target: \t\tfresh=%" G_GUINT64_FORMAT " pages, cleared=%"
                   G_GUINT64_FORMAT " pages\n", in->zero_target.fresh_pages,
                   in->zero_target.cleared_pages);
    }
}

static const char *on_off(bool v)
{
    return v ? "on" : "off";
}

static void put_globals(HmpCall *call)
{
    const MigrationCompat *c = gw_compat(call->machine->migration);

    hmp_printf(call, "Globals:\n");
    hmp_printf(call, "  store-global-state: %s\n", on_off(c->store_global_state));
    hmp_printf(call, "  send-configuration: %s\n", on_off(c->send_configuration));
    hmp_printf(call, "  send-section-footer: %s\n", on_off(c->send_section_footer));
    hmp_printf(call, "  send-switchover-start: %s\n", on_off(c->send_switchover_start));
}

static void put_background(HmpCall *call, const MigrationBackgroundInfo *b)
{
    hmp_printf(call, "Background sync: \tsyncs=%" G_GUINT64_FORMAT ", time=%" G_GUINT64_FORMAT
               " us, throttle_changes=%" G_GUINT64_FORMAT ", skipped_pages=%" G_GUINT64_FORMAT "\n",
               b->syncs, b->time_us, b->throttle_changes, b->skipped_pages);
}

void hmp_info_migrate(HmpCall *call)
{
    MigrationInfo out, in;

    gw_migration_query(call->machine->migration, &out);
    gw_incoming_query(call->machine->migration, &in);
    put_blockers(call, out.blocked_reasons);
    if (out.status != MIGRATION_STATUS_NONE) {
        put_status(call, &out);
        put_times(call, &out);
    } else if (in.status != MIGRATION_STATUS_NONE) {
        put_status(call, &in);
    }
    put_sockets(call, in.socket_addresses);
    if (out.has_ram) {
        put_ram(call, &out.ram);
    }
    if (out.has_background) {
        put_background(call, &out.background);
    }
    if (out.has_free_page) {
        put_free_page(call, &out.free_page);
    }
    put_zero_target(call, &in, &out);
    if (out.has_preempt) {
        hmp_put_preempt(call, &out.preempt);
    }
    if (in.has_latency) {
        hmp_put_latency(call, &in.latency);
    }
    if (in.has_blocktime) {
        hmp_put_blocktime(call, &in.latency);
    }
    if (call->flags[0]) {
        put_globals(call);
        if (out.has_xbzrle) {
            put_xbzrle(call, &out.xbzrle);
        }
        if (out.cpu_throttle_percentage) {
            hmp_printf(call, "CPU Throttle (%%): %u\n", out.cpu_throttle_percentage);
        }
        if (out.has_dirty_limit) {
            hmp_printf(call, "dirty-limit throttle time: %" G_GUINT64_FORMAT " us\n"
                       "dirty-limit ring full time: %" G_GUINT64_FORMAT " us\n",
                       out.dirty_limit_throttle_us, out.dirty_limit_ring_full_us);
        }
        if (out.has_blackout || in.has_blackout) {
            hmp_put_blackout(call, out.has_blackout ? &out : &in);
        }
        if (in.has_latency) {
            hmp_put_latency_all(call, &in.latency);
        }
    }
    gw_migration_info_clear(&out);
    gw_migration_info_clear(&in);
}

void hmp_info_migrate_capabilities(HmpCall *call)
{
    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        hmp_printf(call, "%s: %s\n", gw_capability_desc(i)->name,
                   on_off(gw_capability_get(call->machine->migration, i)));
    }
}

void hmp_info_migrate_parameters(HmpCall *call)
{
    MigrationState *ms = call->machine->migration;

    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        const MigrationParamDesc *d = gw_param_desc(i);
        const uint64_t num = gw_param_get(ms, i);

        if (d->type == PARAM_STR) {
            g_autofree char *s = gw_param_get_str(ms, i);

            hmp_printf(call, "%s: '%s'\n", d->name, s);
        } else if (d->type == PARAM_BOOL) {
            hmp_printf(call, "%s: %s\n", d->name, on_off(num));
        } else if (d->type == PARAM_ENUM) {
            hmp_printf(call, "%s: %s\n", d->name, d->words[num]);
        } else {
            hmp_printf(call, "%s: %" G_GUINT64_FORMAT "%s\n", d->name, num,
                       gw_param_unit_suffix(d->unit));
        }
    }
}
