/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One vCPU's work: fill the slice, then touch pages by the pattern for ever. An operation verifies
 * a page and, by chance of write= percent, writes its next generation. With rate= the operations
 * are paced; the vCPU spins meanwhile (or halts, wait=halt), reading the clock all the time.
 */
#include "guest.h"

#define SWEEP_STEP 8
#define HALT_SLICE_US 1000

struct work works[MAX_CPUS];

static uint64_t next_random(struct work *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

void work_setup(struct work *w, uint32_t cpu, uint32_t cpus)
{
    uint64_t share = memory.pages / cpus;
    w->cpu = cpu;
    w->first = share * cpu;
    w->pages = cpu + 1 == cpus ? memory.pages - w->first : share;
    w->active = w->pages * options.working_set / 100;
    w->active = w->active ? w->active : 1;
    w->random = options.seed * 0x9e3779b97f4a7c15ull + cpu + 1;
    w->position = options.pattern == REVERSE ? w->active - 1 : 0;
}

static void fill(struct work *w)
{
    for (uint64_t i = 0; i < w->pages; i++) {
        if (!page_is_zero_kind(w->first + i)) /* those are zero already */
            page_fill(w->first + i, 0);
    }
}

static uint64_t next_page(struct work *w)
{
    uint64_t at = w->position;
    switch (options.pattern) {
    case REVERSE:
        w->position = at ? at - 1 : w->active - 1;
        break;
    case RANDOM:
    case DIRTY:
        at = next_random(w) % w->active;
        break;
    case STRIDE:
        /* One further after each round, so that every page has its turn. */
        w->position = at + options.stride;
        if (w->position >= w->active)
            w->position = options.stride ? (w->position + 1) % options.stride : 0;
        if (w->position >= w->active)
            w->position = 0;
        break;
    default:
        w->position = at + 1 < w->active ? at + 1 : 0;
        break;
    }
    return w->first + at;
}

static void operate(struct work *w)
{
    uint64_t index = next_page(w);
    bool writes = options.write == 100 || next_random(w) % 100 < options.write;
    check_page(w, index);
    if (writes) {
        page_fill(index, ++memory.generation[index]);
        w->generations++;
        w->writes++;
        /* The sweep has this page behind it or before it: its sum must match either way. */
        if (w->sweeping && index - w->first >= w->sweep_at)
            w->sweep_expected++;
    }
    w->operations++;
}

/* Things that are due by the clock. */
static void housekeeping(struct work *w, uint64_t now)
{
    if (w->cpu == 0) {
        disk_step(w);
        net_step(w);
        rng_step(w);
        balloon_step(w);
    }
    if (options.beat && w->cpu == 0 && now >= w->next_beat) {
        w->next_beat = now + clock_from_us(options.beat);
        serial_write(w, ".", 1);
    }
    if (now >= w->next_report) {
        w->next_report = now + clock_from_us(options.report ? options.report * 1000 : 1000000);
        if (w->cpu == 0) {
            serial_poll();
            net_housekeeping(w);
            balloon_housekeeping(w);
        }
        if (options.report)
            report_now(w);
        if (options.report && options.disk && w->cpu == 0)
            report_disk(w);
        if (options.report && options.net && w->cpu == 0)
            report_net(w);
        if (options.report && options.rng && w->cpu == 0)
            report_rng(w);
        if (options.report && options.free && w->cpu == 0)
            report_balloon(w);
    }
    sweep_maybe_begin(w, now);
}

static void idle(struct work *w)
{
    uint64_t us = options.beat ? options.beat : options.report ? options.report * 1000 : 1000000;
    for (;;) {
        clock_halt(us);
        w->last = 0; /* being asleep is no stall */
        housekeeping(w, clock_now(w));
        sweep_step(w, UINT32_MAX);
    }
}

static void pace(struct work *w, uint64_t interval)
{
    uint64_t now = clock_now(w);
    /* After a long stall go on at the old pace, do not make up for it. */
    if (now > w->next_operation + clock_from_us(100000))
        w->next_operation = now;
    while (now < w->next_operation) {
        if (options.wait_halt && w->cpu == 0 && !w->sweeping) {
            clock_halt(HALT_SLICE_US);
        } else {
            sweep_step(w, 1);
            pause_cpu();
        }
        now = clock_now(w);
        housekeeping(w, now);
    }
    w->next_operation += interval;
}

void work_run(struct work *w)
{
    uint64_t interval = options.rate
        ? clock_from_us(1000000) * options.cpus / (options.rate * 1000000 / PAGE_SIZE) : 0;
    fill(w);
    w->last = 0; /* the filling is no stall */
    w->next_operation = w->next_report = w->next_beat = clock_now(w);
    w->next_sweep = w->last + clock_from_us(options.sweep * 1000000);
    if (options.pattern == IDLE)
        idle(w);
    for (;;) {
        if (interval)
            pace(w, interval);
        operate(w);
        sweep_step(w, SWEEP_STEP);
        housekeeping(w, clock_now(w));
    }
}
