/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `cpu`, `cpu_common` and `apic`: every field at its place, bodies of another
 * implementation decoded and encoded again to the same bytes, subsections, what is refused; the way
 * between the APIC's section and its register page. No KVM needed.
 */
#include <glib.h>

#include "kvm.h"
#include "vmstate-helpers.h"
#include "x86-bodies.h"

/* "0102 *3": hex with runs of zeros. */
static GByteArray *expand(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    GByteArray *out = g_byte_array_new();

    for (char **w = words; *w; w++) {
        if (**w == '*') {
            g_autofree uint8_t *zeros = g_malloc0(atoi(*w + 1));

            g_byte_array_append(out, zeros, atoi(*w + 1));
        } else {
            g_autoptr(GByteArray) part = unhex(*w);

            g_byte_array_append(out, part->data, part->len);
        }
    }
    return out;
}

static GByteArray *save(const VMStateDescription *vmsd, X86CPU *x)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    GError *err = NULL;

    vmstate_save(w, vmsd, x, NULL, &err);
    g_assert_no_error(err);
    return stream_writer_steal(w);
}

static void load(const VMStateDescription *vmsd, X86CPU *x, int version, const GByteArray *b)
{
    GError *err = NULL;
    gssize left = load_bytes(vmsd, x, version, b, &err);

    g_assert_no_error(err);
    g_assert_cmpint(left, ==, 0);
}

static X86CPU *cpu_new(void)
{
    X86CPU *x = g_new0(X86CPU, 1);

    x86_cpu_reset(x);
    return x;
}

/* Where the wire has a member: spec minimal-machines 6.3. */
typedef struct Place {
    size_t wire, member, size;
    const char *name;
} Place;

#define P(W, F) { W, offsetof(X86CPUState, F), sizeof(((X86CPUState *)0)->F), #F }

static const Place places[] = {
    P(0, regs[0]), P(8, regs[1]), P(120, regs[15]), P(128, eip), P(136, eflags), P(144, hflags),
    P(148, fpuc), P(150, fpus_vmstate), P(152, fptag_vmstate), P(156, fpregs[0].mant),
    P(164, fpregs[0].exp), P(226, fpregs[7].mant), P(236, segs[X86_ES].selector),
    P(240, segs[X86_ES].base), P(248, segs[X86_ES].limit), P(252, segs[X86_ES].flags),
    P(256, segs[X86_CS].selector), P(336, segs[X86_GS].selector), P(356, ldt.selector),
    P(376, tr.selector), P(400, gdt.base), P(420, idt.base), P(436, sysenter_cs),
    P(440, sysenter_esp), P(448, sysenter_eip), P(456, cr[0]), P(464, cr[2]), P(472, cr[3]),
    P(480, cr[4]), P(488, dr[0]), P(544, dr[7]), P(552, a20_mask), P(556, mxcsr),
    P(560, xmm_regs[0]._q_ZMMReg[0]), P(568, xmm_regs[0]._q_ZMMReg[1]),
    P(800, xmm_regs[15]._q_ZMMReg[0]), P(816, efer), P(824, star), P(832, lstar), P(840, cstar),
    P(848, fmask), P(856, kernelgsbase), P(864, smbase), P(868, pat), P(876, hflags2),
    P(880, vm_hsave), P(888, vm_vmcb), P(896, tsc_offset), P(904, intercept),
    P(912, intercept_cr_read), P(918, intercept_dr_write), P(920, intercept_exceptions),
    P(924, v_tpr), P(925, mtrr_fixed[0]), P(1005, mtrr_fixed[10]), P(1013, mtrr_deftype),
    P(1021, mtrr_var[0].base), P(1141, mtrr_var[7].mask), P(1149, interrupt_injected),
    P(1153, mp_state), P(1157, tsc), P(1165, exception_nr), P(1169, soft_interrupt),
    P(1170, nmi_injected), P(1171, nmi_pending), P(1172, has_error_code), P(1173, sipi_vector),
    P(1177, mcg_cap), P(1185, mcg_status), P(1193, mcg_ctl), P(1201, mce_banks[0]),
    P(1513, mce_banks[39]), P(1521, tsc_aux), P(1529, system_time_msr), P(1537, wall_clock_msr),
    P(1545, xcr0), P(1553, xstate_bv), P(1561, xmm_regs[0]._q_ZMMReg[2]),
    P(1809, xmm_regs[15]._q_ZMMReg[3]),
};

