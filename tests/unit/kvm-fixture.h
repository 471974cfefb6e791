/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real machine under KVM for tests: a few MiB in two pieces, one port that records what the guest
 * writes, no devices. The test puts machine code into memory and sets the vCPU's entry.
 */
#ifndef TESTS_KVM_FIXTURE_H
#define TESTS_KVM_FIXTURE_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "accel.h"
#include "machine.h"
#include "vcpu.h"
#include "x86-boot.h"
#include "x86-cpu.h"

#define KVM_TEST_RAM (UINT64_C(4) << 20)
/* The block is cut where no word of a bitmap ends: slot and block bits differ by a shift. */
#define KVM_TEST_CUT (UINT64_C(0x105) << 12)
#define KVM_TEST_HIGH UINT64_C(0x2000000)
#define KVM_TEST_PORT 0x500

/* What the guest wrote to the port. Machine lock; `count` also atomic. */
typedef struct TestPort {
    uint8_t bytes[64];
    unsigned count;
} TestPort;

static TestPort test_port;

static uint64_t test_port_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x5a;
}

static void test_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned n = __atomic_load_n(&test_port.count, __ATOMIC_RELAXED);

    if (n < sizeof(test_port.bytes)) {
        test_port.bytes[n] = (uint8_t)value;
    }
    __atomic_store_n(&test_port.count, n + 1, __ATOMIC_RELEASE);
}

static bool kvm_test_init(Machine *m, GError **errp)
{
    static const MmioOps ops = { test_port_read, test_port_write };
    MemoryRange low = { .type = MEMORY_RANGE_RAM, .size = KVM_TEST_CUT, .block = m->ram_block };
    MemoryRange high = { .type = MEMORY_RANGE_RAM, .gpa = KVM_TEST_HIGH,
                         .size = KVM_TEST_RAM - KVM_TEST_CUT, .block = m->ram_block,
                         .block_offset = KVM_TEST_CUT };

    memory_transaction_begin(m->memory);
    return memory_map_add(m->memory, &low, errp) && memory_map_add(m->memory, &high, errp) &&
           memory_transaction_commit(m->memory, errp) &&
           ioport_add(m->memory, KVM_TEST_PORT, 1, &ops, NULL, "test", errp);
}

static const BoardOps board_kvm_test = {
    .name = "test",
    .description = "board of the KVM tests",
    .default_ram_id = "test.ram",
    .default_ram_size = KVM_TEST_RAM,
    .min_cpus = 1,
    .max_cpus = MACHINE_MAX_CPUS,
    .init = kvm_test_init,
    .maps_ram = true,
};

/* True, and the test is marked as skipped, where there is no KVM. */
static inline bool skip_without_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        g_test_skip("/dev/kvm cannot be opened");
        return true;
    }
    close(fd);
    return false;
}

static inline MachineConfig *kvm_config(const char *cpu)
{
    static const BoardOps *const boards[] = { &board_kvm_test, NULL };
    static const char *const off[] = { "pic", "pit", "acpi" };
    MachineConfig *c = machine_config_new();
    AccelConfig *a = g_new0(AccelConfig, 1);

    machine_set_boards(boards);
    g_free(c->machine_type);
    c->machine_type = g_strdup("test");
    c->smp = 1;
    c->no_reboot = true;
    g_free(c->cpu_model);
    c->cpu_model = g_strdup(cpu);
    for (size_t i = 0; i < G_N_ELEMENTS(off); i++) {
        g_hash_table_replace(c->machine_props, g_strdup(off[i]), g_strdup("off"));
    }
    a->name = g_strdup("kvm");
    a->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_ptr_array_add(c->accels, a);
    return c;
}

static inline Machine *kvm_machine(const MachineConfig *c)
{
    GError *err = NULL;
    Machine *m = machine_new(c, &err);

    g_assert_no_error(err);
    memset(&test_port, 0, sizeof(test_port));
    return m;
}

static inline void kvm_put_code(Machine *m, uint64_t gpa, const uint8_t *code, size_t len)
{
    g_assert_true(memory_write(m->memory, gpa, code, len, false));
}

static inline void kvm_start(Machine *m)
{
    GError *err = NULL;

    runstate_start(m->run_state, &err);
    g_assert_no_error(err);
}

/* Serves the main loop until the guest has written n bytes to the port. */
static inline void kvm_wait_port(unsigned n)
{
    while (__atomic_load_n(&test_port.count, __ATOMIC_ACQUIRE) < n) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
}

#endif
