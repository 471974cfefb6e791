/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interrupt line that rises after the chips' state was loaded and before the guest starts, as by
 * a device that begins its work: the guest gets the interrupt, with either I/O APIC. */
#include <glib.h>

#include "kvm-fixture.h"
#include "kvm.h"

#define PIN 5
#define VECTOR 0x42
#define LEVEL (1u << 15)
#define APIC_ENABLED 0x1ff

/* 16 bits, at 0x1000. */
static const uint8_t main_code[] = {
    0x31, 0xc0, 0x8e, 0xd8,                            /* xor ax, ax; mov ds, ax */
    0xc7, 0x06, VECTOR * 4 & 0xff, VECTOR * 4 >> 8, 0x30, 0x10, /* handler: 0x1030 ... */
    0xc7, 0x06, (VECTOR * 4 + 2) & 0xff, VECTOR * 4 >> 8, 0x00, 0x00, /* ... segment 0 */
    0xfb, 0xf4, 0xeb, 0xfd,                            /* sti; again: hlt; jmp again */
};
static const uint8_t handler_code[] = { 0xba, 0x00, 0x05, 0xee, 0xcf }; /* out to the port; iret */

static void interrupt_before_the_start(unsigned gsi, uint32_t trigger)
{
    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) c = kvm_config("host");
    Machine *m;
    KvmState *k;

    g_hash_table_replace(c->machine_props, g_strdup("ioapic2"), g_strdup("on"));
    m = kvm_machine(c);
    k = kvm_state(m);
    kvm_put_code(m, 0x1000, main_code, sizeof(main_code));
    kvm_put_code(m, 0x1030, handler_code, sizeof(handler_code));
    machine_lock(m);
    g_assert_true(x86_set_realmode_entry(m->vcpus[0], 0, 0x1000));
    /* What a load leaves behind. */
    (gsi < KVM_IOAPIC_PINS ? &k->ioapic : &k->ioapic2)->ioredtbl[PIN] = trigger | VECTOR;
    ((X86CPU *)m->vcpus[0]->arch)->apic.spurious_vec = APIC_ENABLED;
    k->chips_dirty = ((X86CPU *)m->vcpus[0]->arch)->dirty = true;
    machine_unlock(m);
    machine_set_irq(m, gsi, 1);
    machine_set_irq(m, gsi, 0); /* back and forth: what it was last counts */
    machine_set_irq(m, gsi, 1);
    kvm_start(m);
    kvm_wait_port(1);
    machine_set_irq(m, gsi, 0);
    machine_free(m);
}

static void test_edge(void)
{
    interrupt_before_the_start(PIN, 0);
}

static void test_level(void)
{
    interrupt_before_the_start(KVM_IOAPIC_PINS + PIN, LEVEL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm-lines/edge", test_edge);
    g_test_add_func("/kvm-lines/level", test_level);
    return g_test_run();
}
