/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupt chips inside KVM: creation, routing, and their sections `ioapic` v3 and `i8259` v1
 * (spec minimal-machines 6.3).
 *
 * Machine lock; lines are kvm-lines.c's. What a load brings stays in KvmState (`chips_dirty`) until
 * the guest starts: an I/O APIC that is handed a pending request delivers it to the local APICs at
 * once, so these must be there before, and sections come in any order.
 */
#include "kvm.h"

#include "error.h"

#define IOAPIC_MASKED (1U << 16)
#define ISA_IRQS 16
/* The timer's line reaches the I/O APIC at pin 2, where the 8259s are cascaded otherwise. */
#define IOAPIC_TIMER_PIN 2

static const uint8_t elcr_mask[2] = { 0xf8, 0xde }; /* lines that can be level triggered */

static void add_route(struct kvm_irq_routing *r, unsigned gsi, unsigned chip, unsigned pin)
{
    r->entries[r->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { chip, pin },
    };
}

static bool set_routing(KvmState *k, GError **errp)
{
    unsigned n = KVM_IOAPIC_PINS + ISA_IRQS;
    g_autofree struct kvm_irq_routing *r =
        g_malloc0(sizeof(*r) + n * sizeof(struct kvm_irq_routing_entry));

    for (unsigned i = 0; k->has_pic && i < ISA_IRQS; i++) {
        add_route(r, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, i % 8);
    }
    for (unsigned i = 0; i < KVM_IOAPIC_PINS; i++) {
        if (i != IOAPIC_TIMER_PIN) {
            add_route(r, i, KVM_IRQCHIP_IOAPIC, i == 0 ? IOAPIC_TIMER_PIN : i);
        }
    }

    int rc = kvm_ioctl(k->vm_fd, KVM_SET_GSI_ROUTING, r);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_SET_GSI_ROUTING");
    }
    return true;
}

bool kvm_irqchip_create(KvmState *k, GError **errp)
{
    const MachineConfig *c = k->machine->config;
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    int rc = kvm_ioctl(k->vm_fd, KVM_CREATE_IRQCHIP, NULL);

    k->has_pic = machine_config_prop_bool(c, "pic", true);
    k->has_pit = machine_config_prop_bool(c, "pit", true);
    k->has_ioapic2 = machine_config_prop_bool(c, "ioapic2",
                                              machine_config_prop_bool(c, "acpi", true));
    k->ioapic.kvm = k->ioapic2.kvm = k->pic[0].kvm = k->pic[1].kvm = k->pit.kvm = k;
    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_CREATE_IRQCHIP");
    }
    if (!set_routing(k, errp)) {
        return false;
    }
    if (k->has_pit) {
        if (!kvm_check_cap(k, KVM_CAP_PIT_STATE2)) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                           "this kernel's KVM lacks KVM_CAP_PIT_STATE2; use -machine pit=off");
        }
        rc = kvm_ioctl(k->vm_fd, KVM_CREATE_PIT2, &pit);
        if (rc < 0) {
            return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_CREATE_PIT2");
        }
    }
    return true;
}

void kvm_ioapic_reset(KvmIoapic *io)
{
    io->id = io->ioregsel = 0;
    io->irr = 0;
    for (int i = 0; i < KVM_IOAPIC_PINS; i++) {
        io->ioredtbl[i] = IOAPIC_MASKED;
    }
}

/* KvmState is the truth from here to the next start. */
static void chips_changed(KvmState *k)
{
    k->chips_dirty = true;
    kvm_lines_hold(k);
}

void kvm_irqchip_reset(KvmState *k)
{
    kvm_ioapic_reset(&k->ioapic);
    kvm_ioapic_reset(&k->ioapic2);
    for (int i = 0; i < 2; i++) {
        k->pic[i] = (KvmPic){ .kvm = k };
    }
    kvm_pit_reset(&k->pit);
    chips_changed(k);
}

static bool chip_ioctl(KvmState *k, unsigned long request, unsigned id, struct kvm_irqchip *chip,
                       GError **errp)
{
    chip->chip_id = id;

    int rc = kvm_ioctl(k->vm_fd, request, chip);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "%s of chip %u",
                             request == KVM_GET_IRQCHIP ? "KVM_GET_IRQCHIP" : "KVM_SET_IRQCHIP",
                             id);
    }
    return true;
}

