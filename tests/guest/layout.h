/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fixed guest-physical addresses and selectors, shared by the assembly and the C files. Memory is
 * identity mapped, so physical and linear addresses are the same number everywhere.
 *
 *   0x000004  ring-0 stack pointer of the boot-time task state segment (its base is 0)
 *   0x008000  real-mode start of further vCPUs
 *   0x100000  the guest itself
 *   0x200000  page tables
 *   0x310000  rings of devices that are only attached (attach.c)
 *   0x400000  the memory under test, to the end of RAM
 */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define TSS_RSP0 0x4
#define AP_START 0x8000
#define PML4 0x200000
#define PDPT 0x201000
#define PAGE_DIRS 0x202000 /* one page for each GiB */
#define ATTACH_RINGS 0x310000
#define ATTACH_BUFFER 0x3f0000
#define TEST_MEMORY 0x400000
#define MAX_GIB 256
#define APIC_BASE 0xfee00000

#define MAX_CPUS 16
#define STACK_SIZE 16384

#define SEL_CODE0 0x08
#define SEL_DATA0 0x10
#define SEL_DATA3 0x1b
#define SEL_CODE3 0x23
#define SEL_CODE32 0x28 /* on the way up to long mode */
#define SEL_FLAT32 0x10

#define VECTOR_TIMER 0x40
#define VECTOR_HALT 0x41
#define VECTOR_VIRTIO 0x42

#define PVCLOCK_MSR 0x4b564d01

#endif