static void test_layout(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        const Place *p = &places[i];
        g_autofree X86CPU *x = cpu_new();
        g_autoptr(GByteArray) before = save(&vmstate_x86_cpu, x), after = NULL;
        uint8_t *member = (uint8_t *)&x->env + p->member;
        uint8_t want[8];

        g_assert_cmpuint(before->len, ==, 1817);
        for (size_t k = 0; k < p->size; k++) {
            member[k] = 0xa1 + k; /* little-endian here, big-endian there */
            want[p->size - 1 - k] = 0xa1 + k;
        }
        after = save(&vmstate_x86_cpu, x);
        if (memcmp(after->data + p->wire, want, p->size)) {
            g_error("%s is not at %zu", p->name, p->wire);
        }
        memcpy(after->data + p->wire, before->data + p->wire, p->size);
        g_assert_cmpmem(after->data, 1817, before->data, 1817);
    }
}

static void test_foreign_cpu(void)
{
    g_autoptr(GByteArray) body = expand(body_cpu);
    g_autoptr(GByteArray) again = NULL;
    g_autofree X86CPU *x = cpu_new();

    g_assert_cmpuint(body->len, ==, 1842);
    load(&vmstate_x86_cpu, x, 12, body);
    g_assert_true(x->dirty);
    g_assert_cmphex(x->env.eip, ==, 0x100de6);
    g_assert_cmphex(x->env.segs[X86_CS].flags, ==, 0xa0fb00);
    g_assert_cmphex(x->env.cr[3], ==, 0x200000);
    g_assert_cmpint(x->env.tsc_khz, ==, 2700000);
    g_assert_cmphex(x86_cpu_compute_hflags(&x->env), ==, x->env.hflags);
    again = save(&vmstate_x86_cpu, x);
    g_assert_cmpmem(again->data, again->len, body->data, body->len);
}

static void test_foreign_apic(void)
{
    g_autoptr(GByteArray) body = expand(body_apic), again = NULL;
    g_autofree X86CPU *x = cpu_new();

    load(&vmstate_x86_apic, x, 3, body);
    g_assert_cmphex(x->apic.lvt[0], ==, 0x40);
    g_assert_cmpint(x->apic.count_shift, ==, 0);
    again = save(&vmstate_x86_apic, x);
    g_assert_cmpmem(again->data, again->len, body->data, body->len);
    x->apic.wait_for_sipi = 1;
    x->apic.sipi_vector = 7;

    g_autoptr(GByteArray) with_sipi = save(&vmstate_x86_apic, x);
    g_autofree X86CPU *y = cpu_new();

    g_assert_cmpuint(with_sipi->len, ==, 204);
    load(&vmstate_x86_apic, y, 3, with_sipi);
    g_assert_cmpint(y->apic.sipi_vector, ==, 7);
    load(&vmstate_x86_apic, y, 3, body);
    g_assert_cmpint(y->apic.wait_for_sipi, ==, 0);
}

/* Version 11 ends before XCR0; what it does not have gets its default. */
static void test_old_version(void)
{
    g_autofree X86CPU *x = cpu_new();
    g_autoptr(GByteArray) body = save(&vmstate_x86_cpu, x);

    x->env.xcr0 = 0xe7;
    x->env.xmm_regs[1]._q_ZMMReg[2] = 5;
    g_byte_array_set_size(body, 1545);
    load(&vmstate_x86_cpu, x, 11, body);
    g_assert_cmphex(x->env.xcr0, ==, 1);
    g_assert_cmphex(x->env.xmm_regs[1]._q_ZMMReg[2], ==, 0);

    g_autoptr(GError) err = NULL;

    g_assert_cmpint(load_bytes(&vmstate_x86_cpu, x, 12, body, &err), ==, -1);
}

/* One bit of state that makes a subsection necessary, and the body that it then has. */
typedef struct Sub {
    const char *name;
    size_t member, body;
    uint8_t dflt;
} Sub;

#define S(NAME, F, BODY) { "cpu/" NAME, offsetof(X86CPUState, F), BODY, 0 }