static void pic_from_kvm(KvmPic *p, const struct kvm_pic_state *s)
{
    *p = (KvmPic){
        .kvm = p->kvm,
        .last_irr = s->last_irr, .irr = s->irr, .imr = s->imr, .isr = s->isr,
        .priority_add = s->priority_add, .irq_base = s->irq_base,
        .read_reg_select = s->read_reg_select, .poll = s->poll, .special_mask = s->special_mask,
        .init_state = s->init_state, .auto_eoi = s->auto_eoi,
        .rotate_on_auto_eoi = s->rotate_on_auto_eoi,
        .special_fully_nested_mode = s->special_fully_nested_mode, .init4 = s->init4,
        .elcr = s->elcr,
    };
}

static void pic_to_kvm(const KvmPic *p, struct kvm_pic_state *s, uint8_t mask)
{
    *s = (struct kvm_pic_state){
        .last_irr = p->last_irr, .irr = p->irr, .imr = p->imr, .isr = p->isr,
        .priority_add = p->priority_add, .irq_base = p->irq_base,
        .read_reg_select = p->read_reg_select, .poll = p->poll, .special_mask = p->special_mask,
        .init_state = p->init_state, .auto_eoi = p->auto_eoi,
        .rotate_on_auto_eoi = p->rotate_on_auto_eoi,
        .special_fully_nested_mode = p->special_fully_nested_mode, .init4 = p->init4,
        .elcr = p->elcr & mask, .elcr_mask = mask,
    };
}

bool kvm_irqchip_fetch(KvmState *k, GError **errp)
{
    struct kvm_irqchip chip = { 0 };

    if (k->chips_dirty) {
        return true;
    }
    if (!chip_ioctl(k, KVM_GET_IRQCHIP, KVM_IRQCHIP_IOAPIC, &chip, errp)) {
        return false;
    }
    k->ioapic.id = chip.chip.ioapic.id;
    k->ioapic.ioregsel = chip.chip.ioapic.ioregsel;
    k->ioapic.irr = chip.chip.ioapic.irr;
    for (int i = 0; i < KVM_IOAPIC_PINS; i++) {
        k->ioapic.ioredtbl[i] = chip.chip.ioapic.redirtbl[i].bits;
    }
    for (int i = 0; i < 2; i++) {
        if (!chip_ioctl(k, KVM_GET_IRQCHIP, i, &chip, errp)) {
            return false;
        }
        pic_from_kvm(&k->pic[i], &chip.chip.pic);
    }
    return !k->has_pit || kvm_pit_fetch(k, errp);
}

bool kvm_irqchip_push(KvmState *k, GError **errp)
{
    struct kvm_irqchip chip = { 0 };

    if (!k->chips_dirty) {
        return true;
    }
    /* Fetched first for the members that are not ours, such as the base address. */
    if (!chip_ioctl(k, KVM_GET_IRQCHIP, KVM_IRQCHIP_IOAPIC, &chip, errp)) {
        return false;
    }
    chip.chip.ioapic.id = k->ioapic.id;
    chip.chip.ioapic.ioregsel = k->ioapic.ioregsel;
    chip.chip.ioapic.irr = k->ioapic.irr;
    for (int i = 0; i < KVM_IOAPIC_PINS; i++) {
        chip.chip.ioapic.redirtbl[i].bits = k->ioapic.ioredtbl[i];
    }
    if (!chip_ioctl(k, KVM_SET_IRQCHIP, KVM_IRQCHIP_IOAPIC, &chip, errp)) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        pic_to_kvm(&k->pic[i], &chip.chip.pic, elcr_mask[i]);
        if (!chip_ioctl(k, KVM_SET_IRQCHIP, i, &chip, errp)) {
            return false;
        }
    }
    if (k->has_pit && !kvm_pit_push(k, errp)) {
        return false;
    }
    k->chips_dirty = false;
    return true;
}

/* ---- sections ---- */

