/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The section `sim-cpu`, instance = vCPU index: the workload and where it is. The whole program
 * migrates, so the destination's own -accel properties do not matter for a guest that arrives.
 * Machine lock held, vCPU parked. Everything that indexes memory is checked at load.
 */
#include <time.h>

#include "error.h"
#include "sim.h"

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static SimCpu *cpu_of(void *opaque)
{
    return (SimCpu *)((char *)opaque - offsetof(SimCpu, s));
}

/* The monotonic clock is another one at the destination; the time of day is the same, as far as the
 * hosts agree about it: so the workload sees the switchover as one stall. */
static bool sim_pre_save(void *opaque, GError **errp)
{
    SimCpu *c = cpu_of(opaque);

    c->s.last_real_ns = 0;
    if (c->last_ns) {
        c->s.last_real_ns =
            (uint64_t)(clock_ns(CLOCK_REALTIME) - (clock_ns(CLOCK_MONOTONIC) - c->last_ns));
    }
    return true;
}

static bool check_slice(const SimCpu *c, GError **errp)
{
    const SimState *s = &c->s;

    if (s->first > c->block_pages || s->pages > c->block_pages - s->first ||
        (s->pages ? s->pos >= s->pages : s->pos != 0)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "sim-cpu %u: visit %" G_GUINT64_FORMAT " of pages %" G_GUINT64_FORMAT
                       " + %" G_GUINT64_FORMAT " does not fit into %" G_GUINT64_FORMAT
                       " pages of RAM", c->cpu->index, s->pos, s->first, s->pages, c->block_pages);
    }
    return true;
}

static bool sim_post_load(void *opaque, int version_id, GError **errp)
{
    SimCpu *c = cpu_of(opaque);
    const SimState *s = &c->s;

    if (s->pattern >= SIM_PATTERN__COUNT || s->stride == 0 || s->first_kind > SIM_WRONG_OTHER) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "sim-cpu %u: pattern %u, stride %" G_GUINT64_FORMAT
                       " or kind %u is out of range", c->cpu->index, s->pattern, s->stride,
                       s->first_kind);
    }
    if (!check_slice(c, errp)) {
        return false;
    }
    c->last_ns = 0;
    if (s->last_real_ns) {
        const int64_t gap = clock_ns(CLOCK_REALTIME) - (int64_t)s->last_real_ns;

        c->last_ns = clock_ns(CLOCK_MONOTONIC) - CLAMP(gap, 0, clock_ns(CLOCK_MONOTONIC) - 1);
    }
    c->due_ns = 0;
    c->report_ns = 0;
    return true;
}

static const VMStateField sim_fields[] = {
    VMSTATE_UINT32(pattern, SimState),
    VMSTATE_BOOL(whole, SimState),
    VMSTATE_UINT64(rate, SimState),
    VMSTATE_UINT64(stride, SimState),
    VMSTATE_UINT64(seed, SimState),
    VMSTATE_UINT64(first, SimState),
    VMSTATE_UINT64(pages, SimState),
    VMSTATE_UINT64(pass, SimState),
    VMSTATE_UINT64(pos, SimState),
    VMSTATE_UINT64(ops, SimState),
    VMSTATE_UINT64(writes, SimState),
    VMSTATE_UINT64(verified, SimState),
    VMSTATE_UINT64(wrong, SimState),
    VMSTATE_UINT64(first_wrong, SimState),
    VMSTATE_UINT32(first_kind, SimState),
    VMSTATE_UINT64(reports, SimState),
    VMSTATE_UINT64(worst_us, SimState),
    VMSTATE_UINT64(worst_ever_us, SimState),
    VMSTATE_UINT64_ARRAY(histogram, SimState, SIM_HISTOGRAM),
    VMSTATE_UINT64(last_real_ns, SimState),
    VMSTATE_END,
};

static const VMStateDescription vmstate_sim_cpu = {
    .name = "sim-cpu",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = sim_fields,
    .pre_save = sim_pre_save,
    .post_load = sim_post_load,
};

bool sim_register_vmstate(Machine *m, GError **errp)
{
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (!gw_vmstate_register(m->migration, NULL, i, &vmstate_sim_cpu,
                                 &sim_cpu(m->vcpus[i])->s, MIGRATION_PRIORITY_DEFAULT, errp)) {
            return false;
        }
    }
    return true;
}
