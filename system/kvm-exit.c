/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vCPU leaves KVM_RUN for: port and memory-mapped I/O, and the ways in which a guest ends.
 * vCPU thread; devices are called with the machine lock held, which is taken here.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"

static void port_io(KvmVcpu *v)
{
    Machine *m = v->cpu->machine;
    struct kvm_run *run = v->run;
    uint8_t *p = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;

    machine_lock(m);
    /* A string instruction comes as one exit with `count` items. */
    for (uint32_t i = 0; i < run->io.count; i++, p += size) {
        uint64_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, p, size);
            ioport_write(m->memory, run->io.port, value, size);
        } else {
            value = ioport_read(m->memory, run->io.port, size);
            memcpy(p, &value, size);
        }
    }
    machine_unlock(m);
}

static void memory_io(KvmVcpu *v)
{
    Machine *m = v->cpu->machine;
    struct kvm_run *run = v->run;

    if (run->mmio.is_write) {
        memory_write(m->memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len, false);
    } else {
        memory_read(m->memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len, false);
    }
}

/* Where the guest was; for messages of the vCPU's own thread. */
static char *describe_position(KvmVcpu *v)
{
    struct kvm_regs r;
    struct kvm_sregs s;

    if (kvm_ioctl(v->fd, KVM_GET_REGS, &r) < 0 || kvm_ioctl(v->fd, KVM_GET_SREGS, &s) < 0) {
        return g_strdup("position unknown");
    }
    return g_strdup_printf("at cs:rip %04x:%016" PRIx64 ", base %" PRIx64 ", rsp %016" PRIx64
                           ", rflags %" PRIx64 ", cr0 %" PRIx64 ", cr3 %" PRIx64 ", cr4 %" PRIx64
                           ", efer %" PRIx64, s.cs.selector, (uint64_t)r.rip, (uint64_t)s.cs.base,
                           (uint64_t)r.rsp, (uint64_t)r.rflags, (uint64_t)s.cr0, (uint64_t)s.cr3,
                           (uint64_t)s.cr4, (uint64_t)s.efer);
}

static bool internal_error(KvmVcpu *v, GError **errp)
{
    static const char *const what[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "an instruction could not be emulated",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "exceptions at the same time",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event could not be delivered",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected exit of the hardware",
    };
    g_autofree char *where = describe_position(v);
    uint32_t code = v->run->internal.suberror;
    const char *text = code < G_N_ELEMENTS(what) && what[code] ? what[code] : "unknown";
    GString *data = g_string_new(NULL);

    for (uint32_t i = 0; i < MIN(v->run->internal.ndata, 16); i++) {
        g_string_append_printf(data, " %" PRIx64, (uint64_t)v->run->internal.data[i]);
    }
    gw_fail(errp, GW_ERROR_GENERIC, "KVM internal error %u on vCPU %u: %s, %s; data:%s", code,
            v->cpu->index, text, where, data->str);
    g_string_free(data, TRUE);
    return false;
}

static bool fail_entry(KvmVcpu *v, GError **errp)
{
    g_autofree char *where = describe_position(v);

    return gw_fail(errp, GW_ERROR_GENERIC, "vCPU %u: the hardware refused to enter the guest, "
                   "reason 0x%" PRIx64 " (an invalid register state), %s", v->cpu->index,
                   (uint64_t)v->run->fail_entry.hardware_entry_failure_reason, where);
}

static bool system_event(KvmVcpu *v, GError **errp)
{
    RunStateMachine *rs = v->cpu->machine->run_state;

    switch (v->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        runstate_request_stop(rs, RUN_STATE_SHUTDOWN);
        return true;
    case KVM_SYSTEM_EVENT_RESET:
        runstate_request_reset(rs);
        return true;
    case KVM_SYSTEM_EVENT_CRASH:
        runstate_request_stop(rs, RUN_STATE_GUEST_PANICKED);
        return true;
    default:
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u: KVM system event %u is not supported",
                       v->cpu->index, v->run->system_event.type);
    }
}

bool kvm_handle_exit(KvmVcpu *v, bool *leave, GError **errp)
{
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO:
        port_io(v);
        return true;
    case KVM_EXIT_MMIO:
        memory_io(v);
        return true;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return true; /* a kick comes back as EINTR */
    case KVM_EXIT_DIRTY_RING_FULL:
        pthread_mutex_lock(&v->kvm->slot_lock);
        kvm_ring_harvest(v->kvm);
        pthread_mutex_unlock(&v->kvm->slot_lock);
        return true;
    case KVM_EXIT_HLT:
        /* With the interrupt chips in the kernel HLT does not come here but for a guest whose
         * local APIC is off: nothing will wake it. */
        v->halted_for_good = *leave = true;
        return true;
    case KVM_EXIT_SHUTDOWN:
        /* Triple fault: as on a PC, a reset; -no-reboot makes it a shutdown. */
        v->halted_for_good = *leave = true;
        runstate_request_reset(v->cpu->machine->run_state);
        return true;
    case KVM_EXIT_SYSTEM_EVENT:
        v->halted_for_good = *leave = true;
        return system_event(v, errp);
    case KVM_EXIT_INTERNAL_ERROR:
        return internal_error(v, errp);
    case KVM_EXIT_FAIL_ENTRY:
        return fail_entry(v, errp);
    default:
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u: KVM exit reason %u is not supported",
                       v->cpu->index, v->run->exit_reason);
    }
}
