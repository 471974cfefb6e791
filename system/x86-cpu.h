/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * X86CPU: the register file of one x86 vCPU in the form in which it migrates. `VCPU.arch` points to
 * it under the accelerator kvm. The names inside `env` are those of the wire's self-description,
 * so that a stream of ours reads like any other in QEMU's analysis tools.
 *
 * Guarded by the machine lock; touched while the guest is stopped only. Who wants to look calls
 * AccelOps.vcpu_get_state first, who changes something calls vcpu_put_state after.
 * Wire: sections `cpu`, `cpu_common`, `apic` (spec minimal-machines 6.3).
 */
#ifndef SYSTEM_X86_CPU_H
#define SYSTEM_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/vmstate.h"

struct VCPU;

enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI, X86_NB_REGS = 16 };
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_NB_SEGS };

#define X86_CR0_PE (1U << 0)
#define X86_CR0_MP (1U << 1)
#define X86_CR0_EM (1U << 2)
#define X86_CR0_TS (1U << 3)
#define X86_CR0_ET (1U << 4)
#define X86_CR0_PG (1U << 31)
#define X86_CR4_PAE (1U << 5)
#define X86_CR4_OSFXSR (1U << 9)
#define X86_EFER_LME (1U << 8)
#define X86_EFER_LMA (1U << 10)
#define X86_EFLAGS_RESERVED (1U << 1)
#define X86_EFLAGS_VM (1U << 17)

/* Bits 8..23 of a descriptor's second word, in place. */
#define X86_SEG_TYPE(t) ((uint32_t)(t) << 8)
#define X86_SEG_S (1U << 12)
#define X86_SEG_DPL_SHIFT 13
#define X86_SEG_P (1U << 15)
#define X86_SEG_AVL (1U << 20)
#define X86_SEG_L (1U << 21)
#define X86_SEG_DB (1U << 22)
#define X86_SEG_G (1U << 23)

/* mp_state has KVM's numbers on the wire. */
enum { X86_MP_RUNNABLE = 0, X86_MP_UNINITIALIZED = 1, X86_MP_HALTED = 3 };

typedef struct X86Segment {
    uint32_t selector;
    uint64_t base;
    uint32_t limit; /* bytes, expanded by G */
    uint32_t flags; /* X86_SEG_* */
} X86Segment;

typedef struct X86FpReg {
    uint64_t mant;
    uint16_t exp; /* with the sign */
} X86FpReg;

typedef struct X86ZmmReg {
    uint64_t _q_ZMMReg[8]; /* lowest first */
} X86ZmmReg;

typedef struct X86MtrrVar {
    uint64_t base, mask;
} X86MtrrVar;

typedef struct X86BndReg {
    uint64_t lb, ub;
} X86BndReg;

#define X86_MCE_BANKS 10
#define X86_PMC_FIXED 3
#define X86_PMC_GP 18

/* In the order of the `cpu` section, then the subsections'. */
typedef struct X86CPUState {
    uint64_t regs[X86_NB_REGS];
    uint64_t eip;
    uint64_t eflags;
    uint32_t hflags;      /* x86_cpu_compute_hflags() plus the interrupt shadow */
    uint16_t fpuc;
    uint16_t fpus_vmstate;
    uint16_t fptag_vmstate; /* abridged: 1 = valid */
    uint16_t fpregs_format_vmstate;
    X86FpReg fpregs[8];   /* ST0 first */
    X86Segment segs[X86_NB_SEGS];
    X86Segment ldt, tr, gdt, idt;
    uint32_t sysenter_cs;
    uint64_t sysenter_esp, sysenter_eip;
    uint64_t cr[5];
    uint64_t dr[8];
    int32_t a20_mask;
    uint32_t mxcsr;
    X86ZmmReg xmm_regs[32];
    uint64_t efer, star, lstar, cstar, fmask, kernelgsbase;
    uint32_t smbase;
    uint64_t pat;
    uint32_t hflags2;
    uint64_t vm_hsave, vm_vmcb, tsc_offset, intercept;
    uint16_t intercept_cr_read, intercept_cr_write, intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint8_t v_tpr;
    uint64_t mtrr_fixed[11];
    uint64_t mtrr_deftype;
    X86MtrrVar mtrr_var[8];
    int32_t interrupt_injected; /* vector, -1: none */
    uint32_t mp_state;
    uint64_t tsc;
    int32_t exception_nr;       /* vector, -1: none */
    uint8_t soft_interrupt, nmi_injected, nmi_pending, has_error_code;
    uint32_t sipi_vector;
    uint64_t mcg_cap, mcg_status, mcg_ctl;
    uint64_t mce_banks[X86_MCE_BANKS * 4];
    uint64_t tsc_aux;
    uint64_t system_time_msr, wall_clock_msr;
    uint64_t xcr0;
    uint64_t xstate_bv;

    uint8_t exception_pending, exception_injected, exception_has_payload;
    uint64_t exception_payload;
    int32_t error_code;
    uint64_t async_pf_en_msr, async_pf_int_msr, pv_eoi_en_msr, steal_time_msr, poll_control_msr;
    uint16_t fpop;
    uint64_t fpip, fpdp;
    uint64_t tsc_adjust, tsc_deadline;
    uint64_t msr_ia32_misc_enable, msr_ia32_feature_control;
    uint64_t msr_fixed_ctr_ctrl, msr_global_ctrl, msr_global_status, msr_global_ovf_ctrl;
    uint64_t msr_fixed_counters[X86_PMC_FIXED];
    uint64_t msr_gp_counters[X86_PMC_GP], msr_gp_evtsel[X86_PMC_GP];
    X86BndReg bnd_regs[4];
    uint64_t bndcs_cfgu, bndcs_sts, msr_bndcfgs;
    uint64_t opmask_regs[8];
    uint64_t xss;
    uint32_t umwait;
    int64_t tsc_khz;            /* 0: not known */
    uint64_t msr_smi_count;
    uint32_t pkru, pkrs;
    uint64_t spec_ctrl, virt_ssbd;
    uint64_t mcg_ext_ctl;
    uint32_t tsx_ctrl;
    uint8_t pdptrs_valid;       /* a bool on this side */
    uint64_t pdptrs[4];
    uint64_t msr_xfd, msr_xfd_err;
    uint64_t msr_hwcr;
    uint8_t triple_fault_pending;
} X86CPUState;

