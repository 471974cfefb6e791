/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second I/O APIC of `microvm` (24 more lines, GSI 24 to 47), which a machine with ACPI has.
 * KVM has but one in the kernel; this one is a register file only, for no device of this machine
 * uses its lines. It exists so that a guest finds it and that its section (`ioapic` instance 1)
 * migrates. vCPU threads, machine lock.
 */
#include "kvm.h"

#include <stdio.h>

#include "error.h"

#define IOAPIC2_BASE 0xfec10000ULL
#define IOAPIC2_SIZE 0x1000ULL
#define IOREGSEL 0x00
#define IOWIN 0x10
#define REG_ID 0
#define REG_VERSION 1
#define REG_ARB 2
#define REG_TABLE 0x10
#define VERSION_VALUE (((KVM_IOAPIC_PINS - 1) << 16) | 0x11)
/* Delivery status and remote IRR are the chip's own. */
#define READ_ONLY_BITS ((1ULL << 12) | (1ULL << 14))

static uint64_t reg_read(const KvmIoapic *io)
{
    unsigned i = (unsigned)(io->ioregsel - REG_TABLE);

    switch (io->ioregsel) {
    case REG_ID:
    case REG_ARB:
        return (uint32_t)io->id << 24;
    case REG_VERSION:
        return VERSION_VALUE;
    default:
        if (i / 2 >= KVM_IOAPIC_PINS) {
            return 0;
        }
        return (uint32_t)(io->ioredtbl[i / 2] >> (i % 2 * 32));
    }
}

static void reg_write(KvmIoapic *io, uint32_t v)
{
    unsigned i = (unsigned)(io->ioregsel - REG_TABLE);

    if (io->ioregsel == REG_ID) {
        io->id = (v >> 24) & 0x0f;
    } else if (i / 2 < KVM_IOAPIC_PINS) {
        uint64_t mask = 0xffffffffULL << (i % 2 * 32) & ~READ_ONLY_BITS;
        uint64_t *e = &io->ioredtbl[i / 2];

        *e = (*e & ~mask) | ((uint64_t)v << (i % 2 * 32) & mask);
    }
}

static uint64_t ioapic2_read(void *opaque, uint64_t offset, unsigned size)
{
    KvmIoapic *io = opaque;

    if (offset == IOREGSEL) {
        return io->ioregsel;
    }
    return offset == IOWIN ? reg_read(io) : 0;
}

static void ioapic2_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    KvmIoapic *io = opaque;

    if (offset == IOREGSEL) {
        io->ioregsel = (uint8_t)value;
    } else if (offset == IOWIN && size == 4) {
        reg_write(io, (uint32_t)value);
    }
}

static const MmioOps ioapic2_ops = { ioapic2_read, ioapic2_write };

bool kvm_ioapic2_create(KvmState *k, GError **errp)
{
    MemoryRange r = {
        .type = MEMORY_RANGE_MMIO, .gpa = IOAPIC2_BASE, .size = IOAPIC2_SIZE,
        .ops = &ioapic2_ops, .opaque = &k->ioapic2, .name = "ioapic2",
    };

    kvm_ioapic_reset(&k->ioapic2);
    memory_transaction_begin(k->machine->memory);

    bool added = memory_map_add(k->machine->memory, &r, errp);

    return memory_transaction_commit(k->machine->memory, added ? errp : NULL) && added;
}
