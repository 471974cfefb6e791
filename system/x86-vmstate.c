/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `cpu` v12 (v11 accepted) and `cpu_common` v1 (spec minimal-machines 6.3). Machine lock.
 *
 * Sections come in any order: decoding fills X86CPU and marks it dirty; `apply` pushes what is
 * there by then, so that a state this host can't hold fails the migration while the source still
 * has the guest; what a later section brings, and what runs by itself (time stamp counter, timers),
 * is pushed before the guest starts.
 */
#include "x86-cpu.h"

#include <inttypes.h>

#include "error.h"

/* ---- cpu_common ---- */

static bool cpu_common_pre_save(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    return !x->fetch || x->fetch(x, X86_PART_HALTED, errp);
}

static bool cpu_common_post_load(void *opaque, int version_id, GError **errp)
{
    X86CPU *x = opaque;

    if (x->halted > 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "halted: %u, not 0 or 1", x->halted);
    }
    x->interrupt_request = 0; /* lines of an emulated CPU; here the interrupt chips hold them */
    return true;
}

static bool exception_index_needed(void *opaque)
{
    return ((X86CPU *)opaque)->exception_index != -1;
}

static bool crash_occurred_needed(void *opaque)
{
    return ((X86CPU *)opaque)->crash_occurred;
}

static const VMStateField exception_index_fields[] = {
    VMSTATE_INT32(exception_index, X86CPU),
    VMSTATE_END,
};

static const VMStateDescription vmstate_exception_index = {
    .name = "cpu_common/exception_index",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = exception_index_needed,
    .fields = exception_index_fields,
};

static const VMStateField crash_occurred_fields[] = {
    VMSTATE_BOOL(crash_occurred, X86CPU),
    VMSTATE_END,
};

static const VMStateDescription vmstate_crash_occurred = {
    .name = "cpu_common/crash_occurred",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = crash_occurred_needed,
    .fields = crash_occurred_fields,
};

static const VMStateDescription *const cpu_common_subsections[] = {
    &vmstate_exception_index, &vmstate_crash_occurred, NULL,
};

static bool cpu_common_pre_load(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    x->exception_index = -1;
    x->crash_occurred = false;
    return true;
}

static const VMStateField cpu_common_fields[] = {
    VMSTATE_UINT32(halted, X86CPU),
    VMSTATE_UINT32(interrupt_request, X86CPU),
    VMSTATE_END,
};

const VMStateDescription vmstate_x86_cpu_common = {
    .name = "cpu_common",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = cpu_common_pre_save,
    .pre_load = cpu_common_pre_load,
    .post_load = cpu_common_post_load,
    .fields = cpu_common_fields,
    .subsections = cpu_common_subsections,
};

/* ---- nested objects ---- */

static const VMStateField segment_fields[] = {
    VMSTATE_UINT32(selector, X86Segment),
    VMSTATE_UINT64(base, X86Segment),
    VMSTATE_UINT32(limit, X86Segment),
    VMSTATE_UINT32(flags, X86Segment),
    VMSTATE_END,
};

static const VMStateDescription vmstate_segment = {
    .name = "segment", .version_id = 1, .minimum_version_id = 1, .fields = segment_fields,
};

