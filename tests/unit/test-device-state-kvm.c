/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Malformed state of the sections that exist under KVM alone, by the table of section-table.h: the
 * vCPU's, the interrupt chips', the timer's and the clock's, on a microvm with all of them. What
 * KVM is told at the start of the guest only must be refused by the load: the source is gone then.
 * Spec: minimal-machines 6.3.
 */
#include "boards.h"
#include "kvm-fixture.h"
#include "kvm.h"
#include "section-table.h"

static const BadValue rows[] = {
    { "cpu_common", "/halted[0]", "00000002", "not 0 or 1" },
    { "cpu", "/env.hflags[0]", "00080000", "system management mode" },
    { "cpu", "/env.fpregs_format_vmstate[0]", "0001", "FPU register format 1" },
    { "cpu", "/env.cr[0][0]", "0000000080000000", "paging without protection" },
    { "cpu", "/env.cr[0][0]", "0000000160000010", "more than 32 bits" },
    { "cpu", "/env.dr[6]", "00000001ffff0ff0", NULL },
    { "cpu", "/env.dr[7]", "0000000100000400", NULL },
    { "cpu", "/env.mxcsr[0]", "ffffffff", NULL },
    { "cpu", "/env.efer[0]", "0000000000000400", "long mode" },
    { "cpu", "/env.mtrr_deftype[0]", "00000000000000ff", NULL },
    { "cpu", "/env.interrupt_injected[0]", "00000100", "no such vectors" },
    { "cpu", "/env.interrupt_injected[0]", "fffffffe", "no such vectors" },
    { "cpu", "/env.exception_nr[0]", "00000020", "no such vectors" },
    { "cpu", "/env.mp_state[0]", "00000063", NULL },
    { "cpu", "/env.xcr0[0]", "0000000000000000", NULL },
    { "cpu", "/env.xcr0[0]", "8000000000000003", NULL },
    { "cpu", "/env.xstate_bv[0]", "8000000000000003", NULL },
    { "cpu", "/env.tsc_khz[0]", "ffffffffffffffff", "out of range" },
    { "cpu", "/env.tsc_khz[0]", "0000000080000000", "out of range" },
    { "apic", "/apicbase[0]", "ffffffff", "no value" },
    { "apic", "/apicbase[0]", "fee00500", "no value" },
    { "apic", "/dest_mode[0]", "10", "four bits" },
    { "kvm-tpr-opt", "/state[0]", "00000003", "unknown" },
    { "kvm-tpr-opt", "tpr-opt/real_tpr_addr[0]", "00000001", "option ROM" },
    { "kvm-tpr-opt", "/vapic_paddr[0]", "00001000", "option ROM" },
    { "ioapic", "/irr[0]", "01000000", "24 lines" },
    { "i8259", "/priority_add[0]", "08", NULL },
    { "i8259", "/init_state[0]", "04", NULL },
    { "i8259", "/single_mode[0]", "01", "single mode" },
    { "i8254", "/irq_disabled[0]", "00000002", NULL },
    { "i8254", "/channels[0]/count[0]", "ffffffff", NULL },
    { "i8254", "/channels[1]/count[0]", "00010001", NULL },
    { "i8254", "/channels[1]/mode[0]", "06", NULL },
    { "i8254", "/channels[2]/bcd[0]", "02", NULL },
    { "i8254", "/channels[2]/gate[0]", "02", NULL },
    { "i8254", "/channels[0]/count_latched[0]", "05", NULL },
    { "i8254", "/channels[0]/status_latched[0]", "02", NULL },
    { "i8254", "/channels[0]/read_state[0]", "05", NULL },
    { "i8254", "/channels[0]/write_state[0]", "05", NULL },
    { "i8254", "/channels[0]/rw_mode[0]", "05", NULL },
};

static Machine *all_chips(MachineConfig **config)
{
    static const char *const on[] = { "pic", "pit", "acpi" };
    MachineConfig *c = kvm_config("host");
    GError *err = NULL;
    Machine *m;

    for (size_t i = 0; i < G_N_ELEMENTS(on); i++) {
        g_hash_table_replace(c->machine_props, g_strdup(on[i]), g_strdup("on"));
    }
    g_free(c->machine_type);
    c->machine_type = g_strdup("microvm");
    c->ram_size = 4 << 20;
    machine_set_boards(hw_boards);
    m = machine_new(c, &err);
    g_assert_no_error(err);
    *config = c;
    return m;
}

