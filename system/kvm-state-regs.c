/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * General, segment, control and debug registers, pending events and mp_state between KVM and
 * X86CPU. Machine lock, guest stopped.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"

static void regs_from_kvm(X86CPUState *env, const struct kvm_regs *r)
{
    const uint64_t regs[X86_NB_REGS] = {
        r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
        r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
    };

    memcpy(env->regs, regs, sizeof(regs));
    env->eip = r->rip;
    env->eflags = r->rflags;
}

static struct kvm_regs regs_to_kvm(const X86CPUState *env)
{
    const uint64_t *r = env->regs;

    return (struct kvm_regs){
        .rax = r[0], .rcx = r[1], .rdx = r[2], .rbx = r[3], .rsp = r[4], .rbp = r[5],
        .rsi = r[6], .rdi = r[7], .r8 = r[8], .r9 = r[9], .r10 = r[10], .r11 = r[11],
        .r12 = r[12], .r13 = r[13], .r14 = r[14], .r15 = r[15],
        .rip = env->eip, .rflags = env->eflags | X86_EFLAGS_RESERVED,
    };
}

static X86Segment seg_from_kvm(const struct kvm_segment *s)
{
    uint32_t flags = X86_SEG_TYPE(s->type) | (s->s ? X86_SEG_S : 0) |
                     (uint32_t)s->dpl << X86_SEG_DPL_SHIFT | (s->avl ? X86_SEG_AVL : 0) |
                     (s->l ? X86_SEG_L : 0) | (s->db ? X86_SEG_DB : 0) | (s->g ? X86_SEG_G : 0);

    /* "Unusable" is "not present" on the wire. */
    flags |= s->present && !s->unusable ? X86_SEG_P : 0;
    return x86_segment(s->selector, s->base, s->limit, flags);
}

static struct kvm_segment seg_to_kvm(const X86Segment *s)
{
    return (struct kvm_segment){
        .base = s->base, .limit = s->limit, .selector = (uint16_t)s->selector,
        .type = s->flags >> 8 & 15, .s = (s->flags & X86_SEG_S) != 0,
        .dpl = s->flags >> X86_SEG_DPL_SHIFT & 3, .present = (s->flags & X86_SEG_P) != 0,
        .avl = (s->flags & X86_SEG_AVL) != 0, .l = (s->flags & X86_SEG_L) != 0,
        .db = (s->flags & X86_SEG_DB) != 0, .g = (s->flags & X86_SEG_G) != 0,
        .unusable = (s->flags & X86_SEG_P) == 0,
    };
}

/* kvm_sregs and kvm_sregs2 begin alike, up to apic_base. */
_Static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base),
               "sregs and sregs2 share their first part");

