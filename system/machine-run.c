/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices that have work of their own while the guest runs (I/O in flight, locks on images):
 * told when it stops and before it starts. The list is made on the main thread before the guest
 * first runs; the calls come with the run state's transition lock, one at a time.
 */
#include "machine.h"

typedef struct RunEntry {
    const MachineRunOps *ops;
    void *opaque;
} RunEntry;

static guint count(const Machine *m)
{
    return m->run_ops ? m->run_ops->len : 0;
}

void machine_add_run_ops(Machine *m, const MachineRunOps *ops, void *opaque)
{
    RunEntry e = { ops, opaque };

    if (!m->run_ops) {
        m->run_ops = g_array_new(FALSE, FALSE, sizeof(RunEntry));
    }
    g_array_append_val(m->run_ops, e);
}

void machine_remove_run_ops(Machine *m, void *opaque)
{
    for (guint i = count(m); i > 0; i--) {
        if (g_array_index(m->run_ops, RunEntry, i - 1).opaque == opaque) {
            g_array_remove_index(m->run_ops, i - 1);
        }
    }
}

static void stop_first(Machine *m, guint n, bool handover)
{
    for (guint i = n; i > 0; i--) {
        RunEntry *e = &g_array_index(m->run_ops, RunEntry, i - 1);

        e->ops->stopped(e->opaque, handover);
    }
}

void machine_run_stopped(Machine *m, bool handover)
{
    for (guint i = 0; i < count(m); i++) {
        RunEntry *e = &g_array_index(m->run_ops, RunEntry, i);

        if (e->ops->stopping) {
            e->ops->stopping(e->opaque, handover);
        }
    }
    stop_first(m, count(m), handover);
}

bool machine_run_starting(Machine *m, GError **errp)
{
    for (guint i = 0; i < count(m); i++) {
        RunEntry *e = &g_array_index(m->run_ops, RunEntry, i);

        if (!e->ops->starting(e->opaque, errp)) {
            stop_first(m, i, false);
            return false;
        }
    }
    return true;
}
