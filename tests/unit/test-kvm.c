/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerator kvm: a guest runs, does I/O, is stopped and kicked; its state goes into another
 * machine and goes on there; the ways in which it can end; options. Skipped without /dev/kvm.
 */
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm-fixture.h"
#include "kvm.h"
#include "memory-region.h"
#include "vmstate-helpers.h"

/* 16 bits: the string "hello", a byte read from the port, then count in memory for ever. */
static const uint8_t hello_code[] = {
    0x31, 0xc0,             /* xor ax, ax */
    0x8e, 0xd8,             /* mov ds, ax */
    0xba, 0x00, 0x05,       /* mov dx, KVM_TEST_PORT */
    0xbe, 0x30, 0x10,       /* mov si, 0x1030 */
    0xb9, 0x05, 0x00,       /* mov cx, 5 */
    0xf3, 0x6e,             /* rep outsb */
    0xec,                   /* in al, dx */
    0xee,                   /* out dx, al */
    0x66, 0xff, 0x06, 0x00, 0x20, /* inc dword [0x2000] */
    0xeb, 0xf9,             /* jmp to the inc */
};

static Machine *hello_machine(const MachineConfig *c)
{
    Machine *m = kvm_machine(c);

    kvm_put_code(m, 0x1000, hello_code, sizeof(hello_code));
    kvm_put_code(m, 0x1030, (const uint8_t *)"hello", 5);
    machine_lock(m);
    g_assert_true(x86_set_realmode_entry(m->vcpus[0], 0, 0x1000));
    machine_unlock(m);
    return m;
}

static uint32_t counter(Machine *m)
{
    uint32_t v = 0;

    g_assert_true(memory_read(m->memory, 0x2000, &v, sizeof(v), false));
    return v;
}

static void wait_counter(Machine *m, uint32_t above)
{
    while (counter(m) <= above) {
        g_usleep(1000);
    }
}

static void test_runs(void)
{
    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) c = kvm_config(NULL);
    Machine *m = hello_machine(c);
    uint64_t gpa = 0;
    uint32_t stopped;

    kvm_start(m);
    kvm_wait_port(6);
    g_assert_cmpmem(test_port.bytes, 6, "hello\x5a", 6);
    wait_counter(m, 0);
    /* While the guest runs: without paging an address is itself. */
    machine_lock(m);
    g_assert_true(m->accel->vcpu_translate(m->vcpus[0], 0x2345, &gpa));
    machine_unlock(m);
    g_assert_cmphex(gpa, ==, 0x2345);
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    stopped = counter(m);
    g_usleep(5000);
    g_assert_cmpuint(counter(m), ==, stopped);
    machine_lock(m);
    g_assert_true(m->accel->vcpu_get_state(m->vcpus[0], NULL));
    machine_unlock(m);

    X86CPU *x = m->vcpus[0]->arch;

    g_assert_cmphex(x->env.eip, >=, 0x1011);
    g_assert_cmphex(x->env.eip, <=, 0x1016);
    g_assert_cmphex(x->env.regs[X86_RDX], ==, 0x500);
    g_assert_cmphex(x->env.regs[X86_RAX] & 0xff, ==, 0x5a);
    g_assert_cmphex(x->env.hflags, ==, 0x40);
    kvm_start(m);
    wait_counter(m, stopped);
    machine_free(m);
}

static GByteArray *save(const VMStateDescription *vmsd, void *opaque)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    GError *err = NULL;

    vmstate_save(w, vmsd, opaque, NULL, &err);
    g_assert_no_error(err);
    return stream_writer_steal(w);
}

static void load(const VMStateDescription *vmsd, void *opaque, const GByteArray *bytes)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "test");
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    GError *err = NULL;

    vmstate_load(r, vmsd, opaque, vmsd->version_id, loaded, &err);
    g_assert_no_error(err);
    vmstate_apply(loaded, &err);
    g_assert_no_error(err);
}