/* The local APIC in the fields of the `apic` section. Times are virtual clock ns. */
typedef struct X86Apic {
    uint32_t apicbase;
    uint8_t id, arb_id, tpr;
    uint32_t spurious_vec;
    uint8_t log_dest, dest_mode;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[6];           /* timer, thermal, performance, LINT0, LINT1, error */
    uint32_t esr;
    uint32_t icr[2];
    uint32_t divide_conf;
    int32_t count_shift;       /* log2 of the divider, from divide_conf */
    uint32_t initial_count;
    int64_t initial_count_load_time;
    int64_t next_time;
    int64_t timer_expiry;      /* -1: not armed */
    int32_t sipi_vector, wait_for_sipi; /* only of accelerators that emulate the APIC */
} X86Apic;

/* What a section needs of the accelerator: three sections share one vCPU. */
typedef enum X86Part {
    X86_PART_ALL,
    X86_PART_APIC,
    X86_PART_HALTED, /* mp_state and its mirror `halted` */
} X86Part;

typedef struct X86CPU X86CPU;
struct X86CPU {
    struct VCPU *cpu;          /* NULL in tests without an accelerator */
    unsigned index;
    uint32_t halted;           /* cpu_common; under KVM a mirror of mp_state */
    uint32_t interrupt_request;
    int32_t exception_index;
    bool crash_occurred;
    X86CPUState env;
    X86Apic apic;
    /* What is here is newer than what the accelerator has; see kvm-state.c. */
    bool dirty;
    /* The accelerator was given all of it, but for what runs by itself from the start on. Taken
     * back by whoever changes what is here. */
    bool pushed;
    bool cpu_loaded;           /* the section `cpu` was pushed since the guest last ran */
    /* The time stamp counter is to be set at the next start: after a reset or a load. */
    bool tsc_dirty;
    /* Hooks of the accelerator, NULL in tests: fetch before saving, push after loading. */
    bool (*fetch)(X86CPU *x, X86Part part, GError **errp);
    bool (*push)(X86CPU *x, X86Part part, GError **errp);
};

/* The state after RESET: real mode at f000:fff0. Every vCPU but the first (index 0) waits for SIPI.
 * Leaves the identity (index, hooks, tsc_khz, mcg_cap) alone. */
void x86_cpu_reset(X86CPU *x);
/* A flat or real mode segment: the base and flags as given. */
X86Segment x86_segment(uint16_t selector, uint64_t base, uint32_t limit, uint32_t flags);
/* The wire's cached mode bits: privilege level, code and stack width, protection, long mode. */
uint32_t x86_cpu_compute_hflags(const X86CPUState *env);
/* Interrupt shadow (STI, MOV SS) and NMI masking live in hflags and hflags2 on the wire. */
#define X86_HFLAGS_INHIBIT_IRQ (1U << 3)
#define X86_HFLAGS2_NMI_MASKED (1U << 2)
#define X86_HFLAGS_SMM (1U << 19)

extern const VMStateDescription vmstate_x86_cpu;        /* `cpu`, opaque X86CPU */
extern const VMStateDescription vmstate_x86_cpu_common; /* `cpu_common`, opaque X86CPU */
extern const VMStateDescription vmstate_x86_apic;       /* `apic`, opaque X86CPU */
/* Private to the three above: the NULL-terminated lists of subsections. */
extern const VMStateDescription *const x86_cpu_subsections[];

#endif