/* What the start of the guest does with a state that was accepted. */
static void start_takes_it(Machine *m, const SaveStateEntry *se, const Leaf *l)
{
    KvmVcpu *v = kvm_vcpu(m->vcpus[0]);
    GError *err = NULL;
    bool ok = kvm_irqchip_push(kvm_state(m), &err) && kvm_clock_started(kvm_state(m), &err);

    if (ok && se->opaque == &v->x86) {
        ok = kvm_put_state(m->vcpus[0], &err) && kvm_put_lapic(v, &err) &&
             kvm_put_tsc_deadline(v, &err);
    }
    if (!ok) {
        g_error("%s: what was accepted keeps the guest from starting: %s", l->path, err->message);
    }
}

static void test_sections(void)
{
    MachineConfig *c;
    Machine *m;
    guint used = 0, n = 0;

    if (skip_without_kvm()) {
        return;
    }
    m = all_chips(&c);
    for (guint i = 0; i < m->migration->registry.entries->len; i++) {
        const SaveStateEntry *se = m->migration->registry.entries->pdata[i];

        if (section_is_there(se)) {
            used += try_section(m, se, rows, G_N_ELEMENTS(rows), start_takes_it);
            n++;
        }
    }
    g_assert_cmpuint(n, >=, 13);
    g_assert_cmpuint(used, >=, G_N_ELEMENTS(rows)); /* some sections have two instances */
    machine_free(m);
    machine_config_free(c);
}

/* All subsections of the vCPU at once: more than any one host's KVM has, so it is not asked. */
static void fill_subsections(X86CPU *x)
{
    X86CPUState *env = &x->env;

    env->exception_pending = env->exception_injected = env->has_error_code = 1;
    env->error_code = 0x10;
    env->async_pf_en_msr = env->async_pf_int_msr = env->pv_eoi_en_msr = env->steal_time_msr = 1;
    env->poll_control_msr = 0;
    env->fpop = 1;
    env->tsc_adjust = env->tsc_deadline = 1;
    env->msr_ia32_misc_enable = 0;
    env->msr_ia32_feature_control = env->msr_fixed_ctr_ctrl = 1;
    env->bndcs_cfgu = env->opmask_regs[0] = env->xss = 1;
    env->umwait = env->pkru = env->pkrs = env->tsx_ctrl = 1;
    env->tsc_khz = 1000000;
    env->msr_smi_count = env->spec_ctrl = env->mcg_ext_ctl = env->virt_ssbd = 1;
    env->pdptrs_valid = env->triple_fault_pending = 1;
    env->msr_xfd = env->msr_hwcr = 1;
    x->apic.wait_for_sipi = 1;
    x->exception_index = 3;
    x->crash_occurred = true;
    x->dirty = true;
}

static void test_cpu_subsections(void)
{
    static const char *const sections[] = { "cpu", "cpu_common", "apic" };
    MachineConfig *c;
    Machine *m;
    X86CPU *x;

    if (skip_without_kvm()) {
        return;
    }
    m = all_chips(&c);
    x = &kvm_vcpu(m->vcpus[0])->x86;
    x->push = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        const SaveStateEntry *se = save_registry_find(&m->migration->registry, sections[i], 0);

        fill_subsections(x);
        g_assert_nonnull(se);
        try_section(m, se, NULL, 0, NULL);
    }
    machine_free(m);
    machine_config_free(c);
}

/* The sections of a stream come in any order; the chips of this one after the clock, in reverse. */
static void test_reversed(void)
{
    MachineConfig *c;
    Machine *m;
    GPtrArray *entries;
    g_autoptr(GPtrArray) saved = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    GError *err = NULL;

    if (skip_without_kvm()) {
        return;
    }
    m = all_chips(&c);
    entries = m->migration->registry.entries;
    for (guint i = 0; i < entries->len; i++) {
        const SaveStateEntry *se = entries->pdata[i];

        g_ptr_array_add(saved, section_is_there(se) ? section_save(se, NULL)
                                                    : g_byte_array_new());
    }
    for (guint i = entries->len; i-- > 0;) {
        const GByteArray *bytes = saved->pdata[i];

        if (bytes->len) {
            g_assert_cmpint(section_load(m, entries->pdata[i], bytes, &err), ==, 0);
            g_assert_no_error(err);
        }
    }
    kvm_irqchip_push(kvm_state(m), &err);
    g_assert_no_error(err);
    machine_free(m);
    machine_config_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device-state/kvm/sections", test_sections);
    g_test_add_func("/device-state/kvm/cpu-subsections", test_cpu_subsections);
    g_test_add_func("/device-state/kvm/reversed", test_reversed);
    return g_test_run();
}
