/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a boot method puts its entry state into a vCPU that was just reset. Implemented beside the
 * x86 register file; an accelerator without one (sim) ignores it and reports success.
 * Machine lock held, guest stopped.
 */
#ifndef SYSTEM_X86_BOOT_H
#define SYSTEM_X86_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "vcpu.h"

/* PVH: flat 32-bit protected mode without paging, interrupts off, ebx = start_info. */
bool x86_set_pvh_entry(VCPU *cpu, uint32_t eip, uint32_t ebx);
/* Real mode at cs:ip, dl = 0x80 (the first hard disk), interrupts off. */
bool x86_set_realmode_entry(VCPU *cpu, uint16_t cs, uint16_t ip);

/* Where Linux's 64-bit boot protocol begins, all guest-physical. */
typedef struct X86LinuxEntry {
    uint64_t rip;
    uint64_t boot_params;   /* rsi */
    uint64_t page_table;    /* cr3: maps memory one to one */
    uint64_t gdt;
    uint32_t gdt_limit;     /* bytes - 1 */
} X86LinuxEntry;

#define X86_LINUX_CS 0x10
#define X86_LINUX_DS 0x18

/* Long mode with paging, flat segments X86_LINUX_CS and _DS, interrupts off, rsi = boot_params. */
bool x86_set_linux_entry(VCPU *cpu, const X86LinuxEntry *at);

#endif
