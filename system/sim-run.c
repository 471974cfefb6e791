/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's loop, on the vCPU's thread: visit, measure, pace, report, until kicked. It leaves
 * only between two visits, so that the state of a parked vCPU always says what memory holds.
 *
 * A kick sets `kicked` and wakes the pacing sleep under `lock`; it is sticky (vcpu.h). It also ends
 * the wait for a page that is missing (sim-touch.c).
 *
 * Stalls: the time between the ends of two visits, less the sleep that the rate asked for. Time in
 * which the guest was stopped or throttled counts, as it would for a guest that looks at its clock.
 */
#include "sim.h"

#include <time.h>

#define BURST_NS   1000000LL   /* sleep only when that much ahead of the rate */
#define FORGIVE_NS 100000000LL /* further behind than this: do not make up for it */
#define IDLE_NS    100000000LL

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static bool take_kick(SimCpu *c)
{
    return SIM_LOOK(c->kicked) && __atomic_exchange_n(&c->kicked, false, __ATOMIC_ACQ_REL);
}

void sim_vcpu_kick(VCPU *cpu)
{
    SimCpu *c = sim_cpu(cpu);

    pthread_mutex_lock(&c->lock);
    __atomic_store_n(&c->kicked, true, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    sim_touch_kick(cpu);
}

/* Ends early when kicked. */
static void sleep_until(SimCpu *c, int64_t when_ns)
{
    const struct timespec ts = { when_ns / 1000000000LL, when_ns % 1000000000LL };

    pthread_mutex_lock(&c->lock);
    while (!SIM_LOOK(c->kicked) && pthread_cond_timedwait(&c->wake, &c->lock, &ts) == 0) {
        continue;
    }
    pthread_mutex_unlock(&c->lock);
    c->last_ns = now_ns(); /* being asleep is no stall */
}

void sim_stall(SimState *s, int64_t ns)
{
    const uint64_t us = (uint64_t)MAX(ns, 0) / 1000;
    const unsigned bucket = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

    SIM_COUNT(s->histogram[MIN(bucket, SIM_HISTOGRAM - 1)], 1);
    s->worst_us = MAX(s->worst_us, us);
    s->worst_ever_us = MAX(s->worst_ever_us, us);
}

static void count_wrong(SimState *s, uint64_t index, SimWrong kind)
{
    if (s->wrong == 0) {
        s->first_wrong = index * SIM_PAGE_BYTES;
        s->first_kind = kind;
    }
    SIM_COUNT(s->wrong, 1);
}

bool sim_visit(SimCpu *c)
{
    SimState *s = &c->s;
    const uint64_t index = s->first + sim_pattern_page(s, s->pos);
    uint64_t *page = (uint64_t *)(c->host + index * SIM_PAGE_BYTES);

    if (!sim_touch(c, page)) {
        return false;
    }
    if (s->pass > 0) { /* before, memory holds what it likes */
        const SimWrong kind = sim_page_verify(page, s, index, s->pass);

        SIM_COUNT(s->verified, 1);
        if (kind != SIM_RIGHT) {
            count_wrong(s, index, kind);
        }
    }
    sim_page_write(page, s, index, s->pass + 1);
    SIM_COUNT(s->ops, 1);
    SIM_COUNT(s->writes, 1);
    __atomic_add_fetch(&c->dirtied, 1, __ATOMIC_RELAXED);
    if (++s->pos == s->pages) {
        s->pos = 0;
        SIM_COUNT(s->pass, 1);
    }
    return true;
}

/* Bytes per second that apply now; 0: no limit. */
static uint64_t present_rate(const SimCpu *c)
{
    const uint64_t limit = SIM_LOOK(c->limit);

    return limit && (!c->s.rate || limit < c->s.rate) ? limit : c->s.rate;
}

/* False: the visit is not due yet, look for a kick first. */
static bool is_due(SimCpu *c, int64_t now)
{
    const uint64_t rate = present_rate(c);

    if (!rate) {
        return true;
    }
    if (now > c->due_ns + FORGIVE_NS) {
        c->due_ns = now;
    }
    if (c->due_ns > now + BURST_NS) {
        sleep_until(c, MIN(c->due_ns, now + IDLE_NS)); /* and look whether the limit has changed */
        return false;
    }
    c->due_ns += (int64_t)(SIM_PAGE_BYTES * UINT64_C(1000000000) / rate);
    return true;
}

static void report_if_due(SimCpu *c, int64_t now)
{
    if (!c->report_ms || now < c->report_ns) {
        return;
    }
    if (c->report_ns) {
        sim_report(c);
        c->last_ns = now_ns(); /* nor is speaking */
    }
    c->report_ns = now + (int64_t)c->report_ms * 1000000;
}

bool sim_vcpu_run(VCPU *cpu, GError **errp)
{
    SimCpu *c = sim_cpu(cpu);
    int64_t now = now_ns();

    sim_touch_thread(c);
    if (c->last_ns) {
        sim_stall(&c->s, now - c->last_ns); /* stopped or throttled */
    }
    c->last_ns = now;
    while (!take_kick(c)) {
        now = c->last_ns;
        report_if_due(c, now);
        if (c->s.pattern == SIM_IDLE || c->s.pages == 0) {
            sleep_until(c, now + IDLE_NS);
            continue;
        }
        if (!is_due(c, now)) {
            continue;
        }
        if (!sim_visit(c)) {
            continue;
        }
        now = now_ns();
        sim_stall(&c->s, now - c->last_ns);
        c->last_ns = now;
    }
    return true;
}
