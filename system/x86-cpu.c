/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x86 register file: its state after RESET (Intel SDM volume 3, table 9-1) and the mode bits
 * that the wire caches. No thread or lock of its own; see x86-cpu.h.
 */
#include "x86-cpu.h"

#include <string.h>

#define X86_PAT_RESET 0x0007040600070406ULL
#define X86_DR6_RESET 0xffff0ff0ULL
#define X86_DR7_RESET 0x400ULL
#define X86_APIC_BASE 0xfee00000U
#define X86_APIC_ENABLED (1U << 11)
#define X86_APIC_BSP (1U << 8)
#define X86_LVT_MASKED 0x10000U
/* What the wire has in hflags2 of every guest without nested virtualization. */
#define X86_HFLAGS2_RESET 0x101U

X86Segment x86_segment(uint16_t selector, uint64_t base, uint32_t limit, uint32_t flags)
{
    return (X86Segment){ .selector = selector, .base = base, .limit = limit, .flags = flags };
}

/*
 * Bits 0-1 CPL, 4 and 5 32-bit code and stack, 6 a segment base counts, 7 PE, 8 TF, 9-11 CR0's MP,
 * EM, TS, 12-13 IOPL, 14 long mode, 15 64-bit code, 17 virtual 8086, 22 OSFXSR.
 */
uint32_t x86_cpu_compute_hflags(const X86CPUState *env)
{
    const X86Segment *ss = &env->segs[X86_SS], *cs = &env->segs[X86_CS];
    uint32_t h = (ss->flags >> X86_SEG_DPL_SHIFT) & 3;
    bool based;

    h |= (env->cr[0] & (X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)) << 8;
    h |= env->eflags & ((1U << 8) | (3U << 12) | X86_EFLAGS_VM);
    h |= env->cr[4] & X86_CR4_OSFXSR ? 1U << 22 : 0;
    if (!(env->cr[0] & X86_CR0_PE)) {
        return h | 1U << 6;
    }
    h |= 1U << 7;
    if (env->efer & X86_EFER_LMA) {
        h |= 1U << 14;
    }
    if ((h & 1U << 14) && (cs->flags & X86_SEG_L)) {
        return h | 1U << 15 | 1U << 4 | 1U << 5;
    }
    h |= cs->flags & X86_SEG_DB ? 1U << 4 : 0;
    h |= ss->flags & X86_SEG_DB ? 1U << 5 : 0;
    based = env->segs[X86_DS].base || env->segs[X86_ES].base || ss->base;
    if ((env->eflags & X86_EFLAGS_VM) || !(cs->flags & X86_SEG_DB) || based) {
        h |= 1U << 6;
    }
    return h;
}

static void reset_apic(X86CPU *x)
{
    X86Apic *a = &x->apic;

    memset(a, 0, sizeof(*a));
    a->apicbase = X86_APIC_BASE | X86_APIC_ENABLED | (x->index == 0 ? X86_APIC_BSP : 0);
    a->id = x->index;
    a->spurious_vec = 0xff;
    a->dest_mode = 0xf;
    for (int i = 0; i < 6; i++) {
        a->lvt[i] = X86_LVT_MASKED;
    }
    a->count_shift = 1;
    a->timer_expiry = -1;
}

static void reset_segments(X86CPUState *env)
{
    const uint32_t data = X86_SEG_P | X86_SEG_S | X86_SEG_TYPE(3);

    for (int i = 0; i < X86_NB_SEGS; i++) {
        env->segs[i] = x86_segment(0, 0, 0xffff, data);
    }
    env->segs[X86_CS] = x86_segment(0xf000, 0xffff0000, 0xffff,
                                    X86_SEG_P | X86_SEG_S | X86_SEG_TYPE(11));
    env->ldt = x86_segment(0, 0, 0xffff, X86_SEG_P | X86_SEG_TYPE(2));
    env->tr = x86_segment(0, 0, 0xffff, X86_SEG_P | X86_SEG_TYPE(11));
    env->gdt = x86_segment(0, 0, 0xffff, 0);
    env->idt = x86_segment(0, 0, 0xffff, 0);
}

static void reset_fpu(X86CPUState *env)
{
    env->fpuc = 0x37f;
    env->mxcsr = 0x1f80;
    env->xcr0 = 1;
}

void x86_cpu_reset(X86CPU *x)
{
    X86CPUState *env = &x->env;
    int64_t tsc_khz = env->tsc_khz;
    uint64_t mcg_cap = env->mcg_cap;

    memset(env, 0, sizeof(*env));
    env->tsc_khz = tsc_khz;
    env->mcg_cap = mcg_cap;
    env->eip = 0xfff0;
    env->eflags = X86_EFLAGS_RESERVED;
    env->cr[0] = X86_CR0_ET | (1U << 29) | (1U << 30); /* caches off */
    env->dr[6] = env->dr[4] = X86_DR6_RESET;
    env->dr[7] = env->dr[5] = X86_DR7_RESET;
    reset_segments(env);
    reset_fpu(env);
    env->a20_mask = -1;
    env->smbase = 0x30000;
    env->pat = X86_PAT_RESET;
    env->hflags2 = X86_HFLAGS2_RESET;
    env->hflags = x86_cpu_compute_hflags(env);
    env->interrupt_injected = env->exception_nr = -1;
    env->mp_state = x->index == 0 ? X86_MP_RUNNABLE : X86_MP_UNINITIALIZED;
    env->poll_control_msr = 1;
    env->msr_ia32_misc_enable = 1;
    if (mcg_cap) {
        env->mcg_ctl = UINT64_MAX;
        for (int i = 0; i < X86_MCE_BANKS; i++) {
            env->mce_banks[i * 4] = UINT64_MAX;
        }
    }
    reset_apic(x);
    x->halted = x->index != 0;
    x->interrupt_request = 0;
    x->exception_index = -1;
    x->crash_occurred = false;
    x->dirty = x->tsc_dirty = true;
    x->pushed = x->cpu_loaded = false;
}
