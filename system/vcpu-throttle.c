/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The throttle: a vCPU sleeps a given share of its time, so that a guest dirties memory more
 * slowly. There is a share for all vCPUs and one for each; the larger counts.
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

/* sched->lock held. */
static unsigned share_of(const VCPU *cpu)
{
    return MAX(cpu->machine->sched->throttle_percent, cpu->limit_percent);
}

void vcpu_slice_begin(VCPU *cpu)
{
    VcpuSched *s = cpu->machine->sched;

    cpu->slice_start_ns = vcpu_now_ns();
    cpu->slice_end_ns = 0;
    __atomic_store_n(&cpu->throttle_due, false, __ATOMIC_RELAXED);
    if (share_of(cpu)) {
        cpu->slice_end_ns = cpu->slice_start_ns + run_share_ns(share_of(cpu));
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
    const unsigned percent = share_of(cpu);

    if (percent) {
        const int64_t begin = vcpu_now_ns();
        const int64_t ran = MIN(begin - cpu->slice_start_ns, RUN_COUNTED_MAX_NS);
        const int64_t until = begin + ran * percent / (100 - percent);

        while (s->run && !s->quit && share_of(cpu) == percent &&
               vcpu_cond_wait_until(&s->wake, &s->lock, until)) {
        }
        __atomic_add_fetch(&cpu->throttled_ns, (uint64_t)(vcpu_now_ns() - begin),
                           __ATOMIC_RELAXED);
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

/* sched->lock held, but not during the kicks; true: somebody was kicked, and the lock was away. */
static bool kick_due(Machine *m, const bool due[MACHINE_MAX_CPUS])
{
    bool any = false;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        any |= due[i];
    }
    if (!any) {
        return false;
    }
    pthread_mutex_unlock(&m->sched->lock);
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (due[i]) {
            m->accel->vcpu_kick(m->vcpus[i]);
        }
    }
    pthread_mutex_lock(&m->sched->lock);
    return true;
}

static void *ticker_main(void *opaque)
{
    Machine *m = opaque;
    VcpuSched *s = m->sched;
    bool due[MACHINE_MAX_CPUS];

    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        int64_t next = collect_due(m, vcpu_now_ns(), due);

        /* The lock goes away for kicks alone: `next` holds, and no signal is missed, only as long
         * as it is held from the look to the wait. */
        if (kick_due(m, due)) {
            continue;
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

/* sched->lock held. */
static void start_ticker(Machine *m)
{
    VcpuSched *s = m->sched;

    if (!s->ticker_started && !s->quit) {
        s->ticker_started = pthread_create(&s->ticker_thread, NULL, ticker_main, m) == 0;
        if (s->ticker_started) {
            pthread_setname_np(s->ticker_thread, "throttle");
        }
    }
}

/* The shares have changed: new slices. sched->lock held. */
static void shares_changed(Machine *m)
{
    VcpuSched *s = m->sched;
    const int64_t now = vcpu_now_ns();

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        const unsigned percent = share_of(m->vcpus[i]);

        if (percent) {
            start_ticker(m);
        }
        m->vcpus[i]->slice_end_ns = percent ? now + run_share_ns(percent) : 0;
    }
    pthread_cond_broadcast(&s->wake);
    pthread_cond_signal(&s->ticker);
}

void vcpus_set_throttle(Machine *m, unsigned percent)
{
    VcpuSched *s = m->sched;

    if (s) {
        pthread_mutex_lock(&s->lock);
        s->throttle_percent = MIN(percent, 99);
        shares_changed(m);
        pthread_mutex_unlock(&s->lock);
    }
}

void vcpu_set_throttle(Machine *m, unsigned index, unsigned percent)
{
    VcpuSched *s = m->sched;

    if (s && index < m->nr_vcpus) {
        pthread_mutex_lock(&s->lock);
        m->vcpus[index]->limit_percent = MIN(percent, 99);
        shares_changed(m);
        pthread_mutex_unlock(&s->lock);
    }
}

uint64_t vcpu_throttled_ns(Machine *m, unsigned index)
{
    return index < m->nr_vcpus ? __atomic_load_n(&m->vcpus[index]->throttled_ns, __ATOMIC_RELAXED)
                               : 0;
}
