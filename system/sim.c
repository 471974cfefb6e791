/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The accelerator `sim` itself: making and resetting its vCPUs. Main thread, machine lock held; a
 * vCPU that is reset is parked. See sim.h.
 */
#include "sim.h"

#include "error.h"

static bool sim_init(Machine *m, const AccelConfig *conf, GError **errp)
{
    SimAccel *sim = g_new0(SimAccel, 1);

    if (!sim_config_parse(&sim->conf, conf, errp)) {
        g_free(sim);
        return false;
    }
    sim_touch_init();
    m->accel_state = sim;
    return true;
}

static void sim_destroy(Machine *m)
{
    SimAccel *sim = m->accel_state;

    if (sim) {
        pagemap_log_free(sim->log);
        g_free(sim);
        m->accel_state = NULL;
    }
}

/* The vCPU's share of the working set: all the same size, the last takes the rest. */
static bool make_slice(const SimCpu *c, uint64_t *first, uint64_t *pages, GError **errp)
{
    const Machine *m = c->cpu->machine;
    const SimConfig *conf = &((const SimAccel *)m->accel_state)->conf;
    const uint64_t base = conf->base / SIM_PAGE_BYTES;
    const uint64_t left = base < c->block_pages ? c->block_pages - base : 0;
    const uint64_t all = conf->working_set ? conf->working_set / SIM_PAGE_BYTES : left;
    const uint64_t each = all / m->nr_vcpus;

    if (left == 0 || all > left) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-accel sim: base and working-set go beyond the %" G_GUINT64_FORMAT
                       " bytes of RAM", c->block_pages * SIM_PAGE_BYTES);
    }
    *first = base + each * c->cpu->index;
    *pages = c->cpu->index + 1 == m->nr_vcpus ? all - each * c->cpu->index : each;
    return true;
}

/* The state of a guest that has just been switched on. */
static bool fresh_state(SimCpu *c, GError **errp)
{
    const Machine *m = c->cpu->machine;
    const SimConfig *conf = &((const SimAccel *)m->accel_state)->conf;
    SimState s = {
        .pattern = conf->pattern,
        .whole = conf->whole,
        .rate = conf->rate * 1000000 / m->nr_vcpus,
        .stride = conf->stride,
        .seed = conf->seed,
    };

    if (!make_slice(c, &s.first, &s.pages, errp)) {
        return false;
    }
    c->s = s;
    c->last_ns = c->due_ns = c->report_ns = 0;
    return true;
}

static bool sim_vcpu_create(VCPU *cpu, GError **errp)
{
    const Machine *m = cpu->machine;
    const RAMBlockInfo *ram = gw_ram_block_info(m->ram_block);
    SimCpu *c = g_new0(SimCpu, 1);
    pthread_condattr_t attr;

    c->cpu = cpu;
    c->host = ram->host;
    c->block_pages = ram->used_length / SIM_PAGE_BYTES;
    c->report_ms = ((const SimAccel *)m->accel_state)->conf.report_ms;
    if (!fresh_state(c, errp)) {
        g_free(c);
        return false;
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    cpu->accel = c;
    cpu->arch = &c->s;
    return true;
}

static void sim_vcpu_destroy(VCPU *cpu)
{
    SimCpu *c = sim_cpu(cpu);

    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    g_free(c);
    cpu->accel = cpu->arch = NULL;
}

/* The state is where it belongs already: between two visits nothing is held in registers. */
static bool sim_vcpu_sync_state(VCPU *cpu, GError **errp)
{
    return true;
}

static bool sim_vcpu_reset(VCPU *cpu, GError **errp)
{
    return fresh_state(sim_cpu(cpu), errp);
}

const AccelOps accel_sim = {
    .name = "sim",
    .props = sim_props,
    .init = sim_init,
    .destroy = sim_destroy,
    .vcpu_create = sim_vcpu_create,
    .vcpu_destroy = sim_vcpu_destroy,
    .vcpu_run = sim_vcpu_run,
    .vcpu_kick = sim_vcpu_kick,
    .vcpu_get_state = sim_vcpu_sync_state,
    .vcpu_put_state = sim_vcpu_sync_state,
    .vcpu_reset = sim_vcpu_reset,
    .register_vmstate = sim_register_vmstate,
    .dirty_log = &sim_dirty_log_ops,
};