static void sregs_from_kvm(X86CPU *x, const struct kvm_sregs2 *s)
{
    X86CPUState *env = &x->env;

    env->segs[X86_ES] = seg_from_kvm(&s->es);
    env->segs[X86_CS] = seg_from_kvm(&s->cs);
    env->segs[X86_SS] = seg_from_kvm(&s->ss);
    env->segs[X86_DS] = seg_from_kvm(&s->ds);
    env->segs[X86_FS] = seg_from_kvm(&s->fs);
    env->segs[X86_GS] = seg_from_kvm(&s->gs);
    env->ldt = seg_from_kvm(&s->ldt);
    env->tr = seg_from_kvm(&s->tr);
    env->gdt = x86_segment(0, s->gdt.base, s->gdt.limit, 0);
    env->idt = x86_segment(0, s->idt.base, s->idt.limit, 0);
    env->cr[0] = s->cr0;
    env->cr[2] = s->cr2;
    env->cr[3] = s->cr3;
    env->cr[4] = s->cr4;
    env->efer = s->efer;
    x->apic.apicbase = (uint32_t)s->apic_base;
    env->pdptrs_valid = (s->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0;
    memcpy(env->pdptrs, s->pdptrs, sizeof(env->pdptrs));
}

static struct kvm_sregs2 sregs_to_kvm(const X86CPU *x)
{
    const X86CPUState *env = &x->env;
    struct kvm_sregs2 s = {
        .es = seg_to_kvm(&env->segs[X86_ES]), .cs = seg_to_kvm(&env->segs[X86_CS]),
        .ss = seg_to_kvm(&env->segs[X86_SS]), .ds = seg_to_kvm(&env->segs[X86_DS]),
        .fs = seg_to_kvm(&env->segs[X86_FS]), .gs = seg_to_kvm(&env->segs[X86_GS]),
        .ldt = seg_to_kvm(&env->ldt), .tr = seg_to_kvm(&env->tr),
        .gdt = { .base = env->gdt.base, .limit = (uint16_t)env->gdt.limit },
        .idt = { .base = env->idt.base, .limit = (uint16_t)env->idt.limit },
        .cr0 = env->cr[0], .cr2 = env->cr[2], .cr3 = env->cr[3], .cr4 = env->cr[4],
        .cr8 = x->apic.tpr >> 4, .efer = env->efer, .apic_base = x->apic.apicbase,
        .flags = env->pdptrs_valid ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0,
    };

    memcpy(s.pdptrs, env->pdptrs, sizeof(s.pdptrs));
    return s;
}

static bool get_sregs(KvmVcpu *v, GError **errp)
{
    struct kvm_sregs2 s2 = { 0 };
    struct kvm_sregs s;

    if (v->kvm->has_sregs2) {
        if (!kvm_vcpu_ioctl(v, KVM_GET_SREGS2, &s2, "KVM_GET_SREGS2", errp)) {
            return false;
        }
    } else {
        if (!kvm_vcpu_ioctl(v, KVM_GET_SREGS, &s, "KVM_GET_SREGS", errp)) {
            return false;
        }
        memcpy(&s2, &s, offsetof(struct kvm_sregs, interrupt_bitmap));
    }
    sregs_from_kvm(&v->x86, &s2);
    return true;
}

/* KVM does not say which register it is that it minds. */
static bool put_sregs(KvmVcpu *v, GError **errp)
{
    const X86CPUState *env = &v->x86.env;
    struct kvm_sregs2 s2 = sregs_to_kvm(&v->x86);
    struct kvm_sregs s = { 0 };
    int rc;

    memcpy(&s, &s2, offsetof(struct kvm_sregs, interrupt_bitmap));
    rc = v->kvm->has_sregs2 ? kvm_ioctl(v->fd, KVM_SET_SREGS2, &s2)
                            : kvm_ioctl(v->fd, KVM_SET_SREGS, &s);
    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "vCPU %u: KVM_SET_SREGS with "
                             "env.segs (CS flags 0x%x), env.cr[0] 0x%" PRIx64 ", env.cr[3] 0x%"
                             PRIx64 ", env.cr[4] 0x%" PRIx64 ", env.efer 0x%" PRIx64
                             ", apicbase 0x%x", v->cpu->index, env->segs[X86_CS].flags,
                             env->cr[0], env->cr[3], env->cr[4], env->efer,
                             v->x86.apic.apicbase);
    }
    return true;
}

static bool put_debugregs(KvmVcpu *v, GError **errp)
{
    const uint64_t *dr = v->x86.env.dr;
    struct kvm_debugregs d = { .dr6 = dr[6], .dr7 = dr[7] };

    for (int i = 0; i < 4; i++) {
        d.db[i] = dr[i];
    }

    int rc = kvm_ioctl(v->fd, KVM_SET_DEBUGREGS, &d);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "vCPU %u: KVM_SET_DEBUGREGS with "
                             "env.dr[6] 0x%" PRIx64 ", env.dr[7] 0x%" PRIx64, v->cpu->index,
                             dr[6], dr[7]);
    }
    return true;
}

bool kvm_get_regs(KvmVcpu *v, GError **errp)
{
    X86CPUState *env = &v->x86.env;
    struct kvm_regs r;
    struct kvm_debugregs d = { 0 };

    if (!kvm_vcpu_ioctl(v, KVM_GET_REGS, &r, "KVM_GET_REGS", errp) || !get_sregs(v, errp) ||
        !kvm_vcpu_ioctl(v, KVM_GET_DEBUGREGS, &d, "KVM_GET_DEBUGREGS", errp)) {
        return false;
    }
    regs_from_kvm(env, &r);
    for (int i = 0; i < 4; i++) {
        env->dr[i] = d.db[i];
    }
    env->dr[4] = env->dr[6] = d.dr6;
    env->dr[5] = env->dr[7] = d.dr7;
    env->hflags = x86_cpu_compute_hflags(env);
    return true;
}