static const VMStateField fpreg_fields[] = {
    VMSTATE_UINT64(mant, X86FpReg),
    VMSTATE_UINT16(exp, X86FpReg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_fpreg = {
    .name = "fpreg", .fields = fpreg_fields,
};

static const VMStateField xmm_fields[] = {
    VMSTATE_UINT64(_q_ZMMReg[0], X86ZmmReg),
    VMSTATE_UINT64(_q_ZMMReg[1], X86ZmmReg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_xmm = {
    .name = "xmm_reg", .version_id = 1, .minimum_version_id = 1, .fields = xmm_fields,
};

static const VMStateField ymmh_fields[] = {
    VMSTATE_UINT64(_q_ZMMReg[2], X86ZmmReg),
    VMSTATE_UINT64(_q_ZMMReg[3], X86ZmmReg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_ymmh = {
    .name = "ymmh_reg", .version_id = 1, .minimum_version_id = 1, .fields = ymmh_fields,
};

static const VMStateField mtrr_fields[] = {
    VMSTATE_UINT64(base, X86MtrrVar),
    VMSTATE_UINT64(mask, X86MtrrVar),
    VMSTATE_END,
};

static const VMStateDescription vmstate_mtrr = {
    .name = "mtrr_var", .version_id = 1, .minimum_version_id = 1, .fields = mtrr_fields,
};

/* ---- cpu ---- */

static bool cpu_pre_save(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    return !x->fetch || x->fetch(x, X86_PART_ALL, errp);
}

/* A subsection that is not in the stream means its default, not what was here before. */
static void optional_defaults(X86CPUState *env)
{
    env->exception_pending = env->exception_injected = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->error_code = 0;
    env->async_pf_en_msr = env->async_pf_int_msr = env->pv_eoi_en_msr = 0;
    env->steal_time_msr = 0;
    env->poll_control_msr = 1;
    env->fpop = 0;
    env->fpip = env->fpdp = 0;
    env->tsc_adjust = env->tsc_deadline = 0;
    env->msr_ia32_misc_enable = 1;
    env->msr_ia32_feature_control = 0;
    env->msr_fixed_ctr_ctrl = env->msr_global_ctrl = 0;
    env->msr_global_status = env->msr_global_ovf_ctrl = 0;
    for (int i = 0; i < X86_PMC_FIXED; i++) {
        env->msr_fixed_counters[i] = 0;
    }
    for (int i = 0; i < X86_PMC_GP; i++) {
        env->msr_gp_counters[i] = env->msr_gp_evtsel[i] = 0;
    }
    for (int i = 0; i < 4; i++) {
        env->bnd_regs[i] = (X86BndReg){ 0 };
    }
    env->bndcs_cfgu = env->bndcs_sts = env->msr_bndcfgs = 0;
    for (int i = 0; i < 8; i++) {
        env->opmask_regs[i] = 0;
    }
    for (int i = 0; i < 32; i++) {
        for (int q = i < 16 ? 4 : 0; q < 8; q++) {
            env->xmm_regs[i]._q_ZMMReg[q] = 0;
        }
    }
    env->xss = env->msr_smi_count = env->spec_ctrl = env->virt_ssbd = env->mcg_ext_ctl = 0;
    env->umwait = env->pkru = env->pkrs = env->tsx_ctrl = 0;
    env->pdptrs_valid = 0;
    env->msr_xfd = env->msr_xfd_err = env->msr_hwcr = 0;
    env->triple_fault_pending = 0;
}

static bool cpu_pre_load(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    optional_defaults(&x->env);
    x->env.xcr0 = 1; /* of a v11 body, which ends before it */
    x->env.xstate_bv = 3;
    for (int i = 0; i < 16; i++) {
        x->env.xmm_regs[i]._q_ZMMReg[2] = x->env.xmm_regs[i]._q_ZMMReg[3] = 0;
    }
    return true;
}

/* What the architecture itself rules out, so that it is refused by name on every host. */
static bool check_control(const X86CPU *x, GError **errp)
{
    const X86CPUState *env = &x->env;
    bool paging = env->cr[0] & X86_CR0_PG, long_mode = env->efer & X86_EFER_LMA;

    if (env->cr[0] >> 32 || (paging && !(env->cr[0] & X86_CR0_PE))) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "cpu %u: env.cr[0] 0x%" PRIx64 ": more than 32 bits"
                       ", or paging without protection", x->index, env->cr[0]);
    }
    if (long_mode && !(paging && (env->efer & X86_EFER_LME) && (env->cr[4] & X86_CR4_PAE))) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "cpu %u: env.efer 0x%" PRIx64 " says long mode, "
                       "which env.cr[0] 0x%" PRIx64 ", env.cr[4] 0x%" PRIx64 " do not allow",
                       x->index, env->efer, env->cr[0], env->cr[4]);
    }
    return true;
}

static bool cpu_post_load(void *opaque, int version_id, GError **errp)
{
    X86CPU *x = opaque;
    X86CPUState *env = &x->env;

    if (env->fpregs_format_vmstate) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "cpu %u: env.fpregs_format_vmstate: FPU register "
                       "format %u is unknown", x->index, env->fpregs_format_vmstate);
    }
    if (env->hflags & X86_HFLAGS_SMM) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "cpu %u: env.hflags: the guest is in system "
                       "management mode, which this machine does not have; migrate again",
                       x->index);
    }
    if (env->interrupt_injected < -1 || env->interrupt_injected > 255 ||
        env->exception_nr < -1 || env->exception_nr > 31) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "cpu %u: env.interrupt_injected %d, "
                       "env.exception_nr %d: no such vectors", x->index, env->interrupt_injected,
                       env->exception_nr);
    }
    if (!check_control(x, errp)) {
        return false;
    }
    if (env->tsc_khz < 0 || env->tsc_khz > INT32_MAX) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "cpu %u: env.tsc_khz: %" PRId64 " kHz is out of "
                       "range", x->index, env->tsc_khz);
    }
    /* In real mode privilege is 0 whatever the descriptor caches say; some hardware wants it so. */
    if (!(env->cr[0] & X86_CR0_PE) && (env->segs[X86_CS].flags >> X86_SEG_DPL_SHIFT & 3) != 0) {
        for (int i = 0; i < X86_NB_SEGS; i++) {
            env->segs[i].flags &= ~(3U << X86_SEG_DPL_SHIFT);
        }
    }
    x->dirty = x->tsc_dirty = true;
    x->pushed = false;
    return true;
}

