/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second I/O APIC of `microvm` (24 more lines, GSI 24 to 47), which a machine with ACPI has.
 * KVM has but one in the kernel; this one turns a line that rises into a message for the local
 * APICs. Its section is `ioapic` instance 1.
 *
 * Registers are accessed on vCPU threads with the machine lock; lines move on any thread:
 * `ioapic2_lock` (leaf) guards table and lines. There is no word from the local APICs when a level
 * interrupt was served: a line that stays high is not delivered again, which suits devices that
 * lower it in their handler (virtio).
 */
#include "kvm.h"

#include <stdio.h>

#include "error.h"
#include "lock.h"

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

#define ENTRY_MASKED (1ULL << 16)
#define ENTRY_LEVEL (1ULL << 15)
#define MSI_BASE 0xfee00000u

/* ioapic2_lock held. */
static void deliver(KvmIoapic *io, unsigned pin)
{
    uint64_t e = io->ioredtbl[pin];
    struct kvm_msi msi = {
        .address_lo = MSI_BASE | (uint32_t)(e >> 56) << 12 | (e >> 11 & 1) << 2,
        .data = (uint32_t)(e & 0x7ff) | (e & ENTRY_LEVEL ? 1u << 15 | 1u << 14 : 0),
    };

    if (e & ENTRY_MASKED) {
        return; /* a level is looked at again when the guest takes the mask away */
    }
    if (!(e & ENTRY_LEVEL)) {
        io->irr &= ~(1u << pin);
    }
    kvm_ioctl(io->kvm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

void kvm_ioapic2_set_line(KvmState *k, unsigned pin, int level)
{
    KvmIoapic *io = &k->ioapic2;
    LOCK_GUARD(&k->ioapic2_lock);
    bool was = io->irr >> pin & 1;

    if (!level) {
        io->irr &= ~(1u << pin);
    } else if (!was) {
        io->irr |= 1u << pin;
        deliver(io, pin);
    }
}

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

        bool was_masked = *e & ENTRY_MASKED;

        *e = (*e & ~mask) | ((uint64_t)v << (i % 2 * 32) & mask);
        if (was_masked && (io->irr >> i / 2 & 1)) {
            deliver(io, i / 2);
        }
    }
}

static uint64_t ioapic2_read(void *opaque, uint64_t offset, unsigned size)
{
    KvmIoapic *io = opaque;
    LOCK_GUARD(&io->kvm->ioapic2_lock);

    if (offset == IOREGSEL) {
        return io->ioregsel;
    }
    return offset == IOWIN ? reg_read(io) : 0;
}

static void ioapic2_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    KvmIoapic *io = opaque;
    LOCK_GUARD(&io->kvm->ioapic2_lock);

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