static bool ioapic_pre_save(void *opaque, GError **errp)
{
    return kvm_irqchip_fetch(((KvmIoapic *)opaque)->kvm, errp);
}

/* A load must not mix one chip from the stream with stale copies of the others. */
static bool ioapic_post_load(void *opaque, int version_id, GError **errp)
{
    KvmIoapic *io = opaque;

    if (io->irr >> KVM_IOAPIC_PINS) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "irr: 0x%x has more than %d lines", io->irr,
                       KVM_IOAPIC_PINS);
    }
    chips_changed(io->kvm);
    return true;
}

static const VMStateField ioapic_fields[] = {
    VMSTATE_UINT8(id, KvmIoapic),
    VMSTATE_UINT8(ioregsel, KvmIoapic),
    VMSTATE_UNUSED(8),
    VMSTATE_UINT32(irr, KvmIoapic),
    VMSTATE_UINT64_ARRAY(ioredtbl, KvmIoapic, KVM_IOAPIC_PINS),
    VMSTATE_END,
};

static const VMStateDescription vmstate_ioapic = {
    .name = "ioapic",
    .version_id = 3,
    .minimum_version_id = 3,
    .fields = ioapic_fields,
    .pre_save = ioapic_pre_save,
    .pre_load = ioapic_pre_save,
    .post_load = ioapic_post_load,
};

static bool pic_pre_save(void *opaque, GError **errp)
{
    return kvm_irqchip_fetch(((KvmPic *)opaque)->kvm, errp);
}

static bool pic_post_load(void *opaque, int version_id, GError **errp)
{
    KvmPic *p = opaque;

    if (p->single_mode) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "single_mode: the source's PIC is in single mode, which KVM's does not "
                       "have");
    }
    if (p->priority_add > 7 || p->init_state > 3) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "priority_add %u, init_state %u are not of an "
                       "i8259", p->priority_add, p->init_state);
    }
    chips_changed(p->kvm);
    return true;
}

static const VMStateField pic_fields[] = {
    VMSTATE_UINT8(last_irr, KvmPic),
    VMSTATE_UINT8(irr, KvmPic),
    VMSTATE_UINT8(imr, KvmPic),
    VMSTATE_UINT8(isr, KvmPic),
    VMSTATE_UINT8(priority_add, KvmPic),
    VMSTATE_UINT8(irq_base, KvmPic),
    VMSTATE_UINT8(read_reg_select, KvmPic),
    VMSTATE_UINT8(poll, KvmPic),
    VMSTATE_UINT8(special_mask, KvmPic),
    VMSTATE_UINT8(init_state, KvmPic),
    VMSTATE_UINT8(auto_eoi, KvmPic),
    VMSTATE_UINT8(rotate_on_auto_eoi, KvmPic),
    VMSTATE_UINT8(special_fully_nested_mode, KvmPic),
    VMSTATE_UINT8(init4, KvmPic),
    VMSTATE_UINT8(single_mode, KvmPic),
    VMSTATE_UINT8(elcr, KvmPic),
    VMSTATE_END,
};

static const VMStateDescription vmstate_pic = {
    .name = "i8259",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = pic_fields,
    .pre_save = pic_pre_save,
    .pre_load = pic_pre_save,
    .post_load = pic_post_load,
};

static bool add(KvmState *k, uint32_t instance, const VMStateDescription *d, void *opaque,
                GError **errp)
{
    return gw_vmstate_register(k->machine->migration, NULL, instance, d, opaque,
                               MIGRATION_PRIORITY_DEFAULT, errp);
}

bool kvm_irqchip_register(KvmState *k, GError **errp)
{
    if (!add(k, 0, &vmstate_ioapic, &k->ioapic, errp)) {
        return false;
    }
    if (k->has_ioapic2 && (!kvm_ioapic2_create(k, errp) ||
                           !add(k, 1, &vmstate_ioapic, &k->ioapic2, errp))) {
        return false;
    }
    for (int i = 0; k->has_pic && i < 2; i++) {
        if (!add(k, i, &vmstate_pic, &k->pic[i], errp)) {
            return false;
        }
    }
    return !k->has_pit || add(k, 0, &kvm_vmstate_pit, &k->pit, errp);
}
