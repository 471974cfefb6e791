/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The throttle: a vCPU sleeps a given share of its time, so that a guest dirties memory more
 * slowly.
 *
 * Time is cut into slices of 10 ms. At P percent a vCPU runs (100-P)% of a slice, is kicked by the
 * ticker thread, and then sleeps in proportion to the time that it really ran: a late kick thus
 * makes the sleep longer, not the share wrong. The sleep waits on sched->wake, so that a pause or a
 * new percentage ends it at once. All times are guarded by sched->lock; the ticker exists only once
 * a throttle was asked for and sleeps without a deadline while there is none.
 */
#include "vcpu-throttle.h"

#define SLICE_NS 10000000LL
/* A vCPU that ran far longer than its slice (the throttle was just raised) does not pay for all. */
#define RUN_COUNTED_MAX_NS SLICE_NS

static int64_t run_share_ns(unsigned percent)
{
    return SLICE_NS * (100 - percent) / 100;
}

void vcpu_slice_begin(VCPU *cpu)
{
    VcpuSched *s = cpu->machine->sched;

    cpu->slice_start_ns = vcpu_now_ns();
    cpu->slice_end_ns = 0;
    __atomic_store_n(&cpu->throttle_due, false, __ATOMIC_RELAXED);
    if (s->throttle_percent) {
        cpu->slice_end_ns = cpu->slice_start_ns + run_share_ns(s->throttle_percent);
        pthread_cond_signal(&s->ticker);
    }
}

void vcpu_throttle_sleep(VCPU *cpu)
{
    VcpuSched *s = cpu->machine->sched;

    if (G_LIKELY(!__atomic_load_n(&cpu->throttle_due, __ATOMIC_ACQUIRE))) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (s->throttle_percent) {
        unsigned percent = s->throttle_percent;
        int64_t ran = MIN(vcpu_now_ns() - cpu->slice_start_ns, RUN_COUNTED_MAX_NS);
        int64_t until = vcpu_now_ns() + ran * percent / (100 - percent);

        while (s->run && !s->quit && s->throttle_percent == percent &&
               vcpu_cond_wait_until(&s->wake, &s->lock, until)) {
        }
    }
    vcpu_slice_begin(cpu);
    pthread_mutex_unlock(&s->lock);
}

/* sched->lock held: marks the vCPUs whose slice is over and returns the next end, 0 if none. */
static int64_t collect_due(Machine *m, int64_t now, bool due[MACHINE_MAX_CPUS])
{
    int64_t next = 0;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        VCPU *cpu = m->vcpus[i];

        due[i] = false;
        if (!cpu->slice_end_ns || __atomic_load_n(&cpu->parked, __ATOMIC_RELAXED)) {
            continue;
        }
        if (cpu->slice_end_ns <= now) {
            cpu->slice_end_ns = 0;
            __atomic_store_n(&cpu->throttle_due, true, __ATOMIC_RELEASE);
            due[i] = true;
        } else if (!next || cpu->slice_end_ns < next) {
            next = cpu->slice_end_ns;
        }
    }
    return next;
}

static void *ticker_main(void *opaque)
{
    Machine *m = opaque;
    VcpuSched *s = m->sched;
    bool due[MACHINE_MAX_CPUS];

    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        int64_t next = collect_due(m, vcpu_now_ns(), due);
        bool kicked = false;

        pthread_mutex_unlock(&s->lock);
        for (unsigned i = 0; i < m->nr_vcpus; i++) {
            if (due[i]) {
                m->accel->vcpu_kick(m->vcpus[i]);
                kicked = true;
            }
        }
        pthread_mutex_lock(&s->lock);
        if (kicked || s->quit) {
            continue; /* the lock was away: look again */
        }
        if (next) {
            vcpu_cond_wait_until(&s->ticker, &s->lock, next);
        } else {
            pthread_cond_wait(&s->ticker, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void vcpus_set_throttle(Machine *m, unsigned percent)
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    percent = MIN(percent, 99);
    pthread_mutex_lock(&s->lock);
    if (percent && !s->ticker_started && !s->quit) {
        s->ticker_started = pthread_create(&s->ticker_thread, NULL, ticker_main, m) == 0;
        if (s->ticker_started) {
            pthread_setname_np(s->ticker_thread, "throttle");
        }
    }
    s->throttle_percent = percent;

    int64_t now = vcpu_now_ns();

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        VCPU *cpu = m->vcpus[i];

        __atomic_store_n(&cpu->throttle_percent, percent, __ATOMIC_RELAXED);
        cpu->slice_end_ns = percent ? now + run_share_ns(percent) : 0;
    }
    pthread_cond_broadcast(&s->wake);
    pthread_cond_signal(&s->ticker);
    pthread_mutex_unlock(&s->lock);
}
