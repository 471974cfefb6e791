/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blackout, accounted: where the time goes in which the guest runs nowhere, by part and by
 * device. The migration thread counts the source's part, the incoming thread the destination's;
 * all counters are relaxed atomics, so that query-migrate may look at any time.
 *
 * The two sides' clocks are not compared: what lies between them is in neither's account but as
 * `transfer`, the time one side had to wait for the channel.
 */
#include "blackout.h"

#include <inttypes.h>

#include "trace.h"

int64_t blackout_lap(MigrationState *ms, uint64_t *counter, int64_t start)
{
    const int64_t now = ms_now_ns(ms);

    STAT_ADD(*counter, (uint64_t)(now - start));
    return now;
}

void blackout_copy(MigrationBlackout *to, const MigrationBlackout *from)
{
    to->stop_ns = STAT_GET(from->stop_ns);
    to->dirty_sync_ns = STAT_GET(from->dirty_sync_ns);
    to->last_pages_ns = STAT_GET(from->last_pages_ns);
    to->device_save_ns = STAT_GET(from->device_save_ns);
    to->transfer_ns = STAT_GET(from->transfer_ns);
    to->description_ns = STAT_GET(from->description_ns);
    to->answer_ns = STAT_GET(from->answer_ns);
    to->decode_ns = STAT_GET(from->decode_ns);
    to->apply_ns = STAT_GET(from->apply_ns);
    to->commit_ns = STAT_GET(from->commit_ns);
    to->post_commit_ns = STAT_GET(from->post_commit_ns);
    to->start_ns = STAT_GET(from->start_ns);
    to->map_edits = STAT_GET(from->map_edits);
    to->map_commits = STAT_GET(from->map_commits);
    to->map_rebuilds = STAT_GET(from->map_rebuilds);
    to->map_ioctls = STAT_GET(from->map_ioctls);
}

GArray *blackout_devices(MigrationState *ms)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(MigrationDeviceTimes));

    for (guint i = 0; i < ms->registry.entries->len; i++) {
        const SaveStateEntry *se = g_ptr_array_index(ms->registry.entries, i);
        MigrationDeviceTimes t = {
            .instance_id = se->instance_id,
            .save_ns = STAT_GET(se->times.save_ns),
            .decode_ns = STAT_GET(se->times.decode_ns),
            .apply_ns = STAT_GET(se->times.apply_ns),
            .post_commit_ns = STAT_GET(se->times.post_commit_ns),
            .bytes = STAT_GET(se->times.bytes),
        };

        if (t.save_ns || t.decode_ns) {
            g_strlcpy(t.name, se->idstr, sizeof(t.name));
            g_array_append_val(list, t);
        }
    }
    return list;
}

void blackout_trace_source(MigrationState *ms)
{
    MigrationBlackout b;

    blackout_copy(&b, &ms->out.blackout);
    trace_event(migration_blackout, "source: stop %" PRIu64 " ns, last dirty sync %" PRIu64
                " ns, last pages %" PRIu64 " ns, device save %" PRIu64 " ns, transfer %" PRIu64
                " ns, description %" PRIu64 " ns, answer %" PRIu64 " ns", b.stop_ns,
                b.dirty_sync_ns, b.last_pages_ns, b.device_save_ns, b.transfer_ns,
                b.description_ns, b.answer_ns);
}

void blackout_trace_destination(MigrationState *ms)
{
    MigrationBlackout b;

    blackout_copy(&b, &ms->in.blackout);
    trace_event(migration_blackout, "destination: transfer %" PRIu64 " ns, decode %" PRIu64
                " ns, apply %" PRIu64 " ns, commit %" PRIu64 " ns, post-commit %" PRIu64
                " ns, start %" PRIu64 " ns; %" PRIu64 " map edits, %" PRIu64 " commits, %" PRIu64
                " ioctls", b.transfer_ns, b.decode_ns, b.apply_ns, b.commit_ns, b.post_commit_ns,
                b.start_ns, b.map_edits, b.map_commits, b.map_ioctls);
}
