/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's paravirtual clock: read when the guest stops, set when it starts, so that guest time
 * stands still in between. Section `kvmclock` v1 (spec minimal-machines 6.3 and trap 9). Machine
 * lock.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"

/* What KVM and the guest share, at the guest physical address in MSR 0x4b564d01
 * (Documentation/virt/kvm/x86/msr.rst of the kernel). */
typedef struct PvClockPage {
    uint32_t version, pad;
    uint64_t tsc_timestamp;
    uint64_t system_time; /* ns at tsc_timestamp */
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad2[2];
} PvClockPage;

_Static_assert(sizeof(PvClockPage) == 32, "shared with the guest");

/* The time that the guest last could have read, 0 if it does not use the clock. */
static uint64_t guest_clock(KvmState *k)
{
    Machine *m = k->machine;
    X86CPU *x = m->nr_vcpus ? m->vcpus[0]->arch : NULL;
    PvClockPage page;

    if (!x || !(x->env.system_time_msr & 1) ||
        !memory_read(m->memory, x->env.system_time_msr & ~1ULL, &page, sizeof(page), true) ||
        page.tsc_shift < -63 || page.tsc_shift > 63 || x->env.tsc < page.tsc_timestamp) {
        return 0;
    }

    uint64_t delta = x->env.tsc - page.tsc_timestamp;

    delta = page.tsc_shift < 0 ? delta >> -page.tsc_shift : delta << page.tsc_shift;
    return page.system_time +
           (uint64_t)(((unsigned __int128)delta * page.tsc_to_system_mul) >> 32);
}

static bool read_clock(KvmState *k, GError **errp)
{
    struct kvm_clock_data data = { 0 };
    int rc = kvm_ioctl(k->vm_fd, KVM_GET_CLOCK, &data);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_GET_CLOCK");
    }
    k->clock.clock = data.clock;
    k->clock.is_reliable = k->clock_is_reliable;
    return true;
}

void kvm_clock_stopped(KvmState *k)
{
    g_autoptr(GError) err = NULL;

    if (k->clock.valid) {
        return;
    }
    k->clock.valid = read_clock(k, &err);
    if (err) {
        g_printerr("warning: %s: guest time runs on while the guest is stopped\n", err->message);
    }
}

bool kvm_clock_started(KvmState *k, GError **errp)
{
    Machine *m = k->machine;

    if (!k->clock.valid) {
        return true;
    }
    /* A source that could not tell the exact time may be behind what its guest has seen. */
    if (!k->clock.is_reliable) {
        k->clock.clock = MAX(k->clock.clock, guest_clock(k));
    }

    struct kvm_clock_data data = { .clock = k->clock.clock };
    int rc = kvm_ioctl(k->vm_fd, KVM_SET_CLOCK, &data);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_SET_CLOCK");
    }
    k->clock.valid = false;
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        /* Tells a guest's watchdog that it was stopped; an error is a guest without the clock. */
        kvm_ioctl(kvm_vcpu(m->vcpus[i])->fd, KVM_KVMCLOCK_CTRL, NULL);
    }
    return true;
}

static bool clock_pre_save(void *opaque, GError **errp)
{
    KvmClock *c = opaque;

    return c->valid || read_clock(c->kvm, errp);
}

static bool clock_pre_load(void *opaque, GError **errp)
{
    ((KvmClock *)opaque)->is_reliable = false; /* unless the subsection says otherwise */
    return true;
}

static bool clock_post_load(void *opaque, int version_id, GError **errp)
{
    ((KvmClock *)opaque)->valid = true;
    return true;
}

static bool reliable_needed(void *opaque)
{
    return ((KvmClock *)opaque)->is_reliable;
}

static const VMStateField reliable_fields[] = {
    VMSTATE_BOOL(is_reliable, KvmClock),
    VMSTATE_END,
};

static const VMStateDescription vmstate_clock_is_reliable = {
    .name = "kvmclock/clock_is_reliable",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = reliable_needed,
    .fields = reliable_fields,
};

static const VMStateField clock_fields[] = {
    VMSTATE_UINT64(clock, KvmClock),
    VMSTATE_END,
};

static const VMStateDescription *const clock_subsections[] = { &vmstate_clock_is_reliable, NULL };

static const VMStateDescription vmstate_kvmclock = {
    .name = "kvmclock",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = clock_pre_save,
    .pre_load = clock_pre_load,
    .post_load = clock_post_load,
    .fields = clock_fields,
    .subsections = clock_subsections,
};

bool kvm_clock_register(KvmState *k, GError **errp)
{
    k->clock.kvm = k;
    return gw_vmstate_register(k->machine->migration, NULL, 0, &vmstate_kvmclock, &k->clock,
                               MIGRATION_PRIORITY_DEFAULT, errp);
}