bool kvm_put_regs(KvmVcpu *v, GError **errp)
{
    struct kvm_regs r = regs_to_kvm(&v->x86.env);

    return put_sregs(v, errp) &&
           kvm_vcpu_ioctl(v, KVM_SET_REGS, &r, "KVM_SET_REGS (env.regs, env.eip, env.eflags)",
                          errp) && put_debugregs(v, errp);
}

bool kvm_get_events(KvmVcpu *v, GError **errp)
{
    X86CPUState *env = &v->x86.env;
    struct kvm_vcpu_events e = { 0 };

    if (!kvm_vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &e, "KVM_GET_VCPU_EVENTS", errp)) {
        return false;
    }
    if ((e.flags & KVM_VCPUEVENT_VALID_SMM) && e.smi.smm) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u is in system management mode, which "
                       "is not migrated; try again", v->cpu->index);
    }
    env->exception_nr = e.exception.injected ? e.exception.nr : -1;
    env->exception_injected = e.exception.injected;
    env->exception_pending = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->has_error_code = e.exception.has_error_code;
    env->error_code = e.exception.has_error_code ? (int32_t)e.exception.error_code : 0;
    env->interrupt_injected = e.interrupt.injected ? e.interrupt.nr : -1;
    env->soft_interrupt = e.interrupt.soft;
    env->nmi_injected = e.nmi.injected;
    env->nmi_pending = e.nmi.pending;
    env->hflags2 = e.nmi.masked ? env->hflags2 | X86_HFLAGS2_NMI_MASKED
                                : env->hflags2 & ~X86_HFLAGS2_NMI_MASKED;
    env->hflags = e.interrupt.shadow ? env->hflags | X86_HFLAGS_INHIBIT_IRQ
                                     : env->hflags & ~X86_HFLAGS_INHIBIT_IRQ;
    env->sipi_vector = e.sipi_vector;
    env->triple_fault_pending = v->kvm->has_triple_fault && e.triple_fault.pending;
    return true;
}

bool kvm_put_events(KvmVcpu *v, GError **errp)
{
    const X86CPUState *env = &v->x86.env;
    struct kvm_vcpu_events e = {
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
                 KVM_VCPUEVENT_VALID_SHADOW,
        .exception = {
            .injected = env->exception_nr >= 0,
            .nr = env->exception_nr >= 0 ? env->exception_nr : 0,
            .has_error_code = env->exception_nr >= 0 && env->has_error_code,
            .error_code = (uint32_t)env->error_code,
        },
        .interrupt = {
            .injected = env->interrupt_injected >= 0,
            .nr = env->interrupt_injected >= 0 ? env->interrupt_injected : 0,
            .soft = env->soft_interrupt,
            /* STI and MOV SS alike on the wire; the shadow of MOV SS is the wider one. */
            .shadow = env->hflags & X86_HFLAGS_INHIBIT_IRQ
                          ? KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS : 0,
        },
        .nmi = {
            .injected = env->nmi_injected, .pending = env->nmi_pending,
            .masked = (env->hflags2 & X86_HFLAGS2_NMI_MASKED) != 0,
        },
        .sipi_vector = env->sipi_vector,
    };

    if (v->kvm->has_triple_fault) {
        e.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
        e.triple_fault.pending = env->triple_fault_pending;
    } else if (env->triple_fault_pending) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u has a triple fault pending "
                       "(env.triple_fault_pending), which this "
                       "kernel's KVM cannot be told", v->cpu->index);
    }
    return kvm_vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS (env.exception_nr, "
                          "env.interrupt_injected, env.nmi_pending)", errp);
}

bool kvm_get_mp_state(KvmVcpu *v, GError **errp)
{
    struct kvm_mp_state s;

    if (!kvm_vcpu_ioctl(v, KVM_GET_MP_STATE, &s, "KVM_GET_MP_STATE", errp)) {
        return false;
    }
    v->x86.env.mp_state = s.mp_state;
    v->x86.halted = s.mp_state == KVM_MP_STATE_HALTED;
    return true;
}

bool kvm_put_mp_state(KvmVcpu *v, GError **errp)
{
    struct kvm_mp_state s = { .mp_state = v->x86.env.mp_state };

    int rc = kvm_ioctl(v->fd, KVM_SET_MP_STATE, &s);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "vCPU %u: KVM_SET_MP_STATE with "
                             "env.mp_state %u", v->cpu->index, s.mp_state);
    }
    return true;
}