/* The three sections of a vCPU in either order; memory by hand. */
static void move_guest(bool apic_first)
{
    static const VMStateDescription *const order[2][3] = {
        { &vmstate_x86_cpu_common, &vmstate_x86_cpu, &vmstate_x86_apic },
        { &vmstate_x86_apic, &vmstate_x86_cpu, &vmstate_x86_cpu_common },
    };
    g_autoptr(MachineConfig) c = kvm_config("host");
    Machine *a = hello_machine(c);
    Machine *b;
    uint32_t at;

    kvm_start(a);
    kvm_wait_port(6);
    b = kvm_machine(c);
    runstate_stop(a->run_state, RUN_STATE_PAUSED);
    at = counter(a);
    memcpy(gw_ram_block_info(b->ram_block)->host, gw_ram_block_info(a->ram_block)->host,
           KVM_TEST_RAM);
    machine_lock(a);
    machine_lock(b);
    for (int i = 0; i < 3; i++) {
        g_autoptr(GByteArray) bytes = save(order[apic_first][i], a->vcpus[0]->arch);

        load(order[apic_first][i], b->vcpus[0]->arch, bytes);
    }
    machine_unlock(b);
    machine_unlock(a);

    X86CPU *xa = a->vcpus[0]->arch, *xb = b->vcpus[0]->arch;
    uint64_t tsc = xa->env.tsc;

    kvm_start(b);
    wait_counter(b, at);
    g_assert_cmpuint(test_port.count, ==, 0); /* it did not begin anew */
    runstate_stop(b->run_state, RUN_STATE_PAUSED);
    machine_lock(b);
    g_assert_true(b->accel->vcpu_get_state(b->vcpus[0], NULL));
    machine_unlock(b);
    /* Time went on from where it was: not back, and not by more than this test took. */
    g_assert_cmpuint(xb->env.tsc, >, tsc);
    g_assert_cmpuint(xb->env.tsc - tsc, <, (uint64_t)MAX(xb->env.tsc_khz, 1000000) * 20000);
    machine_free(a);
    machine_free(b);
}

static uint64_t kept_value; /* of the last write that reached the device; atomic */

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    __atomic_store_n(&kept_value, offset << 32 | value, __ATOMIC_RELAXED);
}

/* A write that matches signals the eventfd and nothing else; another reaches the device. The window
 * lies over RAM, whose slot it cuts in two; when it goes, the RAM is there again. */
static void test_ioeventfd(void)
{
    static const MmioOps ops = { NULL, window_write };
    static const uint8_t code[] = {
        0x31, 0xc0, 0x8e, 0xd8,                   /* xor ax, ax; mov ds, ax */
        0xc7, 0x06, 0x50, 0x80, 0x02, 0x00,       /* mov word [0x8050], 2 */
        0xc7, 0x06, 0x50, 0x80, 0x03, 0x00,       /* mov word [0x8050], 3 */
        0xba, 0x00, 0x05, 0xee, 0xf4,             /* mov dx, KVM_TEST_PORT; out dx, al; hlt */
    };
    eventfd_t n = 0;

    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) c = kvm_config(NULL);
    Machine *m = kvm_machine(c);
    MemoryRegion *r = memory_region_new_mmio(m->memory, "window", &ops, NULL, 0x1000);
    const MemoryIoeventfd e = { 0x50, 2, true, 2, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };

    kvm_put_code(m, 0x1000, code, sizeof(code));
    machine_lock(m);
    g_assert_true(memory_region_add_ioeventfd(r, &e, NULL));
    g_assert_true(memory_region_add_overlap(memory_map_root(m->memory), 0x8000, r, 1, NULL));
    g_assert_true(x86_set_realmode_entry(m->vcpus[0], 0, 0x1000));
    machine_unlock(m);
    kvm_start(m);
    kvm_wait_port(1);
    g_assert_cmpint(eventfd_read(e.fd, &n), ==, 0);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmphex(__atomic_load_n(&kept_value, __ATOMIC_RELAXED), ==, UINT64_C(0x5000000003));
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    machine_lock(m);
    memory_region_free(r);
    machine_unlock(m);
    g_assert_nonnull(memory_host_ptr(m->memory, 0x7000, 0x3000));
    machine_free(m);
    close(e.fd);
}

static void test_moves(void)
{
    if (skip_without_kvm()) {
        return;
    }
    move_guest(false);
    move_guest(true);
}

