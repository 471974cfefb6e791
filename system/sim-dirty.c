/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log of the accelerator `sim`: the write-protection log over all guest RAM. A block that
 * the memory map does not show (yet) joins at its first sync, with everything counted as written.
 * start and stop run under the machine lock, sync on the migration thread in between; the engine
 * does not let them overlap, so SimAccel.log needs no lock of its own.
 */
#include "bits.h"
#include "error.h"
#include "sim.h"

typedef struct StartWalk {
    PagemapLog *log;
    GError *err;
} StartWalk;

static bool add_block(PagemapLog *log, const RAMBlock *block, GError **errp)
{
    const RAMBlockInfo *info = gw_ram_block_info(block);

    return pagemap_log_add(log, info->host, info->max_length, info->page_size, info->idstr, errp);
}

static void start_range(const MemoryRange *r, void *opaque)
{
    StartWalk *w = opaque;

    /* What only devices write is marked by them. A block may show up as several ranges. */
    if (r->type == MEMORY_RANGE_RAM && !w->err &&
        !pagemap_log_has(w->log, gw_ram_block_info(r->block)->host)) {
        add_block(w->log, r->block, &w->err);
    }
}

static bool sim_log_start(void *opaque, GError **errp)
{
    Machine *m = opaque;
    SimAccel *sim = m->accel_state;
    StartWalk walk = { .log = pagemap_log_new(errp) };

    if (!walk.log) {
        return false;
    }
    memory_map_foreach(m->memory, start_range, &walk);
    if (walk.err) {
        g_propagate_error(errp, walk.err);
        pagemap_log_free(walk.log);
        return false;
    }
    pagemap_log_free(sim->log);
    sim->log = walk.log;
    return true;
}

static void sim_log_stop(void *opaque)
{
    SimAccel *sim = ((Machine *)opaque)->accel_state;

    g_clear_pointer(&sim->log, pagemap_log_free);
}

static bool sim_log_sync(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                         uint64_t *bitmap, GError **errp)
{
    SimAccel *sim = ((Machine *)opaque)->accel_state;
    const RAMBlockInfo *info = gw_ram_block_info(block);

    if (!sim->log) {
        return gw_fail(errp, GW_ERROR_GENERIC, "dirty tracking of memory '%s': it is not on",
                       info->idstr);
    }
    if (info->flags & RAM_BLOCK_ROM) {
        return true;
    }
    if (!pagemap_log_has(sim->log, info->host)) {
        bits_set_range(bitmap, 0, npages);
        return add_block(sim->log, block, errp);
    }
    return pagemap_log_sync(sim->log, info->host, first, npages, bitmap, errp);
}

static unsigned sim_vcpu_dirty_pages(void *opaque, uint64_t *pages, unsigned n)
{
    const Machine *m = opaque;
    const unsigned count = MIN(n, m->nr_vcpus);

    for (unsigned i = 0; i < count; i++) {
        pages[i] = __atomic_exchange_n(&sim_cpu(m->vcpus[i])->dirtied, 0, __ATOMIC_RELAXED);
    }
    return count;
}

static unsigned sim_vcpu_writes(void *opaque, uint64_t *pages, unsigned n)
{
    const Machine *m = opaque;
    const unsigned count = MIN(n, m->nr_vcpus);

    for (unsigned i = 0; i < count; i++) {
        pages[i] = SIM_LOOK(sim_cpu(m->vcpus[i])->s.writes);
    }
    return count;
}

static void sim_vcpu_dirty_limit(void *opaque, int vcpu, uint64_t mb_per_s)
{
    const Machine *m = opaque;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (vcpu < 0 || (unsigned)vcpu == i) {
            __atomic_store_n(&sim_cpu(m->vcpus[i])->limit, mb_per_s << 20, __ATOMIC_RELAXED);
        }
    }
}

const MigrationDirtyLogOps sim_dirty_log_ops = {
    .size = sizeof(MigrationDirtyLogOps),
    .name = "pagemap-scan",
    .start = sim_log_start,
    .stop = sim_log_stop,
    .sync = sim_log_sync,
    .vcpu_dirty_pages = sim_vcpu_dirty_pages,
    .vcpu_writes = sim_vcpu_writes,
    .vcpu_dirty_limit = sim_vcpu_dirty_limit,
};