static const Sub subs[] = {
    S("exception_info", exception_pending, 11), S("async_pf_msr", async_pf_en_msr, 8),
    S("async_pf_int_msr", async_pf_int_msr, 8), S("async_pv_eoi_msr", pv_eoi_en_msr, 8),
    S("steal_time_msr", steal_time_msr, 8),
    { "cpu/poll_control_msr", offsetof(X86CPUState, poll_control_msr), 8, 1 },
    S("fpop_ip_dp", fpdp, 18), S("msr_tsc_adjust", tsc_adjust, 8),
    S("msr_tscdeadline", tsc_deadline, 8),
    { "cpu/msr_ia32_misc_enable", offsetof(X86CPUState, msr_ia32_misc_enable), 8, 1 },
    S("msr_ia32_feature_control", msr_ia32_feature_control, 8),
    S("msr_architectural_pmu", msr_gp_evtsel[17], 344), S("mpx", bndcs_sts, 88),
    S("avx512", xmm_regs[31]._q_ZMMReg[0], 1600), S("xss", xss, 8), S("umwait", umwait, 4),
    S("tsc_khz", tsc_khz, 8), S("msr_smi_count", msr_smi_count, 8), S("pkru", pkru, 4),
    S("pkrs", pkrs, 4), S("spec_ctrl", spec_ctrl, 8), S("mcg_ext_ctl", mcg_ext_ctl, 8),
    S("virt_ssbd", virt_ssbd, 8), S("msr_tsx_ctrl", tsx_ctrl, 4), S("pdptrs", pdptrs_valid, 32),
    S("msr_xfd", msr_xfd, 16), S("msr_hwcr", msr_hwcr, 8),
    S("triple_fault", triple_fault_pending, 1),
};

static void test_subsections(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(subs); i++) {
        const Sub *s = &subs[i];
        g_autofree X86CPU *x = cpu_new(), *y = cpu_new();
        g_autoptr(GByteArray) plain = save(&vmstate_x86_cpu, x), with = NULL, again = NULL;
        uint8_t *member = (uint8_t *)&x->env + s->member;
        size_t head = 1 + 1 + strlen(s->name) + 4;

        g_assert_cmpuint(*member, ==, s->dflt);
        *member = s->dflt + 1;
        with = save(&vmstate_x86_cpu, x);
        if (with->len != 1817 + head + s->body || with->data[1817] != 5 ||
            memcmp(with->data + 1819, s->name, strlen(s->name))) {
            g_error("%s: %u bytes", s->name, with->len);
        }
        load(&vmstate_x86_cpu, y, 12, with);
        again = save(&vmstate_x86_cpu, y);
        g_assert_cmpmem(again->data, again->len, with->data, with->len);
        if (s->member == offsetof(X86CPUState, tsc_khz)) {
            continue; /* of the host: stays */
        }
        /* A body without it means the default, also for a vCPU that had something else. */
        load(&vmstate_x86_cpu, y, 12, plain);
        g_assert_cmpuint(((uint8_t *)&y->env)[s->member], ==, s->dflt);
    }
}

static void test_error_code(void)
{
    g_autofree X86CPU *x = cpu_new(), *y = cpu_new();

    x->env.exception_nr = 14;
    x->env.has_error_code = 1;
    x->env.error_code = 6;

    g_autoptr(GByteArray) body = save(&vmstate_x86_cpu, x);

    g_assert_cmpuint(body->len, ==, 1817 + 6 + 14 + 4);
    load(&vmstate_x86_cpu, y, 12, body);
    g_assert_cmpint(y->env.error_code, ==, 6);
}

static void refuse(size_t at, const char *bytes, const char *message)
{
    g_autofree X86CPU *x = cpu_new();
    g_autoptr(GByteArray) body = save(&vmstate_x86_cpu, x), patch = unhex(bytes);
    g_autoptr(GError) err = NULL;

    if (at + patch->len > body->len) {
        g_byte_array_set_size(body, at + patch->len);
    }
    memcpy(body->data + at, patch->data, patch->len);
    g_assert_cmpint(load_bytes(&vmstate_x86_cpu, x, 12, body, &err), ==, -1);
    if (!strstr(err->message, message)) {
        g_error("'%s' does not say '%s'", err->message, message);
    }
}

static void test_refusals(void)
{
    refuse(154, "0001", "register format 1");
    refuse(144, "00080000", "system management");
    refuse(1149, "00000100", "interrupt_injected 256");
    refuse(1165, "00000020", "exception_nr 32");
    refuse(1817, "05 10'cpu/nested_state' 00000001", "nested_state");
}

static void test_every_truncation(void)
{
    g_autoptr(GByteArray) body = expand(body_cpu);
    g_autofree X86CPU *x = cpu_new();

    for (guint len = body->len - 1; len > 0; len--) {
        g_autoptr(GError) err = NULL;

        g_byte_array_set_size(body, len);
        /* 1817 is a whole body. Half a subsection's head is left for the section's footer check. */
        if (len != 1817) {
            g_assert_cmpint(load_bytes(&vmstate_x86_cpu, x, 12, body, &err), !=, 0);
        }
    }
}

