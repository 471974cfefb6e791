/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first C code of every vCPU, in ring 3: the first one sets everything up and starts the
 * others, each then works on its own slice. With pattern=idle there is but one vCPU at work, so
 * that the guest is idle indeed.
 */
#include "guest.h"

#define APIC_ICR (*(volatile uint32_t *)(APIC_BASE + 0x300))
#define ICR_ALL_OTHERS 0xc0000
#define ICR_INIT 0x4500
#define ICR_START 0x4600

extern uint64_t start_info_address;
extern volatile uint32_t cpus_started;
extern const char ap_trampoline[], ap_trampoline_end[];
extern const char interrupt_timer[], interrupt_halt[], interrupt_virtio[], exception_stubs[];
extern uint64_t idt[512];
static volatile uint32_t ready;

void guest_main(uint32_t cpu);

static void set_gate(unsigned vector, const char *handler)
{
    uint64_t address = (uint64_t)handler;
    idt[vector * 2] = (address & 0xffff) | (uint64_t)SEL_CODE0 << 16 | 0x8e0000000000ull |
                      (address >> 16 & 0xffff) << 48;
    idt[vector * 2 + 1] = address >> 32;
}

void interrupts_setup(void)
{
    outb(0x21, 0xff); /* the old interrupt controllers, where there are any */
    outb(0xa1, 0xff);
    for (unsigned i = 0; i < 32; i++)
        set_gate(i, exception_stubs + 16 * i);
    set_gate(VECTOR_TIMER, interrupt_timer);
    set_gate(VECTOR_HALT, interrupt_halt);
    set_gate(VECTOR_VIRTIO, interrupt_virtio);
}

static void wait_us(uint64_t us)
{
    uint64_t end = rdtsc() + clock_from_us(us);
    while (rdtsc() < end)
        pause_cpu();
}

void smp_start(void)
{
    char *start = (char *)AP_START;
    for (size_t i = 0; ap_trampoline + i < ap_trampoline_end; i++)
        start[i] = ap_trampoline[i];
    APIC_ICR = ICR_ALL_OTHERS | ICR_INIT;
    wait_us(10000);
    for (int i = 0; i < 2 && cpus_started < options.cpus; i++) {
        APIC_ICR = ICR_ALL_OTHERS | ICR_START | AP_START >> 12;
        wait_us(200);
    }
    for (int i = 0; i < 500 && cpus_started < options.cpus; i++)
        wait_us(10000);
    if (options.cpus > cpus_started) /* fewer than asked for: share the work among those */
        options.cpus = cpus_started;
}

static void setup(void)
{
    struct { uint32_t head[4]; uint64_t modules; const char *command_line; } *info =
        (void *)start_info_address;
    if (info->command_line)
        options_parse(info->command_line);
    interrupts_setup();
    clock_setup();
    serial_setup();
    if (!memory_setup()) {
        static const char text[] = "gw fault no memory to test\r\n";
        serial_write(&works[0], text, sizeof(text) - 1);
        for (;;)
            clock_halt(1000000);
    }
    if (options.pattern == IDLE)
        options.cpus = 1;
    if (options.cpus > 1)
        smp_start();
    for (uint32_t i = 0; i < options.cpus; i++)
        work_setup(&works[i], i, (uint32_t)options.cpus);
    disk_setup(&works[0]);
    net_setup(&works[0]);
    rng_setup(&works[0]);
    attach_setup();
    balloon_setup(&works[0]);
    report_hello(&works[0]);
    __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
}

void guest_main(uint32_t cpu)
{
    if (cpu == 0)
        setup();
    while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        pause_cpu();
    while (cpu >= options.cpus)
        pause_cpu(); /* came too late: no slice is left for it */
    work_run(&works[cpu]);
}
