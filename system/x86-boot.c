/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry states of the boot methods; see x86-boot.h. Machine lock, guest stopped. */
#include "x86-boot.h"

#include "accel.h"
#include "x86-cpu.h"

static X86CPU *registers(VCPU *cpu)
{
    return cpu->machine->accel == &accel_kvm ? cpu->arch : NULL;
}

static bool push(X86CPU *x)
{
    x->env.hflags = x86_cpu_compute_hflags(&x->env);
    x->env.mp_state = X86_MP_RUNNABLE;
    x->halted = 0;
    x->dirty = true;
    return !x->push || x->push(x, X86_PART_ALL, NULL);
}

bool x86_set_pvh_entry(VCPU *cpu, uint32_t eip, uint32_t ebx)
{
    X86CPU *x = registers(cpu);
    const uint32_t flat = X86_SEG_P | X86_SEG_S | X86_SEG_DB | X86_SEG_G;

    if (!x) {
        return true;
    }
    for (int i = 0; i < X86_NB_SEGS; i++) {
        x->env.segs[i] = x86_segment(0x10, 0, UINT32_MAX, flat | X86_SEG_TYPE(3));
    }
    x->env.segs[X86_CS] = x86_segment(0x08, 0, UINT32_MAX, flat | X86_SEG_TYPE(11));
    x->env.cr[0] = X86_CR0_PE | X86_CR0_ET;
    x->env.cr[4] = 0;
    x->env.efer = 0;
    x->env.eflags = X86_EFLAGS_RESERVED;
    x->env.eip = eip;
    x->env.regs[X86_RBX] = ebx;
    return push(x);
}

bool x86_set_linux_entry(VCPU *cpu, const X86LinuxEntry *at)
{
    X86CPU *x = registers(cpu);
    const uint32_t flat = X86_SEG_P | X86_SEG_S | X86_SEG_G;

    if (!x) {
        return true;
    }
    for (int i = 0; i < X86_NB_SEGS; i++) {
        x->env.segs[i] = x86_segment(X86_LINUX_DS, 0, UINT32_MAX,
                                     flat | X86_SEG_DB | X86_SEG_TYPE(3));
    }
    x->env.segs[X86_CS] = x86_segment(X86_LINUX_CS, 0, UINT32_MAX,
                                      flat | X86_SEG_L | X86_SEG_TYPE(11));
    x->env.gdt = x86_segment(0, at->gdt, at->gdt_limit, 0);
    x->env.cr[0] = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
    x->env.cr[3] = at->page_table;
    x->env.cr[4] = X86_CR4_PAE;
    x->env.efer = X86_EFER_LME | X86_EFER_LMA;
    x->env.eflags = X86_EFLAGS_RESERVED;
    x->env.eip = at->rip;
    x->env.regs[X86_RSI] = at->boot_params;
    return push(x);
}

bool x86_set_realmode_entry(VCPU *cpu, uint16_t cs, uint16_t ip)
{
    X86CPU *x = registers(cpu);

    if (!x) {
        return true;
    }
    x->env.segs[X86_CS] = x86_segment(cs, (uint32_t)cs << 4, 0xffff,
                                      X86_SEG_P | X86_SEG_S | X86_SEG_TYPE(11));
    x->env.cr[0] = X86_CR0_ET;
    x->env.eflags = X86_EFLAGS_RESERVED;
    x->env.eip = ip;
    x->env.regs[X86_RDX] = 0x80;
    return push(x);
}
