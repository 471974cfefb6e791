/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The optional parts of section `cpu`, in emission order (spec minimal-machines 6.3). Each is sent
 * when its value is not the default, and only then: a peer that does not know one is then bothered
 * by guests alone that use it. Machine lock.
 *
 * A subsection that is not listed here (nested virtualization, Hyper-V, SGX, processor trace, AMX,
 * FRED, CET, ...) is refused by name: its state cannot be held by this machine.
 */
#include "x86-cpu.h"

static bool any(const void *p, size_t len)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < len; i++) {
        if (b[i]) {
            return true;
        }
    }
    return false;
}

static const X86CPUState *state(void *opaque)
{
    return &((X86CPU *)opaque)->env;
}

/* Defines subsection cpu/NAME with the fields given; `needed` is an expression over `env`. */
#define SUBSECTION(ID, NAME, NEEDED, ...) \
    static bool ID##_needed(void *opaque) \
    { \
        const X86CPUState *env = state(opaque); \
        return (NEEDED); \
    } \
    static const VMStateField ID##_fields[] = { __VA_ARGS__, VMSTATE_END }; \
    static const VMStateDescription ID = { \
        .name = "cpu/" NAME, .version_id = 1, .minimum_version_id = 1, .needed = ID##_needed, \
        .fields = ID##_fields, \
    };

#define U64(F) VMSTATE_UINT64(env.F, X86CPU)
#define U32(F) VMSTATE_UINT32(env.F, X86CPU)
#define U8(F) VMSTATE_UINT8(env.F, X86CPU)

SUBSECTION(exception_info, "exception_info", env->exception_pending,
           U8(exception_pending), U8(exception_injected), U8(exception_has_payload),
           U64(exception_payload))
SUBSECTION(error_code, "error_code", env->has_error_code && env->error_code,
           VMSTATE_INT32(env.error_code, X86CPU))
SUBSECTION(async_pf_msr, "async_pf_msr", env->async_pf_en_msr != 0, U64(async_pf_en_msr))
SUBSECTION(async_pf_int_msr, "async_pf_int_msr", env->async_pf_int_msr != 0,
           U64(async_pf_int_msr))
SUBSECTION(pv_eoi_msr, "async_pv_eoi_msr", env->pv_eoi_en_msr != 0, U64(pv_eoi_en_msr))
SUBSECTION(steal_time_msr, "steal_time_msr", env->steal_time_msr != 0, U64(steal_time_msr))
SUBSECTION(poll_control_msr, "poll_control_msr", env->poll_control_msr != 1,
           U64(poll_control_msr))
SUBSECTION(fpop_ip_dp, "fpop_ip_dp", env->fpop || env->fpip || env->fpdp,
           VMSTATE_UINT16(env.fpop, X86CPU), U64(fpip), U64(fpdp))
SUBSECTION(tsc_adjust, "msr_tsc_adjust", env->tsc_adjust != 0, U64(tsc_adjust))
SUBSECTION(tsc_deadline, "msr_tscdeadline", env->tsc_deadline != 0, U64(tsc_deadline))
SUBSECTION(misc_enable, "msr_ia32_misc_enable", env->msr_ia32_misc_enable != 1,
           U64(msr_ia32_misc_enable))
SUBSECTION(feature_control, "msr_ia32_feature_control", env->msr_ia32_feature_control != 0,
           U64(msr_ia32_feature_control))
SUBSECTION(pmu, "msr_architectural_pmu",
           env->msr_fixed_ctr_ctrl || env->msr_global_ctrl || env->msr_global_status ||
               env->msr_global_ovf_ctrl ||
               any(env->msr_fixed_counters, sizeof(env->msr_fixed_counters)) ||
               any(env->msr_gp_counters, sizeof(env->msr_gp_counters)) ||
               any(env->msr_gp_evtsel, sizeof(env->msr_gp_evtsel)),
           U64(msr_fixed_ctr_ctrl), U64(msr_global_ctrl), U64(msr_global_status),
           U64(msr_global_ovf_ctrl),
           VMSTATE_UINT64_ARRAY(env.msr_fixed_counters, X86CPU, X86_PMC_FIXED),
           VMSTATE_UINT64_ARRAY(env.msr_gp_counters, X86CPU, X86_PMC_GP),
           VMSTATE_UINT64_ARRAY(env.msr_gp_evtsel, X86CPU, X86_PMC_GP))

