/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC: section `apic` v3 with its subsection `apic_sipi` (spec minimal-machines 6.3),
 * and the way between its fields and KVM's register page. Machine lock.
 *
 * The timer: KVM has the count that is left, the section has points of the virtual clock. QEMU
 * under KVM always writes "just loaded"; ours say when the count was really loaded, which every
 * reader may take or leave: initial_count_load_time + (initial_count << count_shift) is the expiry
 * in both.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"

enum {
    APIC_ID = 0x20, APIC_TPR = 0x80, APIC_ARB = 0x90, APIC_LDR = 0xd0, APIC_DFR = 0xe0,
    APIC_SVR = 0xf0, APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_IRR = 0x200, APIC_ESR = 0x280,
    APIC_ICR = 0x300, APIC_LVT = 0x320, APIC_TMICT = 0x380, APIC_TMCCT = 0x390, APIC_TDCR = 0x3e0,
};

#define BASE_ENABLED  0x800u
#define BASE_X2APIC   0x400u
#define BASE_RESERVED 0x2ffu

#define LVT_TIMER_MODE(lvt) ((lvt) >> 17 & 3)
enum { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

static uint32_t get_reg(const struct kvm_lapic_state *page, unsigned reg)
{
    uint32_t v;

    memcpy(&v, page->regs + reg, sizeof(v));
    return v;
}

static void set_reg(struct kvm_lapic_state *page, unsigned reg, uint32_t v)
{
    memcpy(page->regs + reg, &v, sizeof(v));
}

/* Bits 0, 1 and 3 of the divide configuration: 0 is a divider of 2, 7 of 1. */
static int shift_of(uint32_t divide_conf)
{
    return ((divide_conf & 3) + (divide_conf >> 1 & 4) + 1) & 7;
}

void x86_apic_from_page(X86Apic *a, const struct kvm_lapic_state *page, uint64_t apicbase,
                        int64_t now)
{
    uint32_t left = get_reg(page, APIC_TMCCT);

    a->apicbase = (uint32_t)apicbase;
    a->id = get_reg(page, APIC_ID) >> 24;
    a->arb_id = get_reg(page, APIC_ARB) >> 24;
    a->tpr = get_reg(page, APIC_TPR);
    a->spurious_vec = get_reg(page, APIC_SVR);
    a->log_dest = get_reg(page, APIC_LDR) >> 24;
    a->dest_mode = get_reg(page, APIC_DFR) >> 28;
    for (int i = 0; i < 8; i++) {
        a->isr[i] = get_reg(page, APIC_ISR + i * 16);
        a->tmr[i] = get_reg(page, APIC_TMR + i * 16);
        a->irr[i] = get_reg(page, APIC_IRR + i * 16);
    }
    for (int i = 0; i < 6; i++) {
        a->lvt[i] = get_reg(page, APIC_LVT + i * 16);
    }
    a->esr = get_reg(page, APIC_ESR);
    a->icr[0] = get_reg(page, APIC_ICR);
    a->icr[1] = get_reg(page, APIC_ICR + 16);
    a->divide_conf = get_reg(page, APIC_TDCR);
    a->count_shift = shift_of(a->divide_conf);
    a->initial_count = get_reg(page, APIC_TMICT);
    left = MIN(left, a->initial_count);
    a->initial_count_load_time = now - ((int64_t)(a->initial_count - left) << a->count_shift);
    a->timer_expiry = -1;
    a->next_time = 0;
    if (left && LVT_TIMER_MODE(a->lvt[0]) != TIMER_TSC_DEADLINE) {
        a->timer_expiry = a->next_time = now + ((int64_t)left << a->count_shift);
    }
}

/* What is left of the count. 0 makes KVM fire a one-shot timer at once, and a periodic one after a
 * full period. */
static uint32_t count_left(const X86Apic *a, int64_t now)
{
    int shift = shift_of(a->divide_conf);
    int64_t period = (int64_t)a->initial_count << shift;
    /* Wire values: any number. Arithmetic without a sign does not overflow. */
    uint64_t left = (uint64_t)a->initial_count_load_time + (uint64_t)period - (uint64_t)now;

    if (a->initial_count == 0 || (int64_t)left > period) {
        return a->initial_count;
    }
    if ((int64_t)left <= 0) {
        if (LVT_TIMER_MODE(a->lvt[0]) != TIMER_PERIODIC) {
            return 0;
        }
        left = period - (0 - left) % (uint64_t)period;
    }
    return (uint32_t)(left >> shift);
}

void x86_apic_to_page(const X86Apic *a, struct kvm_lapic_state *page, int64_t now)
{
    set_reg(page, APIC_ID, (uint32_t)a->id << 24);
    set_reg(page, APIC_ARB, (uint32_t)a->arb_id << 24);
    set_reg(page, APIC_TPR, a->tpr);
    set_reg(page, APIC_SVR, a->spurious_vec);
    set_reg(page, APIC_LDR, (uint32_t)a->log_dest << 24);
    set_reg(page, APIC_DFR, (uint32_t)a->dest_mode << 28 | 0x0fffffff);
    for (int i = 0; i < 8; i++) {
        set_reg(page, APIC_ISR + i * 16, a->isr[i]);
        set_reg(page, APIC_TMR + i * 16, a->tmr[i]);
        set_reg(page, APIC_IRR + i * 16, a->irr[i]);
    }
    for (int i = 0; i < 6; i++) {
        set_reg(page, APIC_LVT + i * 16, a->lvt[i]);
    }
    set_reg(page, APIC_ESR, a->esr);
    set_reg(page, APIC_ICR, a->icr[0]);
    set_reg(page, APIC_ICR + 16, a->icr[1]);
    set_reg(page, APIC_TDCR, a->divide_conf);
    set_reg(page, APIC_TMICT, a->initial_count);
    set_reg(page, APIC_TMCCT, count_left(a, now));
}

static bool apic_pre_save(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    return !x->fetch || x->fetch(x, X86_PART_APIC, errp);
}

static bool apic_pre_load(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    x->apic.sipi_vector = x->apic.wait_for_sipi = 0;
    return true;
}

static bool apic_post_load(void *opaque, int version_id, GError **errp)
{
    X86CPU *x = opaque;

    if (x->apic.dest_mode > 0xf) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "dest_mode: 0x%x has more than four bits",
                       x->apic.dest_mode);
    }
    if (x->apic.apicbase & BASE_RESERVED ||
        (x->apic.apicbase & BASE_X2APIC && !(x->apic.apicbase & BASE_ENABLED))) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "apicbase: 0x%x is no value of that register",
                       (unsigned)x->apic.apicbase);
    }
    x->apic.count_shift = shift_of(x->apic.divide_conf);
    x->dirty = true;
    x->pushed = false;
    return true;
}

