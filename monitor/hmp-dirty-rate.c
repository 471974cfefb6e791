/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: calc_dirty_rate and info dirty_rate, in the shape of QEMU 11.1, which shows the start time
 * in seconds and says "(ms)"; here it says "(sec)". Main loop's thread.
 */
#include "hmp-run.h"

#include "machine.h"
#include "migration/dirty-rate.h"

void hmp_calc_dirty_rate(HmpCall *call)
{
    g_autoptr(GError) err = NULL;
    const int64_t seconds = (int64_t)call->numbers[2];
    const int64_t samples = (int64_t)call->numbers[3];
    DirtyRateRequest r = {
        .mode = call->flags[0]   ? DIRTY_RATE_DIRTY_RING
                : call->flags[1] ? DIRTY_RATE_DIRTY_BITMAP
                                 : DIRTY_RATE_PAGE_SAMPLING,
        .calc_time_ms = CLAMP(seconds, 0, INT32_MAX) * 1000,
        .has_sample_pages = samples != 0,
        .sample_pages = samples,
    };

    if (seconds <= 0) {
        hmp_printf(call, "Incorrect period length specified!\n");
        return;
    }
    if (call->flags[0] && call->flags[1]) {
        hmp_printf(call, "Either dirty ring or dirty bitmap can be specified!\n");
        return;
    }
    if (!gw_dirty_rate_start(call->machine->migration, &r, &err)) {
        hmp_error(call, err);
        return;
    }
    hmp_printf(call, "Starting dirty rate measurement with period %" G_GINT64_FORMAT " seconds\n"
               "[Please use 'info dirty_rate' to check results]\n", seconds);
}

void hmp_info_dirty_rate(HmpCall *call)
{
    DirtyRateInfo info;

    gw_dirty_rate_query(call->machine->migration, &info);
    hmp_printf(call, "Status: %s\n", gw_dirty_rate_status_name(info.status));
    hmp_printf(call, "Start Time: %" G_GINT64_FORMAT " (sec)\n", info.start_time_s);
    if (info.mode == DIRTY_RATE_PAGE_SAMPLING) {
        hmp_printf(call, "Sample Pages: %" G_GUINT64_FORMAT " (per GB)\n", info.sample_pages);
    }
    hmp_printf(call, "Period: %" G_GINT64_FORMAT " (sec)\n", info.calc_time_ms / 1000);
    hmp_printf(call, "Mode: %s\n", gw_dirty_rate_mode_name(info.mode));
    if (info.error[0]) {
        hmp_printf(call, "Error: %s\n", info.error);
    }
    if (info.status != DIRTY_RATE_MEASURED) {
        hmp_printf(call, "Dirty rate: (not ready)\n");
        return;
    }
    hmp_printf(call, "Dirty rate: %" G_GUINT64_FORMAT " (MB/s)\n", info.rate);
    for (unsigned i = 0; i < info.nr_vcpus; i++) {
        hmp_printf(call, "vcpu[%u], Dirty rate: %" G_GUINT64_FORMAT " (MB/s)\n", i,
                   info.vcpu_rate[i]);
    }
}
