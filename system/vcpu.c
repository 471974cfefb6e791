/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPU threads: one per vCPU, parked while the guest is stopped.
 *
 * sched->lock (leaf) guards `run`, `quit`, the count of parked threads, what these are to do and
 * the throttle's times.
 * `run` is also read without it, at the top of each turn: a pauser clears it first and kicks then,
 * and a kick is sticky (vcpu.h), so that a vCPU either sees the flag or leaves the guest. The
 * pauser waits for the count; the count is what says that no vCPU touches guest memory any more,
 * and the lock is what makes their writes visible to it.
 */
#include "vcpu.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "vcpu-throttle.h"

/* How long a pauser waits for a vCPU before it kicks once more: a second line of defence against a
 * kick that was lost to a signal handler of the accelerator. */
#define REKICK_NS 5000000

int64_t vcpu_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

bool vcpu_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns)
{
    struct timespec ts = { deadline_ns / 1000000000LL, deadline_ns % 1000000000LL };

    return pthread_cond_timedwait(cond, lock, &ts) == 0;
}

static bool should_run(const VcpuSched *s)
{
    return __atomic_load_n(&s->run, __ATOMIC_ACQUIRE);
}

/* lock held, dropped meanwhile. */
static void do_work(VCPU *cpu)
{
    VcpuSched *s = cpu->machine->sched;

    cpu->work_done = s->work_round;
    pthread_mutex_unlock(&s->lock);
    s->work(cpu);
    pthread_mutex_lock(&s->lock);
    if (--s->work_left == 0) {
        pthread_cond_broadcast(&s->parked);
    }
}

/* Waits while the guest is stopped; false: the thread should end. */
static bool vcpu_park(VCPU *cpu)
{
    VcpuSched *s = cpu->machine->sched;

    pthread_mutex_lock(&s->lock);
    if (!s->run && !s->quit) {
        __atomic_store_n(&cpu->parked, true, __ATOMIC_RELEASE);
        s->nr_parked++;
        pthread_cond_broadcast(&s->parked);
        while ((!s->run && !s->quit) || cpu->work_done != s->work_round) {
            if (cpu->work_done != s->work_round) {
                do_work(cpu);
            } else {
                pthread_cond_wait(&s->wake, &s->lock);
            }
        }
        s->nr_parked--;
        __atomic_store_n(&cpu->parked, false, __ATOMIC_RELEASE);
    }
    vcpu_slice_begin(cpu);

    bool go_on = !s->quit;

    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void *vcpu_thread(void *opaque)
{
    VCPU *cpu = opaque;
    Machine *m = cpu->machine;
    VcpuSched *s = m->sched;

    __atomic_store_n(&cpu->tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    if (m->config->debug_threads) {
        char name[16];

        g_snprintf(name, sizeof(name), "CPU %u/%s", cpu->index,
                   strcmp(m->accel->name, "kvm") == 0 ? "KVM" : m->accel->name);
        pthread_setname_np(pthread_self(), name);
    }
    while (vcpu_park(cpu)) {
        while (should_run(s)) {
            g_autoptr(GError) err = NULL;

            if (!m->accel->vcpu_run(cpu, &err)) {
                g_printerr("vCPU %u stopped: %s\n", cpu->index,
                           err ? err->message : "unknown reason");
                runstate_request_stop(m->run_state, RUN_STATE_INTERNAL_ERROR);
                break;
            }
            vcpu_throttle_sleep(cpu);
        }
    }
    return NULL;
}

static VcpuSched *sched_new(void)
{
    VcpuSched *s = g_new0(VcpuSched, 1);
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_cond_init(&s->parked, &attr);
    pthread_cond_init(&s->ticker, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

static bool start_thread(VCPU *cpu, GError **errp)
{
    int rc = pthread_create(&cpu->thread, NULL, vcpu_thread, cpu);

    if (rc) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, rc, "cannot start the thread of vCPU %u",
                             cpu->index);
    }
    cpu->thread_started = true;
    return true;
}

bool vcpus_create(Machine *m, GError **errp)
{
    m->sched = sched_new();
    m->vcpus = g_new0(VCPU *, m->nr_vcpus ? m->nr_vcpus : 1);
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        VCPU *cpu = g_new0(VCPU, 1);

        cpu->machine = m;
        cpu->index = i;
        if (!m->accel->vcpu_create(cpu, errp)) {
            g_free(cpu);
            return false;
        }
        m->vcpus[i] = cpu;
    }
    /* Only now: no thread ever sees an array that still grows. */
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (!start_thread(m->vcpus[i], errp)) {
            return false;
        }
    }
    return true;
}

static void join_threads(Machine *m)
{
    VcpuSched *s = m->sched;

    vcpus_request_pause(m);
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_broadcast(&s->wake);
    pthread_cond_broadcast(&s->ticker);

    bool ticker = s->ticker_started;

    pthread_mutex_unlock(&s->lock);
    if (ticker) {
        pthread_join(s->ticker_thread, NULL);
    }
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (m->vcpus[i] && m->vcpus[i]->thread_started) {
            pthread_join(m->vcpus[i]->thread, NULL);
        }
    }
}

void vcpus_destroy(Machine *m)
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    vcpus_pause(m);
    join_threads(m);
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (m->vcpus[i]) {
            m->accel->vcpu_destroy(m->vcpus[i]);
            g_free(m->vcpus[i]);
        }
    }
    g_clear_pointer(&m->vcpus, g_free);
    m->nr_vcpus = 0;
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->parked);
    pthread_cond_destroy(&s->ticker);
    g_clear_pointer(&m->sched, g_free);
}

static void kick_unparked(Machine *m)
{
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        VCPU *cpu = m->vcpus[i];

        if (cpu && cpu->thread_started && !__atomic_load_n(&cpu->parked, __ATOMIC_ACQUIRE)) {
            m->accel->vcpu_kick(cpu);
        }
    }
}

void vcpus_request_pause(Machine *m)
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    __atomic_store_n(&s->run, false, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&s->wake); /* ends a throttle sleep */
    pthread_mutex_unlock(&s->lock);
    kick_unparked(m);
}

static unsigned count_threads(Machine *m)
{
    unsigned n = 0;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        n += m->vcpus[i] && m->vcpus[i]->thread_started;
    }
    return n;
}

void vcpus_pause(Machine *m)
{
    vcpus_pause_until(m, INT64_MAX);
}

void vcpus_pause_until(Machine *m, int64_t deadline_ns)
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    vcpus_request_pause(m);

    unsigned n = count_threads(m);

    pthread_mutex_lock(&s->lock);
    while (s->nr_parked < n && vcpu_now_ns() < deadline_ns) {
        if (!vcpu_cond_wait_until(&s->parked, &s->lock, vcpu_now_ns() + REKICK_NS)) {
            pthread_mutex_unlock(&s->lock);
            kick_unparked(m);
            pthread_mutex_lock(&s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void vcpus_resume(Machine *m)
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    vcpus_work_wait(m);
    pthread_mutex_lock(&s->lock);
    __atomic_store_n(&s->run, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void vcpus_work_begin(Machine *m, void (*work)(VCPU *cpu))
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    vcpus_work_wait(m);
    pthread_mutex_lock(&s->lock);
    s->work = work;
    s->work_round++;
    s->work_left = count_threads(m);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void vcpus_work_wait(Machine *m)
{
    VcpuSched *s = m->sched;

    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    while (s->work_left) {
        pthread_cond_wait(&s->parked, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

bool vcpus_running(Machine *m)
{
    return m->sched && should_run(m->sched);
}