static void test_cpu_common(void)
{
    g_autofree X86CPU *x = cpu_new();

    x->halted = 1;
    assert_saves(&vmstate_x86_cpu_common, x, "00000001 00000000");
    x->crash_occurred = true;
    x->exception_index = 3;
    assert_saves(&vmstate_x86_cpu_common, x,
                 "00000001 00000000 05 1a'cpu_common/exception_index' 00000001 00000003"
                 "05 19'cpu_common/crash_occurred' 00000001 01");
    assert_loads(&vmstate_x86_cpu_common, x, "00000000 00000002");
    g_assert_cmpuint(x->halted, ==, 0);
    g_assert_false(x->crash_occurred);
    g_assert_cmpint(x->exception_index, ==, -1);
}

static void test_real_mode_privilege(void)
{
    g_autofree X86CPU *x = cpu_new();

    for (int i = 0; i < X86_NB_SEGS; i++) {
        x->env.segs[i].flags |= 3 << X86_SEG_DPL_SHIFT;
    }

    g_autoptr(GByteArray) body = save(&vmstate_x86_cpu, x);

    load(&vmstate_x86_cpu, x, 12, body);
    for (int i = 0; i < X86_NB_SEGS; i++) {
        g_assert_cmphex(x->env.segs[i].flags & (3 << X86_SEG_DPL_SHIFT), ==, 0);
    }
}

static uint32_t page_reg(const struct kvm_lapic_state *page, unsigned reg)
{
    uint32_t v;

    memcpy(&v, page->regs + reg, sizeof(v));
    return v;
}

/* Fields to the register page and back; the timer's count in between. */
static void test_apic_page(void)
{
    struct kvm_lapic_state page = { 0 };
    X86Apic a = {
        .apicbase = 0xfee00900, .id = 3, .tpr = 0x20, .spurious_vec = 0x1ff, .log_dest = 8,
        .dest_mode = 0xf, .isr = { 1 }, .tmr = { [7] = 2 }, .irr = { [3] = 4 },
        .lvt = { 0x20040, 1, 2, 3, 4, 5 }, .esr = 6, .icr = { 7, 8 }, .divide_conf = 0xb,
        .initial_count = 1000, .initial_count_load_time = 5000,
    };
    X86Apic b = { 0 };

    x86_apic_to_page(&a, &page, 5400);
    g_assert_cmphex(page_reg(&page, 0x20), ==, 0x03000000);
    g_assert_cmphex(page_reg(&page, 0xd0), ==, 0x08000000);
    g_assert_cmphex(page_reg(&page, 0xe0), ==, 0xffffffff);
    g_assert_cmphex(page_reg(&page, 0x370), ==, 5);
    g_assert_cmpuint(page_reg(&page, 0x390), ==, 600);
    x86_apic_from_page(&b, &page, 0xfee00900, 9400);
    g_assert_cmpint(b.initial_count_load_time, ==, 9000);
    g_assert_cmpint(b.timer_expiry, ==, 10000);
    b.initial_count_load_time = a.initial_count_load_time;
    b.timer_expiry = a.timer_expiry = 0;
    b.next_time = a.next_time;
    g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
    /* Periodic: 3.3 periods later 0.7 are left. One-shot: long over. Not begun yet: all of it. */
    x86_apic_to_page(&a, &page, 8300);
    g_assert_cmpuint(page_reg(&page, 0x390), ==, 700);
    a.lvt[0] = 0x40;
    x86_apic_to_page(&a, &page, 8300);
    g_assert_cmpuint(page_reg(&page, 0x390), ==, 0);
    x86_apic_to_page(&a, &page, 100);
    g_assert_cmpuint(page_reg(&page, 0x390), ==, 1000);
    /* Any numbers a peer may send. */
    a.initial_count = UINT32_MAX;
    a.divide_conf = 0xa;
    a.initial_count_load_time = INT64_MIN;
    x86_apic_to_page(&a, &page, INT64_MAX);
    a.initial_count_load_time = INT64_MAX;
    x86_apic_to_page(&a, &page, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x86-vmstate/layout", test_layout);
    g_test_add_func("/x86-vmstate/foreign-cpu", test_foreign_cpu);
    g_test_add_func("/x86-vmstate/foreign-apic", test_foreign_apic);
    g_test_add_func("/x86-vmstate/old-version", test_old_version);
    g_test_add_func("/x86-vmstate/subsections", test_subsections);
    g_test_add_func("/x86-vmstate/error-code", test_error_code);
    g_test_add_func("/x86-vmstate/refusals", test_refusals);
    g_test_add_func("/x86-vmstate/every-truncation", test_every_truncation);
    g_test_add_func("/x86-vmstate/cpu-common", test_cpu_common);
    g_test_add_func("/x86-vmstate/real-mode-privilege", test_real_mode_privilege);
    g_test_add_func("/x86-vmstate/apic-page", test_apic_page);
    return g_test_run();
}
