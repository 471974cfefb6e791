/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three-phase device load: decode without side effects; apply inside one memory transaction;
 * commit; and only then the hooks that may look at the new memory map. Incoming thread.
 * Design: docs/devel/migration/device-load.
 *
 * The machine lock guards device state. It is taken for each phase and dropped around every read
 * of the channel, since a peer may take as long as it likes for the next byte. The transaction
 * begins after decoding, so that none is open while the lock is free.
 *
 * Sections are decoded in the order of the stream and applied in that same order.
 */
#include "device-load.h"

#include "error.h"
#include "vmstate-codec.h"

/* What one section decoded. */
typedef struct Decoded {
    SaveStateEntry *se;
    GArray *loaded; /* of VMStateLoaded */
} Decoded;

struct DeviceLoad {
    MigrationState *ms;
    GPtrArray *sections; /* of Decoded */
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

static void unlock_machine(void *opaque)
{
    MigrationState *ms = opaque;

    ms->host.unlock(ms->host_opaque);
}

static void lock_machine(void *opaque)
{
    MigrationState *ms = opaque;

    ms->host.lock(ms->host_opaque);
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

bool device_load_decode(DeviceLoad *dl, SaveStateEntry *se, int version_id, StreamReader *r,
                        GError **errp)
{
    Decoded *d = g_new0(Decoded, 1);
    bool ok;

    d->se = se;
    d->loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    forget(dl, se);
    lock_machine(dl->ms);
    stream_reader_set_wait_hooks(r, unlock_machine, lock_machine, dl->ms);
    ok = vmstate_load(r, se->vmsd, se->opaque, version_id, d->loaded, errp);
    stream_reader_set_wait_hooks(r, NULL, NULL, NULL);
    unlock_machine(dl->ms);
    if (ok) {
        g_ptr_array_add(dl->sections, d);
    } else {
        decoded_free(d);
    }
    return ok;
}

typedef bool (*Phase)(const GArray *loaded, GError **errp);

static bool run_phase(DeviceLoad *dl, Phase phase, GError **errp)
{
    for (guint i = 0; i < dl->sections->len; i++) {
        Decoded *d = g_ptr_array_index(dl->sections, i);

        if (!phase(d->loaded, errp)) {
            g_prefix_error(errp, "section '%s' instance %u: ", d->se->idstr, d->se->instance_id);
            return false;
        }
    }
    return true;
}

bool device_load_commit(DeviceLoad *dl, GError **errp)
{
    MigrationState *ms = dl->ms;
    bool ok, committed = true;

    lock_machine(ms);
    if (ms->host.transaction_begin) {
        ms->host.transaction_begin(ms->host_opaque);
    }
    ok = run_phase(dl, vmstate_apply, errp);
    /* Also after a failure: an open transaction would outlive the migration. */
    if (ms->host.transaction_commit) {
        committed = ms->host.transaction_commit(ms->host_opaque, ok ? errp : NULL);
    }
    ok = ok && committed && run_phase(dl, vmstate_post_commit, errp);
    unlock_machine(ms);
    g_ptr_array_set_size(dl->sections, 0);
    return ok;
}
