/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time: the TSC, whose frequency comes from KVM's paravirtual clock, CPUID, or tsc_khz=. Every
 * reading goes through clock_now(), which notes the time since the vCPU's last reading: the work
 * loops read it for each page, so a long gap is a stall of the guest. The TSC does not go on while
 * a guest is between two hosts; who wants the outage as seen from outside uses beat= and looks at
 * the serial line.
 */
#include "guest.h"

#define APIC_REG(offset) (*(volatile uint32_t *)(APIC_BASE + (offset)))
#define APIC_SPURIOUS 0x0f0
#define APIC_ICR_LOW 0x300
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT0 0x350
#define APIC_TIMER_COUNT 0x380
#define APIC_TIMER_DIVIDE 0x3e0

struct pvclock {
    uint32_t version, pad;
    uint64_t tsc, system_time;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, pad2[2];
};

extern volatile struct pvclock pvclock_page;
extern volatile uint32_t timer_fired, halt_done;
static uint64_t tsc_khz = 2000000;

uint64_t clock_tsc_khz(void)
{
    return tsc_khz;
}

uint64_t clock_from_us(uint64_t us)
{
    return us * tsc_khz / 1000;
}

uint64_t clock_to_us(uint64_t ticks)
{
    return ticks / (tsc_khz / 1000);
}

/* For short times: less than an hour. */
uint64_t clock_to_ns(uint64_t ticks)
{
    return ticks * 1000000 / tsc_khz;
}

/* Nanoseconds of the paravirtual clock, 0 where there is none. First vCPU only: it is its page. */
uint64_t clock_paravirtual_ns(void)
{
    uint64_t ns;
    uint32_t version;
    if (!pvclock_page.mul)
        return 0;
    do {
        version = pvclock_page.version;
        __asm__ volatile("" : : : "memory");
        uint64_t delta = rdtsc() - pvclock_page.tsc;
        delta = pvclock_page.shift < 0 ? delta >> -pvclock_page.shift : delta << pvclock_page.shift;
        ns = pvclock_page.system_time +
             (uint64_t)((unsigned __int128)delta * pvclock_page.mul >> 32);
        __asm__ volatile("" : : : "memory");
    } while ((version & 1) || version != pvclock_page.version);
    return ns;
}

static uint64_t cpuid_khz(void)
{
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < 0x15)
        return 0;
    a = 0x15;
    c = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return a && b && c ? (uint64_t)c * b / a / 1000 : 0;
}

void clock_setup(void)
{
    if (options.tsc_khz) {
        tsc_khz = options.tsc_khz;
    } else if (pvclock_page.mul) {
        /* ns = ticks << shift * mul >> 32, hence kHz = 10^6 << 32 / mul >> shift. */
        uint64_t khz = (1000000ull << 32) / pvclock_page.mul;
        tsc_khz = pvclock_page.shift < 0 ? khz << -pvclock_page.shift : khz >> pvclock_page.shift;
    } else if (cpuid_khz()) {
        tsc_khz = cpuid_khz();
    }
    APIC_REG(APIC_SPURIOUS) = 0x1ff;
    APIC_REG(APIC_LVT_LINT0) = 0x10000;
    APIC_REG(APIC_TIMER_DIVIDE) = 0xb;
    APIC_REG(APIC_LVT_TIMER) = VECTOR_TIMER;
}

uint64_t clock_now(struct work *w)
{
    uint64_t now = rdtsc();
    if (now < w->last) {
        w->backwards++;
    } else if (w->last) {
        uint64_t gap = now - w->last;
        if (gap > w->worst)
            w->worst = gap;
        uint64_t us = clock_to_us(gap);
        unsigned bucket = us ? 64 - (unsigned)__builtin_clzll(us) : 0;
        w->histogram[bucket < HISTOGRAM ? bucket : HISTOGRAM - 1]++;
        felt_gap(w->cpu, gap);
    }
    w->last = now;
    return now;
}

/* Truly idle for so long. First vCPU only. The local APIC's timer counts nanoseconds in KVM. */
void clock_halt(uint64_t us)
{
    timer_fired = 0;
    halt_done = 0;
    APIC_REG(APIC_TIMER_COUNT) = us < 4000000 ? (uint32_t)(us * 1000) : 4000000000u;
    APIC_REG(APIC_ICR_LOW) = 0x40000 | VECTOR_HALT;
    while (!halt_done)
        pause_cpu();
}
