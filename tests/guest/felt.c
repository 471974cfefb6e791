/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fine histograms of what a vCPU felt, for benchmarks: how long the first load from each page took
 * that a check looked at (a page fault, if there was one), and the gaps between its readings of the
 * clock. They are never printed: `gw hello` tells where they lie (felt=), and who measures reads
 * them from guest memory, before and after. Each vCPU writes its own.
 *
 * A bucket is an eighth of a power of two of 64 ns units: bucket i < 8 begins at i units, a later
 * one at (8 + i % 8) << (i / 8 - 1) units.
 */
#include "guest.h"

#define UNIT_SHIFT 6 /* 64 ns */

struct felt felt[MAX_CPUS];

uint64_t felt_address(void)
{
    return (uint64_t)felt;
}

static void note(struct felt_histogram *h, uint64_t ticks)
{
    uint64_t units = clock_to_ns(ticks) >> UNIT_SHIFT;
    uint64_t bucket = units;
    if (units >= 8) {
        unsigned top = 63 - (unsigned)__builtin_clzll(units);
        bucket = (top - 2) * 8 + (units >> (top - 3) & 7);
    }
    if (bucket >= FELT_BUCKETS)
        bucket = FELT_BUCKETS - 1;
    h->count[bucket]++;
    h->ticks[bucket] += ticks;
}

void felt_gap(uint32_t cpu, uint64_t ticks)
{
    note(&felt[cpu].gaps, ticks);
}

void felt_touch(uint32_t cpu, const void *memory)
{
    uint64_t before = rdtsc();
    (void)*(const volatile uint32_t *)memory;
    __asm__ volatile("lfence" : : : "memory");
    note(&felt[cpu].touches, rdtsc() - before);
}
