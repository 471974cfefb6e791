/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FPU, SSE, AVX, MPX, AVX-512 and PKRU state between KVM's xsave image and X86CPU; XCR0. Machine
 * lock, guest stopped. Offsets of the extended components are those of the guest's CPUID leaf 0xd,
 * which are KVM's own for this image.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"

enum {
    XSAVE_FCW = 0, XSAVE_FSW = 2, XSAVE_FTW = 4, XSAVE_FOP = 6, XSAVE_FIP = 8, XSAVE_FDP = 16,
    XSAVE_MXCSR = 24, XSAVE_ST = 32, XSAVE_XMM = 160, XSAVE_BV = 512,
};
enum {
    COMP_YMM = 2, COMP_BNDREGS = 3, COMP_BNDCSR = 4, COMP_OPMASK = 5, COMP_ZMM_HI = 6,
    COMP_HI16_ZMM = 7, COMP_PKRU = 9,
};

#define XSTATE_X87_SSE 3ULL

/* Copies `len` bytes between the image and the register file, in one direction or the other. */
typedef struct Mover {
    uint8_t *image;
    const KvmState *kvm;
    bool load; /* image -> registers */
} Mover;

static void move(const Mover *m, size_t offset, void *reg, size_t len)
{
    if (m->load) {
        memcpy(reg, m->image + offset, len);
    } else {
        memcpy(m->image + offset, reg, len);
    }
}

/* A component that this host does not have reads as zero and takes nothing. */
static void move_component(const Mover *m, int comp, size_t at, void *reg, size_t len)
{
    if (m->kvm->xstate_offset[comp]) {
        move(m, m->kvm->xstate_offset[comp] + at, reg, len);
    } else if (m->load) {
        memset(reg, 0, len);
    }
}

static void move_legacy(const Mover *m, X86CPUState *env)
{
    uint8_t tags = (uint8_t)env->fptag_vmstate;

    move(m, XSAVE_FCW, &env->fpuc, 2);
    move(m, XSAVE_FSW, &env->fpus_vmstate, 2);
    move(m, XSAVE_FTW, &tags, 1);
    env->fptag_vmstate = tags;
    move(m, XSAVE_FOP, &env->fpop, 2);
    move(m, XSAVE_FIP, &env->fpip, 8);
    move(m, XSAVE_FDP, &env->fpdp, 8);
    move(m, XSAVE_MXCSR, &env->mxcsr, 4);
    for (int i = 0; i < 8; i++) {
        move(m, XSAVE_ST + i * 16, &env->fpregs[i].mant, 8);
        move(m, XSAVE_ST + i * 16 + 8, &env->fpregs[i].exp, 2);
    }
    for (int i = 0; i < 16; i++) {
        move(m, XSAVE_XMM + i * 16, &env->xmm_regs[i]._q_ZMMReg[0], 16);
    }
}

static void move_extended(const Mover *m, X86CPUState *env)
{
    for (int i = 0; i < 16; i++) {
        move_component(m, COMP_YMM, i * 16, &env->xmm_regs[i]._q_ZMMReg[2], 16);
        move_component(m, COMP_ZMM_HI, i * 32, &env->xmm_regs[i]._q_ZMMReg[4], 32);
        move_component(m, COMP_HI16_ZMM, i * 64, &env->xmm_regs[i + 16]._q_ZMMReg[0], 64);
    }
    for (int i = 0; i < 4; i++) {
        move_component(m, COMP_BNDREGS, i * 16, &env->bnd_regs[i].lb, 8);
        move_component(m, COMP_BNDREGS, i * 16 + 8, &env->bnd_regs[i].ub, 8);
    }
    move_component(m, COMP_BNDCSR, 0, &env->bndcs_cfgu, 8);
    move_component(m, COMP_BNDCSR, 8, &env->bndcs_sts, 8);
    move_component(m, COMP_OPMASK, 0, env->opmask_regs, sizeof(env->opmask_regs));
    move_component(m, COMP_PKRU, 0, &env->pkru, 4);
}

static bool get_xcr0(KvmVcpu *v, GError **errp)
{
    struct kvm_xcrs x = { 0 };

    if (!kvm_vcpu_ioctl(v, KVM_GET_XCRS, &x, "KVM_GET_XCRS", errp)) {
        return false;
    }
    for (uint32_t i = 0; i < MIN(x.nr_xcrs, KVM_MAX_XCRS); i++) {
        if (x.xcrs[i].xcr == 0) {
            v->x86.env.xcr0 = x.xcrs[i].value;
        }
    }
    return true;
}

static bool put_xcr0(KvmVcpu *v, GError **errp)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = v->x86.env.xcr0 } } };

    if (kvm_ioctl(v->fd, KVM_SET_XCRS, &x) < 0) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u: env.xcr0: the guest uses extended "
                       "state 0x%" PRIx64 ", of which this host's KVM lacks a part; both hosts "
                       "must offer the same CPU features", v->cpu->index, v->x86.env.xcr0);
    }
    return true;
}

bool kvm_get_fpu(KvmVcpu *v, GError **errp)
{
    X86CPUState *env = &v->x86.env;
    bool large = v->kvm->xsave_size > (int)sizeof(struct kvm_xsave);
    g_autofree uint8_t *image = g_malloc0(v->kvm->xsave_size);
    Mover m = { .image = image, .kvm = v->kvm, .load = true };

    if (!kvm_vcpu_ioctl(v, large ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, image,
                        large ? "KVM_GET_XSAVE2" : "KVM_GET_XSAVE", errp) || !get_xcr0(v, errp)) {
        return false;
    }
    move_legacy(&m, env);
    move_extended(&m, env);
    move(&m, XSAVE_BV, &env->xstate_bv, 8);
    return true;
}

bool kvm_put_fpu(KvmVcpu *v, GError **errp)
{
    X86CPUState env = v->x86.env;
    g_autofree uint8_t *image = g_malloc0(v->kvm->xsave_size);
    Mover m = { .image = image, .kvm = v->kvm };
    /* x87 and SSE are always in the section; a bit that is not set would put them to their reset
     * state whatever the section says. */
    uint64_t bv = env.xstate_bv | XSTATE_X87_SSE;

    move_legacy(&m, &env);
    move_extended(&m, &env);
    memcpy(image + XSAVE_BV, &bv, sizeof(bv));
    if (!put_xcr0(v, errp)) {
        return false;
    }

    int rc = kvm_ioctl(v->fd, KVM_SET_XSAVE, image);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "vCPU %u: KVM_SET_XSAVE with "
                             "env.xstate_bv 0x%" PRIx64 ", env.mxcsr 0x%x; both hosts must offer "
                             "the same CPU features", v->cpu->index, bv, env.mxcsr);
    }
    return true;
}
