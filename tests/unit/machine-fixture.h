/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for tests of system/: a board of a few MiB and an accelerator whose vCPUs count. It
 * replaces accel_list() and the x86 entry setters of the library, so that no KVM is needed.
 */
#ifndef TESTS_MACHINE_FIXTURE_H
#define TESTS_MACHINE_FIXTURE_H

#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>

#include "accel.h"
#include "loader.h"
#include "machine.h"
#include "vcpu.h"
#include "x86-boot.h"

#define TEST_RAM_SIZE (UINT64_C(4) << 20)

typedef struct FakeCPU {
    bool kicked;       /* atomic; sticky until vcpu_run took it */
    uint64_t work;     /* plain: the pauser reads it once the vCPU is parked */
    uint64_t kicks;    /* atomic */
    uint32_t eip, ebx; /* of x86_set_pvh_entry */
    uint16_t cs, ip;
    X86LinuxEntry linux_entry;
} FakeCPU;

static int fake_init_failures; /* how many more vcpu_run calls fail: atomic */
static int fake_run_failures;

static inline FakeCPU *fake_cpu(Machine *m, unsigned i)
{
    return m->vcpus[i]->accel;
}

static bool fake_init(Machine *m, const AccelConfig *conf, GError **errp)
{
    if (fake_init_failures > 0) {
        fake_init_failures--;
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "fake accelerator is out of order");
        return false;
    }
    return true;
}

static void fake_destroy(Machine *m)
{
}

static bool fake_vcpu_create(VCPU *cpu, GError **errp)
{
    cpu->accel = g_new0(FakeCPU, 1);
    return true;
}

static void fake_vcpu_destroy(VCPU *cpu)
{
    g_free(cpu->accel);
}

static bool fake_vcpu_run(VCPU *cpu, GError **errp)
{
    FakeCPU *f = cpu->accel;

    if (__atomic_load_n(&fake_run_failures, __ATOMIC_RELAXED) > 0) {
        __atomic_sub_fetch(&fake_run_failures, 1, __ATOMIC_RELAXED);
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "the fake guest fell over");
        return false;
    }
    while (!__atomic_exchange_n(&f->kicked, false, __ATOMIC_ACQ_REL)) {
        f->work++;
        sched_yield();
    }
    return true;
}

static void fake_vcpu_kick(VCPU *cpu)
{
    FakeCPU *f = cpu->accel;

    __atomic_add_fetch(&f->kicks, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&f->kicked, true, __ATOMIC_RELEASE);
}

static bool fake_vcpu_reset(VCPU *cpu, GError **errp)
{
    FakeCPU *f = cpu->accel;

    f->eip = f->ebx = f->cs = f->ip = 0;
    f->linux_entry = (X86LinuxEntry){ 0 };
    return true;
}

static const AccelOps accel_fake = {
    .name = "fake",
    .init = fake_init,
    .destroy = fake_destroy,
    .vcpu_create = fake_vcpu_create,
    .vcpu_destroy = fake_vcpu_destroy,
    .vcpu_run = fake_vcpu_run,
    .vcpu_kick = fake_vcpu_kick,
    .vcpu_reset = fake_vcpu_reset,
};

const AccelOps *const *accel_list(void)
{
    static const AccelOps *const list[] = { &accel_fake, NULL };

    return list;
}

bool x86_set_pvh_entry(VCPU *cpu, uint32_t eip, uint32_t ebx)
{
    FakeCPU *f = cpu->accel;

    f->eip = eip;
    f->ebx = ebx;
    return true;
}

bool x86_set_realmode_entry(VCPU *cpu, uint16_t cs, uint16_t ip)
{
    FakeCPU *f = cpu->accel;

    f->cs = cs;
    f->ip = ip;
    return true;
}

bool x86_set_linux_entry(VCPU *cpu, const X86LinuxEntry *at)
{
    FakeCPU *f = cpu->accel;

    f->linux_entry = *at;
    return true;
}

static const BoardOps board_test = {
    .name = "test",
    .description = "board of the unit tests",
    .default_ram_id = "test.ram",
    .default_ram_size = TEST_RAM_SIZE,
    .min_cpus = 1,
    .max_cpus = MACHINE_MAX_CPUS,
    .init = loader_init,
    .reset = boot_images_apply,
    .pci_hole_start = UINT64_C(0xc0000000),
};

static inline MachineConfig *fixture_config(unsigned smp)
{
    static const BoardOps *const boards[] = { &board_test, NULL };
    MachineConfig *c = machine_config_new();
    AccelConfig *a = g_new0(AccelConfig, 1);

    machine_set_boards(boards);
    g_free(c->machine_type);
    c->machine_type = g_strdup("test");
    c->smp = smp;
    a->name = g_strdup("fake");
    a->props = g_hash_table_new(g_str_hash, g_str_equal);
    g_ptr_array_add(c->accels, a);
    return c;
}

static inline Machine *fixture_machine(const MachineConfig *c)
{
    GError *err = NULL;
    Machine *m = machine_new(c, &err);

    g_assert_no_error(err);
    g_assert_nonnull(m);
    return m;
}

/* Takes the files of a test away, the folder, and the name. */
static inline void fixture_remove_dir(char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(dir);
    g_free(dir);
}

#endif