/* What is saved before the first start, or after a load without one, is what was put there. */
static void test_state_without_running(void)
{
    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) c = kvm_config("host");
    Machine *m = kvm_machine(c);
    X86CPU *x = m->vcpus[0]->arch;

    machine_lock(m);
    x->env.regs[X86_RSI] = 0x1122334455667788;
    x->env.tsc = 0x123456789;
    x->env.xmm_regs[3]._q_ZMMReg[1] = 0xabcdef;
    x->env.fpregs[2] = (X86FpReg){ 0x8000000000000001, 0x4001 };
    x->env.fptag_vmstate = 1 << 2;
    x->env.hflags2 |= X86_HFLAGS2_NMI_MASKED;
    x->env.star = 0x23001000000000;
    x->tsc_dirty = true;
    g_assert_true(m->accel->vcpu_put_state(m->vcpus[0], NULL));

    g_autoptr(GByteArray) before = save(&vmstate_x86_cpu, x);

    g_assert_cmphex(x->env.tsc, ==, 0x123456789);
    /* Straight from KVM: what it keeps must be the same but for the clock, which runs. */
    g_assert_true(kvm_put_tsc(m->vcpus[0]->accel, NULL));
    x->dirty = false;

    g_autoptr(GByteArray) after = save(&vmstate_x86_cpu, x);

    g_assert_cmpuint(after->len, ==, before->len);
    memset(before->data + 1157, 0, 8);
    memset(after->data + 1157, 0, 8);
    memset(before->data + 1553, 0, 8); /* xstate_bv: which parts are in their initial state */
    memset(after->data + 1553, 0, 8);
    for (guint i = 0; i < before->len; i++) {
        if (before->data[i] != after->data[i]) {
            g_error("byte %u: %02x went in, %02x came out", i, before->data[i], after->data[i]);
        }
    }
    machine_unlock(m);
    machine_free(m);
}

static void test_triple_fault(void)
{
    static const uint8_t code[] = { 0x0f, 0x0b }; /* ud2, with an interrupt table of zeros */

    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) c = kvm_config(NULL);
    Machine *m = kvm_machine(c);

    kvm_put_code(m, 0x1000, code, sizeof(code));
    machine_lock(m);
    g_assert_true(x86_set_pvh_entry(m->vcpus[0], 0x1000, 0));
    machine_unlock(m);
    kvm_start(m);
    while (runstate_is_running(m->run_state)) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    g_assert_cmpint(runstate_get(m->run_state), ==, RUN_STATE_SHUTDOWN);
    machine_free(m);
}

static void refuse_cpu(const char *model, const char *message)
{
    g_autoptr(MachineConfig) c = kvm_config(model);
    g_autoptr(GError) err = NULL;

    g_assert_null(machine_new(c, &err));
    g_assert_nonnull(err);
    if (!strstr(err->message, message)) {
        g_error("'%s' does not say '%s'", err->message, message);
    }
}

static void test_cpu_option(void)
{
    if (skip_without_kvm()) {
        return;
    }
    refuse_cpu("host,+avxx", "nearest: avx");
    refuse_cpu("host,enforce,+vmx", "'vmx'");

    g_autoptr(MachineConfig) c = kvm_config("qemu64,-x2apic,tsc-deadline=off");
    Machine *m = kvm_machine(c);

    g_assert_cmphex(kvm_cpuid_get(kvm_state(m), 1, 0, 2) & (1U << 21 | 1U << 24), ==, 0);
    g_assert_cmphex(kvm_cpuid_get(kvm_state(m), 0x40000000, 0, 1), ==, 0x4b4d564b);
    machine_free(m);
}

static void test_accel_props(void)
{
    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) c = kvm_config(NULL);
    AccelConfig *a = g_ptr_array_index(c->accels, 0);
    g_autoptr(GError) err = NULL;

    g_hash_table_replace(a->props, g_strdup("dirty-ring-size"), g_strdup("1000"));
    g_assert_null(machine_new(c, &err));
    g_assert_nonnull(strstr(err->message, "power of two"));
    g_clear_error(&err);
    g_hash_table_remove(a->props, "dirty-ring-size");
    g_hash_table_replace(a->props, g_strdup("kernel-irqchip"), g_strdup("off"));
    g_assert_null(machine_new(c, &err));
    g_assert_nonnull(strstr(err->message, "kernel-irqchip=on"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/runs", test_runs);
    g_test_add_func("/kvm/ioeventfd", test_ioeventfd);
    g_test_add_func("/kvm/moves", test_moves);
    g_test_add_func("/kvm/state-without-running", test_state_without_running);
    g_test_add_func("/kvm/triple-fault", test_triple_fault);
    g_test_add_func("/kvm/cpu-option", test_cpu_option);
    g_test_add_func("/kvm/accel-props", test_accel_props);
    return g_test_run();
}
