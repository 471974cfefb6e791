/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device load in phases: decode without side effects; apply inside one memory transaction;
 * commit; and only then the hooks that may look at the new memory map. Incoming thread (the
 * listen thread's loop loads no devices). Design: docs/devel/migration/device-load.
 *
 * With batch-vmstate-load all sections up to the next other element are decoded before the first is
 * applied. Without it each goes through its phases as it comes, and each edit of the map commits
 * by itself.
 *
 * The machine lock guards device state. It is taken for each phase and dropped around every read
 * of the channel, since a peer may take as long as it likes for the next byte. The transaction
 * begins after decoding, so that none is open while the lock is free.
 *
 * Sections are decoded in the order of the stream and applied in that same order.
 */
#include "device-load.h"

#include <inttypes.h>

#include "blackout.h"
#include "error.h"
#include "trace.h"
#include "vmstate-codec.h"

/* What one section decoded. */
typedef struct Decoded {
    SaveStateEntry *se;
    GArray *loaded; /* of VMStateLoaded */
} Decoded;

struct DeviceLoad {
    MigrationState *ms;
    bool batched;
    GPtrArray *sections; /* of Decoded */
    int64_t wait_start;  /* of the read that decoding waits for */
    uint64_t waited_ns;  /* in this section */
};

static void decoded_free(gpointer p)
{
    Decoded *d = p;

    g_array_unref(d->loaded);
    g_free(d);
}

DeviceLoad *device_load_new(MigrationState *ms)
{
    DeviceLoad *dl = g_new0(DeviceLoad, 1);

    dl->ms = ms;
    dl->batched = gw_capability_get(ms, MIGRATION_CAP_BATCH_VMSTATE_LOAD);
    dl->sections = g_ptr_array_new_with_free_func(decoded_free);
    return dl;
}

void device_load_free(DeviceLoad *dl)
{
    if (dl) {
        g_ptr_array_unref(dl->sections);
        g_free(dl);
    }
}

/* Batched: from here on this thread may not look at the map, which lacks the edits to come. */
static void forbid_reads(DeviceLoad *dl, bool on)
{
    if (dl->batched && dl->ms->host.forbid_map_reads) {
        dl->ms->host.forbid_map_reads(dl->ms->host_opaque, on);
    }
}

static void enter(DeviceLoad *dl)
{
    dl->ms->host.lock(dl->ms->host_opaque);
    forbid_reads(dl, true);
}

static void leave(DeviceLoad *dl)
{
    forbid_reads(dl, false);
    dl->ms->host.unlock(dl->ms->host_opaque);
}

static void before_wait(void *opaque)
{
    DeviceLoad *dl = opaque;

    leave(dl);
    dl->wait_start = ms_now_ns(dl->ms);
}

static void after_wait(void *opaque)
{
    DeviceLoad *dl = opaque;

    dl->waited_ns += (uint64_t)(ms_now_ns(dl->ms) - dl->wait_start);
    enter(dl);
}

/* Objects of an earlier load of the same device may be gone now. */
static void forget(DeviceLoad *dl, const SaveStateEntry *se)
{
    for (guint i = dl->sections->len; i > 0; i--) {
        if (((Decoded *)g_ptr_array_index(dl->sections, i - 1))->se == se) {
            g_ptr_array_remove_index(dl->sections, i - 1);
        }
    }
}

static void account_decode(DeviceLoad *dl, SaveStateEntry *se, int64_t start)
{
    const uint64_t all = (uint64_t)(ms_now_ns(dl->ms) - start);
    const uint64_t busy = all - MIN(all, dl->waited_ns);

    STAT_SET(se->times.decode_ns, MAX(busy, 1)); /* 0 is: never */
    STAT_SET(se->times.apply_ns, 0);
    STAT_SET(se->times.post_commit_ns, 0);
    STAT_ADD(dl->ms->in.blackout.decode_ns, MAX(busy, 1));
    STAT_ADD(dl->ms->in.blackout.transfer_ns, dl->waited_ns);
}

static bool decode(DeviceLoad *dl, SaveStateEntry *se, int version_id, StreamReader *r,
                   GError **errp)
{
    Decoded *d = g_new0(Decoded, 1);
    const int64_t start = ms_now_ns(dl->ms);
    bool ok;

    d->se = se;
    d->loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    forget(dl, se);
    dl->waited_ns = 0;
    enter(dl);
    stream_reader_set_wait_hooks(r, before_wait, after_wait, dl);
    ok = vmstate_load(r, se->vmsd, se->opaque, version_id, d->loaded, errp);
    stream_reader_set_wait_hooks(r, NULL, NULL, NULL);
    leave(dl);
    account_decode(dl, se, start);
    if (ok) {
        g_ptr_array_add(dl->sections, d);
    } else {
        decoded_free(d);
    }
    return ok;
}

/* Runs a phase of all sections; the time of each goes to the counter at `offset` of its times. */
static bool run_phase(DeviceLoad *dl, bool (*phase)(const GArray *loaded, GError **errp),
                      size_t offset, GError **errp)
{
    for (guint i = 0; i < dl->sections->len; i++) {
        Decoded *d = g_ptr_array_index(dl->sections, i);
        const int64_t start = ms_now_ns(dl->ms);
        const bool ok = phase(d->loaded, errp);

        blackout_lap(dl->ms, (uint64_t *)((char *)&d->se->times + offset), start);
        if (!ok) {
            g_prefix_error(errp, "section '%s' instance %u: ", d->se->idstr, d->se->instance_id);
            return false;
        }
    }
    return true;
}

static void map_counts(MigrationState *ms, MigrationMapCounts *out)
{
    *out = (MigrationMapCounts){ 0 };
    if (ms->host.map_counts) {
        ms->host.map_counts(ms->host_opaque, out);
    }
}

/* Apply and commit. */
static bool change_map(DeviceLoad *dl, GError **errp)
{
    const MigrationHostOps *host = &dl->ms->host;
    const bool transaction = dl->batched && host->transaction_begin && host->transaction_commit;

    if (transaction) {
        host->transaction_begin(dl->ms->host_opaque);
    }
    if (!run_phase(dl, vmstate_apply, offsetof(SectionTimes, apply_ns), errp)) {
        if (transaction && host->transaction_abort) {
            host->transaction_abort(dl->ms->host_opaque);
        }
        return false;
    }
    return !transaction || host->transaction_commit(dl->ms->host_opaque, errp);
}

static void account_map(DeviceLoad *dl, const MigrationMapCounts *before, int64_t start)
{
    MigrationBlackout *b = &dl->ms->in.blackout;
    const uint64_t all = (uint64_t)(ms_now_ns(dl->ms) - start);
    MigrationMapCounts after;

    map_counts(dl->ms, &after);

    const uint64_t commit = after.commit_ns - before->commit_ns;

    STAT_ADD(b->apply_ns, all - MIN(all, commit));
    STAT_ADD(b->commit_ns, commit);
    STAT_ADD(b->map_edits, after.edits - before->edits);
    STAT_ADD(b->map_commits, after.commits - before->commits);
    STAT_ADD(b->map_rebuilds, after.rebuilds - before->rebuilds);
    STAT_ADD(b->map_ioctls, after.ioctls - before->ioctls);
}

static void trace_devices(DeviceLoad *dl)
{
    for (guint i = 0; i < dl->sections->len; i++) {
        const SaveStateEntry *se = ((Decoded *)g_ptr_array_index(dl->sections, i))->se;

        trace_event(loadvm_device, "%s instance %u: decode %" PRIu64 " ns, apply %" PRIu64
                    " ns, post-commit %" PRIu64 " ns", se->idstr, se->instance_id,
                    STAT_GET(se->times.decode_ns), STAT_GET(se->times.apply_ns),
                    STAT_GET(se->times.post_commit_ns));
    }
}

bool device_load_finish(DeviceLoad *dl, GError **errp)
{
    MigrationState *ms = dl->ms;
    MigrationMapCounts before;
    int64_t start;
    bool ok;

    if (dl->sections->len == 0) {
        return true;
    }
    ms->host.lock(ms->host_opaque);
    start = ms_now_ns(ms);
    map_counts(ms, &before);
    ok = change_map(dl, errp);
    account_map(dl, &before, start);
    if (ok) {
        start = ms_now_ns(ms);
        ok = run_phase(dl, vmstate_post_commit, offsetof(SectionTimes, post_commit_ns), errp);
        blackout_lap(ms, &ms->in.blackout.post_commit_ns, start);
    }
    ms->host.unlock(ms->host_opaque);
    if (dl->batched) {
        trace_event(loadvm_batch, "%u sections in one transaction", dl->sections->len);
    }
    trace_devices(dl);
    g_ptr_array_set_size(dl->sections, 0);
    return ok;
}

bool device_load_section(DeviceLoad *dl, SaveStateEntry *se, int version_id, StreamReader *r,
                         GError **errp)
{
    return decode(dl, se, version_id, r, errp) && (dl->batched || device_load_finish(dl, errp));
}
