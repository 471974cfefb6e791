/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt lines of devices on their way to the chips: 0 to 23 to KVM's I/O APIC and PIC, 24 to 47
 * to the second I/O APIC (kvm-ioapic2.c).
 *
 * After a reset or a load the state of chips and local APICs is put into KVM only when the guest
 * starts, and devices begin their work a moment before. A line that moved then would be overwritten
 * and its interrupt lost; so lines are held back until the chips are there.
 *
 * Any thread; `line_lock` guards it all. It is taken before ioapic2_lock and held across ioctls of
 * /dev/kvm only.
 */
#include "kvm.h"

#include "lock.h"

/* line_lock held. */
static void set_line(KvmState *k, unsigned gsi, int level)
{
    struct kvm_irq_level l = { .irq = gsi, .level = level };

    if (gsi < KVM_IOAPIC_PINS) {
        kvm_ioctl(k->vm_fd, KVM_IRQ_LINE, &l);
    } else if (k->has_ioapic2) {
        kvm_ioapic2_set_line(k, gsi - KVM_IOAPIC_PINS, level);
    }
}

void kvm_set_irq(Machine *m, unsigned gsi, int level)
{
    KvmState *k = kvm_state(m);
    const uint64_t bit = UINT64_C(1) << (gsi % KVM_LINES);

    if (gsi >= KVM_LINES) {
        return;
    }
    LOCK_GUARD(&k->line_lock);
    if (k->lines_held) {
        k->lines_moved |= bit;
        k->lines_high = level ? k->lines_high | bit : k->lines_high & ~bit;
    } else {
        set_line(k, gsi, level != 0);
    }
}

void kvm_lines_hold(KvmState *k)
{
    LOCK_GUARD(&k->line_lock);

    k->lines_held = true;
}

void kvm_lines_release(KvmState *k)
{
    LOCK_GUARD(&k->line_lock);

    for (unsigned gsi = 0; gsi < KVM_LINES; gsi++) {
        const bool moved = k->lines_moved >> gsi & 1, high = k->lines_high >> gsi & 1;

        if (moved && (!high || gsi >= KVM_IOAPIC_PINS)) {
            set_line(k, gsi, 0);
        }
        /* The second I/O APIC may say that it is high already: once too often does no harm. */
        if (moved && high) {
            set_line(k, gsi, 1);
        }
    }
    k->lines_held = false;
    k->lines_moved = k->lines_high = 0;
}
