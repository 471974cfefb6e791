/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section `kvm-tpr-opt` v1 (spec minimal-machines 6.3): how far a certain option ROM has patched
 * the TPR accesses of an old 32-bit guest. That ROM is not part of this machine, so what is sent is
 * all zero, and a guest that has been patched cannot be taken over. Machine lock.
 */
#include "kvm.h"

#include "error.h"

#define TPR_OPT_STANDBY 2 /* 0 inactive, 1 active */

static bool post_load(void *opaque, int version_id, GError **errp)
{
    const KvmTprOpt *t = opaque;

    if (t->state > TPR_OPT_STANDBY) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "state: %u is unknown", t->state);
    }
    if (t->vapic_paddr || t->real_tpr_addr) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "the guest's TPR accesses are patched "
                       "(vapic_paddr 0x%x, real_tpr_addr 0x%x); run the source without the "
                       "kvmvapic option ROM", t->vapic_paddr, t->real_tpr_addr);
    }
    return true;
}

static const VMStateField handlers_fields[] = {
    VMSTATE_UINT32(set_tpr, KvmTprOptHandlers),
    VMSTATE_UINT32(set_tpr_eax, KvmTprOptHandlers),
    VMSTATE_UINT32_ARRAY(get_tpr, KvmTprOptHandlers, 8),
    VMSTATE_UINT32(get_tpr_stack, KvmTprOptHandlers),
    VMSTATE_END,
};

static const VMStateDescription vmstate_handlers = {
    .name = "kvmvapic-handlers",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = handlers_fields,
};

static const VMStateField rom_fields[] = {
    VMSTATE_UNUSED(8),
    VMSTATE_UINT32(vaddr, KvmTprOptRom),
    VMSTATE_UINT32(fixup_start, KvmTprOptRom),
    VMSTATE_UINT32(fixup_end, KvmTprOptRom),
    VMSTATE_UINT32(vapic_vaddr, KvmTprOptRom),
    VMSTATE_UINT32(vapic_size, KvmTprOptRom),
    VMSTATE_UINT32(vcpu_shift, KvmTprOptRom),
    VMSTATE_UINT32(real_tpr_addr, KvmTprOptRom),
    VMSTATE_STRUCT(up, KvmTprOptRom, vmstate_handlers, KvmTprOptHandlers),
    VMSTATE_STRUCT(mp, KvmTprOptRom, vmstate_handlers, KvmTprOptHandlers),
    VMSTATE_END,
};

static const VMStateDescription vmstate_rom = {
    .name = "kvmvapic-guest-rom",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = rom_fields,
};

static const VMStateField tpr_fields[] = {
    VMSTATE_STRUCT(rom_state, KvmTprOpt, vmstate_rom, KvmTprOptRom),
    VMSTATE_UINT32(state, KvmTprOpt),
    VMSTATE_UINT32(real_tpr_addr, KvmTprOpt),
    VMSTATE_UINT32(rom_state_vaddr, KvmTprOpt),
    VMSTATE_UINT32(vapic_paddr, KvmTprOpt),
    VMSTATE_UINT32(rom_state_paddr, KvmTprOpt),
    VMSTATE_END,
};

const VMStateDescription kvm_vmstate_tpr_opt = {
    .name = "kvm-tpr-opt",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = post_load,
    .fields = tpr_fields,
};