static const VMStateField bnd_fields[] = {
    VMSTATE_UINT64(lb, X86BndReg),
    VMSTATE_UINT64(ub, X86BndReg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_bnd = {
    .name = "bnd_regs", .version_id = 1, .minimum_version_id = 1, .fields = bnd_fields,
};

SUBSECTION(mpx, "mpx",
           any(env->bnd_regs, sizeof(env->bnd_regs)) || env->bndcs_cfgu || env->bndcs_sts ||
               env->msr_bndcfgs,
           VMSTATE_STRUCT_ARRAY(env.bnd_regs, X86CPU, 4, vmstate_bnd, X86BndReg),
           U64(bndcs_cfgu), U64(bndcs_sts), U64(msr_bndcfgs))

static const VMStateField zmmh_fields[] = {
    VMSTATE_UINT64(_q_ZMMReg[4], X86ZmmReg),
    VMSTATE_UINT64(_q_ZMMReg[5], X86ZmmReg),
    VMSTATE_UINT64(_q_ZMMReg[6], X86ZmmReg),
    VMSTATE_UINT64(_q_ZMMReg[7], X86ZmmReg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_zmmh = {
    .name = "zmmh_reg", .version_id = 1, .minimum_version_id = 1, .fields = zmmh_fields,
};

static const VMStateField hi16_fields[] = {
    VMSTATE_UINT64_ARRAY(_q_ZMMReg, X86ZmmReg, 8),
    VMSTATE_END,
};

static const VMStateDescription vmstate_hi16 = {
    .name = "hi16_zmm_reg", .version_id = 1, .minimum_version_id = 1, .fields = hi16_fields,
};

static bool avx512_used(const X86CPUState *env)
{
    if (any(env->opmask_regs, sizeof(env->opmask_regs))) {
        return true;
    }
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? 4 : 0;

        if (any(&env->xmm_regs[i]._q_ZMMReg[q], (8 - q) * sizeof(uint64_t))) {
            return true;
        }
    }
    return false;
}

SUBSECTION(avx512, "avx512", avx512_used(env),
           VMSTATE_UINT64_ARRAY(env.opmask_regs, X86CPU, 8),
           VMSTATE_STRUCT_ARRAY(env.xmm_regs, X86CPU, 16, vmstate_zmmh, X86ZmmReg),
           { .name = "env.xmm_regs", .kind = VMS_STRUCT, .flags = VMS_F_ARRAY, .num = 16,
             .vmsd = &vmstate_hi16, .offset = offsetof(X86CPU, env.xmm_regs[16]),
             .size = sizeof(X86ZmmReg) })
SUBSECTION(xss, "xss", env->xss != 0, U64(xss))
SUBSECTION(umwait, "umwait", env->umwait != 0, U32(umwait))
SUBSECTION(tsc_khz, "tsc_khz", env->tsc_khz != 0, VMSTATE_INT64(env.tsc_khz, X86CPU))
SUBSECTION(smi_count, "msr_smi_count", env->msr_smi_count != 0, U64(msr_smi_count))
SUBSECTION(pkru, "pkru", env->pkru != 0, U32(pkru))
SUBSECTION(pkrs, "pkrs", env->pkrs != 0, U32(pkrs))
SUBSECTION(spec_ctrl, "spec_ctrl", env->spec_ctrl != 0, U64(spec_ctrl))
SUBSECTION(mcg_ext_ctl, "mcg_ext_ctl", env->mcg_ext_ctl != 0, U64(mcg_ext_ctl))
SUBSECTION(virt_ssbd, "virt_ssbd", env->virt_ssbd != 0, U64(virt_ssbd))
SUBSECTION(tsx_ctrl, "msr_tsx_ctrl", env->tsx_ctrl != 0, U32(tsx_ctrl))
SUBSECTION(xfd, "msr_xfd", env->msr_xfd || env->msr_xfd_err, U64(msr_xfd), U64(msr_xfd_err))
SUBSECTION(hwcr, "msr_hwcr", env->msr_hwcr != 0, U64(msr_hwcr))
SUBSECTION(triple_fault, "triple_fault", env->triple_fault_pending, U8(triple_fault_pending))

static bool pdptrs_post_load(void *opaque, int version_id, GError **errp)
{
    ((X86CPU *)opaque)->env.pdptrs_valid = 1; /* the body's presence says so */
    return true;
}

static bool pdptrs_needed(void *opaque)
{
    return state(opaque)->pdptrs_valid;
}

static const VMStateField pdptrs_fields[] = {
    VMSTATE_UINT64_ARRAY(env.pdptrs, X86CPU, 4),
    VMSTATE_END,
};

static const VMStateDescription pdptrs = {
    .name = "cpu/pdptrs", .version_id = 1, .minimum_version_id = 1, .needed = pdptrs_needed,
    .post_load = pdptrs_post_load, .fields = pdptrs_fields,
};

const VMStateDescription *const x86_cpu_subsections[] = {
    &exception_info, &error_code, &async_pf_msr, &async_pf_int_msr, &pv_eoi_msr, &steal_time_msr,
    &poll_control_msr, &fpop_ip_dp, &tsc_adjust, &tsc_deadline, &misc_enable, &feature_control,
    &pmu, &mpx, &avx512, &xss, &umwait, &tsc_khz, &smi_count, &pkru, &pkrs, &spec_ctrl,
    &mcg_ext_ctl, &virt_ssbd, &tsx_ctrl, &pdptrs, &xfd, &hwcr, &triple_fault, NULL,
};