static bool cpu_apply(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    x->cpu_loaded = true;
    return !x->push || x->push(x, X86_PART_ALL, errp);
}

#define E(F) VMSTATE_UINT64(env.F, X86CPU)

static const VMStateField cpu_fields[] = {
    VMSTATE_UINT64_ARRAY(env.regs, X86CPU, X86_NB_REGS),
    E(eip), E(eflags),
    VMSTATE_UINT32(env.hflags, X86CPU),
    VMSTATE_UINT16(env.fpuc, X86CPU),
    VMSTATE_UINT16(env.fpus_vmstate, X86CPU),
    VMSTATE_UINT16(env.fptag_vmstate, X86CPU),
    VMSTATE_UINT16(env.fpregs_format_vmstate, X86CPU),
    VMSTATE_STRUCT_ARRAY(env.fpregs, X86CPU, 8, vmstate_fpreg, X86FpReg),
    VMSTATE_STRUCT_ARRAY(env.segs, X86CPU, X86_NB_SEGS, vmstate_segment, X86Segment),
    VMSTATE_STRUCT(env.ldt, X86CPU, vmstate_segment, X86Segment),
    VMSTATE_STRUCT(env.tr, X86CPU, vmstate_segment, X86Segment),
    VMSTATE_STRUCT(env.gdt, X86CPU, vmstate_segment, X86Segment),
    VMSTATE_STRUCT(env.idt, X86CPU, vmstate_segment, X86Segment),
    VMSTATE_UINT32(env.sysenter_cs, X86CPU),
    E(sysenter_esp), E(sysenter_eip),
    E(cr[0]), E(cr[2]), E(cr[3]), E(cr[4]),
    VMSTATE_UINT64_ARRAY(env.dr, X86CPU, 8),
    VMSTATE_INT32(env.a20_mask, X86CPU),
    VMSTATE_UINT32(env.mxcsr, X86CPU),
    VMSTATE_STRUCT_ARRAY(env.xmm_regs, X86CPU, 16, vmstate_xmm, X86ZmmReg),
    E(efer), E(star), E(lstar), E(cstar), E(fmask), E(kernelgsbase),
    VMSTATE_UINT32(env.smbase, X86CPU),
    E(pat),
    VMSTATE_UINT32(env.hflags2, X86CPU),
    E(vm_hsave), E(vm_vmcb), E(tsc_offset), E(intercept),
    VMSTATE_UINT16(env.intercept_cr_read, X86CPU),
    VMSTATE_UINT16(env.intercept_cr_write, X86CPU),
    VMSTATE_UINT16(env.intercept_dr_read, X86CPU),
    VMSTATE_UINT16(env.intercept_dr_write, X86CPU),
    VMSTATE_UINT32(env.intercept_exceptions, X86CPU),
    VMSTATE_UINT8(env.v_tpr, X86CPU),
    VMSTATE_UINT64_ARRAY(env.mtrr_fixed, X86CPU, 11),
    E(mtrr_deftype),
    VMSTATE_STRUCT_ARRAY(env.mtrr_var, X86CPU, 8, vmstate_mtrr, X86MtrrVar),
    VMSTATE_INT32(env.interrupt_injected, X86CPU),
    VMSTATE_UINT32(env.mp_state, X86CPU),
    E(tsc),
    VMSTATE_INT32(env.exception_nr, X86CPU),
    VMSTATE_UINT8(env.soft_interrupt, X86CPU),
    VMSTATE_UINT8(env.nmi_injected, X86CPU),
    VMSTATE_UINT8(env.nmi_pending, X86CPU),
    VMSTATE_UINT8(env.has_error_code, X86CPU),
    VMSTATE_UINT32(env.sipi_vector, X86CPU),
    E(mcg_cap), E(mcg_status), E(mcg_ctl),
    VMSTATE_UINT64_ARRAY(env.mce_banks, X86CPU, X86_MCE_BANKS * 4),
    E(tsc_aux), E(system_time_msr), E(wall_clock_msr),
    VMSTATE_UINT64_V(env.xcr0, X86CPU, 12),
    VMSTATE_UINT64_V(env.xstate_bv, X86CPU, 12),
    VMSTATE_STRUCT_ARRAY_V(env.xmm_regs, X86CPU, 16, vmstate_ymmh, X86ZmmReg, 12),
    VMSTATE_END,
};

const VMStateDescription vmstate_x86_cpu = {
    .name = "cpu",
    .version_id = 12,
    .minimum_version_id = 11,
    .pre_save = cpu_pre_save,
    .pre_load = cpu_pre_load,
    .post_load = cpu_post_load,
    .apply = cpu_apply,
    .fields = cpu_fields,
    .subsections = x86_cpu_subsections,
};
