/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual clock and its `timer` section (version 2, 24 bytes; spec minimal-machines 6.2).
 *
 * clock_lock (leaf) guards offset and "stopped": while the clock runs, time is monotonic + offset;
 * while it stands, the offset IS the time. Any thread reads; the run state switches it. The section
 * is written and applied with the guest stopped, so that it always carries the time itself.
 */
#include "clock.h"

#include <time.h>

#include "error.h"

static int64_t monotonic_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int64_t machine_clock_ns(Machine *m)
{
    pthread_mutex_lock(&m->clock_lock);

    int64_t t = m->clock_offset + (m->clock_stopped ? 0 : monotonic_ns());

    pthread_mutex_unlock(&m->clock_lock);
    return t;
}

void machine_clock_set_running(Machine *m, bool running)
{
    pthread_mutex_lock(&m->clock_lock);
    if (running && m->clock_stopped) {
        m->clock_offset -= monotonic_ns();
        m->clock_stopped = false;
    } else if (!running && !m->clock_stopped) {
        m->clock_offset += monotonic_ns();
        m->clock_stopped = true;
    }
    pthread_mutex_unlock(&m->clock_lock);
}

/* What travels; decoded here first, so that a refused section changes nothing. */
typedef struct ClockState {
    Machine *machine;
    int64_t cpu_ticks_offset;
    int64_t cpu_clock_offset;
} ClockState;

static bool clock_pre_save(void *opaque, GError **errp)
{
    ClockState *s = opaque;
    Machine *m = s->machine;

    pthread_mutex_lock(&m->clock_lock);
    s->cpu_clock_offset = m->clock_offset;
    s->cpu_ticks_offset = m->ticks_offset;
    pthread_mutex_unlock(&m->clock_lock);
    return true;
}

/* Far from the ends of int64_t, so that adding host time to it cannot overflow. */
static bool clock_post_load(void *opaque, int version_id, GError **errp)
{
    ClockState *s = opaque;

    if (s->cpu_clock_offset > INT64_MAX / 4 || s->cpu_clock_offset < -(INT64_MAX / 4)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "timer: cpu_clock_offset %" G_GINT64_FORMAT " is no possible time",
                       s->cpu_clock_offset);
    }
    return true;
}

static bool clock_apply(void *opaque, GError **errp)
{
    ClockState *s = opaque;
    Machine *m = s->machine;

    pthread_mutex_lock(&m->clock_lock);
    m->ticks_offset = s->cpu_ticks_offset;
    m->clock_offset = s->cpu_clock_offset;
    pthread_mutex_unlock(&m->clock_lock);
    return true;
}

static const VMStateField clock_fields[] = {
    VMSTATE_INT64(cpu_ticks_offset, ClockState),
    VMSTATE_UNUSED(8),
    VMSTATE_INT64(cpu_clock_offset, ClockState),
    VMSTATE_END,
};

static const VMStateDescription vmstate_timer = {
    .name = "timer",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = clock_fields,
    .pre_save = clock_pre_save,
    .post_load = clock_post_load,
    .apply = clock_apply,
};

bool machine_clock_init(Machine *m, GError **errp)
{
    ClockState *s = g_new0(ClockState, 1);

    s->machine = m;
    m->clock_stopped = true;
    machine_add_device(m, s, g_free, NULL);
    return gw_vmstate_register(m->migration, NULL, 0, &vmstate_timer, s,
                               MIGRATION_PRIORITY_DEFAULT, errp);
}