static bool apic_apply(void *opaque, GError **errp)
{
    X86CPU *x = opaque;

    return !x->push || x->push(x, X86_PART_APIC, errp);
}

static bool sipi_needed(void *opaque)
{
    return ((X86CPU *)opaque)->apic.wait_for_sipi != 0;
}

/* The names on the wire are bare: a member of a struct of its own would read the same. */
#define A32(F) { .name = #F, .kind = VMS_U32, .offset = offsetof(X86CPU, apic.F), .size = 4 }
#define A8(F) { .name = #F, .kind = VMS_U8, .offset = offsetof(X86CPU, apic.F), .size = 1 }
#define AI32(F) { .name = #F, .kind = VMS_I32, .offset = offsetof(X86CPU, apic.F), .size = 4 }
#define AI64(F) { .name = #F, .kind = VMS_I64, .offset = offsetof(X86CPU, apic.F), .size = 8 }
#define A32N(F, N) \
    { .name = #F, .kind = VMS_U32, .flags = VMS_F_ARRAY, .num = (N), .size = 4, \
      .offset = offsetof(X86CPU, apic.F) }

static const VMStateField sipi_fields[] = { AI32(sipi_vector), AI32(wait_for_sipi), VMSTATE_END };

static const VMStateDescription vmstate_sipi = {
    .name = "apic_sipi",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sipi_needed,
    .fields = sipi_fields,
};

static const VMStateDescription *const apic_subsections[] = { &vmstate_sipi, NULL };

static const VMStateField apic_fields[] = {
    A32(apicbase), A8(id), A8(arb_id), A8(tpr), A32(spurious_vec), A8(log_dest), A8(dest_mode),
    A32N(isr, 8), A32N(tmr, 8), A32N(irr, 8), A32N(lvt, 6), A32(esr), A32N(icr, 2),
    A32(divide_conf), AI32(count_shift), A32(initial_count), AI64(initial_count_load_time),
    AI64(next_time), AI64(timer_expiry), VMSTATE_END,
};

const VMStateDescription vmstate_x86_apic = {
    .name = "apic",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_save = apic_pre_save,
    .pre_load = apic_pre_load,
    .post_load = apic_post_load,
    .apply = apic_apply,
    .fields = apic_fields,
    .subsections = apic_subsections,
};
