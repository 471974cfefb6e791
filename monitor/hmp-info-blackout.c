/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: the part of `info migrate -a` about the time in which the guest stood still, by phase and by
 * device. Microseconds. Main loop's thread. Docs: docs/devel/migration/blackout.
 */
#include "hmp-run.h"

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static void put_devices(HmpCall *call, const GArray *devices)
{
    for (guint i = 0; i < devices->len; i++) {
        const MigrationDeviceTimes *t = &g_array_index(devices, MigrationDeviceTimes, i);

        hmp_printf(call, "  %s/%u: \tsave=%.1f, decode=%.1f, apply=%.1f, post_commit=%.1f\n",
                   t->name, t->instance_id, us(t->save_ns), us(t->decode_ns), us(t->apply_ns),
                   us(t->post_commit_ns));
    }
}

void hmp_put_blackout(HmpCall *call, const MigrationInfo *info)
{
    const MigrationBlackout *b = &info->blackout;

    hmp_printf(call, "Blackout (us): \t\tstop=%.1f, dirty_sync=%.1f, last_pages=%.1f, "
               "device_save=%.1f, transfer=%.1f, description=%.1f, answer=%.1f, decode=%.1f, "
               "apply=%.1f, commit=%.1f, post_commit=%.1f, start=%.1f\n", us(b->stop_ns),
               us(b->dirty_sync_ns), us(b->last_pages_ns), us(b->device_save_ns),
               us(b->transfer_ns), us(b->description_ns), us(b->answer_ns), us(b->decode_ns),
               us(b->apply_ns), us(b->commit_ns), us(b->post_commit_ns), us(b->start_ns));
    hmp_printf(call, "Memory map: \t\tedits=%" G_GUINT64_FORMAT ", commits=%" G_GUINT64_FORMAT
               ", rebuilds=%" G_GUINT64_FORMAT ", ioctls=%" G_GUINT64_FORMAT "\n", b->map_edits,
               b->map_commits, b->map_rebuilds, b->map_ioctls);
    put_devices(call, info->devices);
}
