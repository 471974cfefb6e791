/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The i8254 timer inside KVM and its section `i8254` v3 (spec minimal-machines 6.3). Machine lock.
 *
 * KVM counts load times on the host's monotonic clock, the section on the virtual clock. Channel
 * 0's next transition is not KVM's business, but a destination with a timer of its own arms it
 * with that value: so it is computed here.
 */
#include "kvm.h"

#include <time.h>

#include "error.h"

#define PIT_FREQ 1193182 /* Hz */
#define PIT_MAX_COUNT 0x10000

static int64_t host_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t ticks_to_ns(int64_t ticks)
{
    return (int64_t)((__int128)ticks * 1000000000LL / PIT_FREQ);
}

/* Wire values: any number. Arithmetic without a sign does not overflow. */
static int64_t add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* When the output of a channel changes next, virtual clock ns; -1: never. */
static int64_t next_transition(const KvmPitChannel *c, int64_t now)
{
    int64_t count = c->count > 0 ? c->count : PIT_MAX_COUNT;
    int64_t ticks = (int64_t)((__int128)MAX(sub(now, c->count_load_time), 0) * PIT_FREQ /
                              1000000000LL);
    int64_t half = MAX((count + 1) / 2, 1);

    switch (c->mode) {
    case 2: /* a low pulse of one tick at the end of each period */
        return add(c->count_load_time, ticks_to_ns((ticks / count + 1) * count));
    case 3: /* a square wave */
        return add(c->count_load_time, ticks_to_ns((ticks / half + 1) * half));
    default:
        return ticks < count ? add(c->count_load_time, ticks_to_ns(count)) : -1;
    }
}

void kvm_pit_reset(KvmPit *pit)
{
    int64_t now = machine_clock_ns(pit->kvm->machine);

    pit->irq_disabled = 0;
    for (int i = 0; i < 3; i++) {
        pit->channels[i] = (KvmPitChannel){
            .count = PIT_MAX_COUNT, .mode = 3, .gate = i != 2, .count_load_time = now,
        };
    }
    pit->channels[0].next_transition_time = next_transition(&pit->channels[0], now);
    pit->next_transition_time = pit->channels[0].next_transition_time;
}

bool kvm_pit_fetch(KvmState *k, GError **errp)
{
    struct kvm_pit_state2 s = { 0 };
    int64_t now = machine_clock_ns(k->machine);
    int64_t host_to_virtual = now - host_ns();
    int rc = kvm_ioctl(k->vm_fd, KVM_GET_PIT2, &s);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_GET_PIT2");
    }
    k->pit.irq_disabled = (s.flags & KVM_PIT_FLAGS_HPET_LEGACY) != 0;
    for (int i = 0; i < 3; i++) {
        const struct kvm_pit_channel_state *c = &s.channels[i];

        k->pit.channels[i] = (KvmPitChannel){
            .count = c->count, .latched_count = c->latched_count,
            .count_latched = c->count_latched, .status_latched = c->status_latched,
            .status = c->status, .read_state = c->read_state, .write_state = c->write_state,
            .write_latch = c->write_latch, .rw_mode = c->rw_mode, .mode = c->mode, .bcd = c->bcd,
            .gate = c->gate, .count_load_time = add(c->count_load_time, host_to_virtual),
        };
    }
    k->pit.channels[0].next_transition_time = next_transition(&k->pit.channels[0], now);
    k->pit.next_transition_time = k->pit.channels[0].next_transition_time;
    return true;
}

bool kvm_pit_push(KvmState *k, GError **errp)
{
    struct kvm_pit_state2 s = {
        .flags = k->pit.irq_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0,
    };
    int64_t virtual_to_host = host_ns() - machine_clock_ns(k->machine);

    for (int i = 0; i < 3; i++) {
        const KvmPitChannel *c = &k->pit.channels[i];

        s.channels[i] = (struct kvm_pit_channel_state){
            .count = c->count, .latched_count = c->latched_count,
            .count_latched = c->count_latched, .status_latched = c->status_latched,
            .status = c->status, .read_state = c->read_state, .write_state = c->write_state,
            .write_latch = c->write_latch, .rw_mode = c->rw_mode, .mode = c->mode, .bcd = c->bcd,
            .gate = c->gate, .count_load_time = add(c->count_load_time, virtual_to_host),
        };
    }

    int rc = kvm_ioctl(k->vm_fd, KVM_SET_PIT2, &s);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_SET_PIT2");
    }
    return true;
}

static bool pit_pre_save(void *opaque, GError **errp)
{
    return kvm_irqchip_fetch(((KvmPit *)opaque)->kvm, errp);
}

/* The states of access: none, low byte, high byte, low then high, and high of the latter. */
#define PIT_ACCESS_MAX 4

static bool channel_post_load(void *opaque, int version_id, GError **errp)
{
    const KvmPitChannel *c = opaque;

    if (c->count < 0 || c->count > PIT_MAX_COUNT || c->mode > 5 || c->bcd > 1 || c->gate > 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "count %d, mode %u, bcd %u, gate %u are not of an "
                       "i8254", c->count, c->mode, c->bcd, c->gate);
    }
    if (c->count_latched > PIT_ACCESS_MAX || c->read_state > PIT_ACCESS_MAX ||
        c->write_state > PIT_ACCESS_MAX || c->rw_mode > PIT_ACCESS_MAX || c->status_latched > 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "count_latched %u, status_latched %u, read_state "
                       "%u, write_state %u, rw_mode %u are not of an i8254", c->count_latched,
                       c->status_latched, c->read_state, c->write_state, c->rw_mode);
    }
    return true;
}

static bool pit_post_load(void *opaque, int version_id, GError **errp)
{
    KvmPit *p = opaque;

    if (p->irq_disabled > 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "irq_disabled: %u, not 0 or 1", p->irq_disabled);
    }
    p->channels[0].next_transition_time = p->next_transition_time;
    p->kvm->chips_dirty = true;
    return true;
}

static const VMStateField channel_fields[] = {
    VMSTATE_INT32(count, KvmPitChannel),
    VMSTATE_UINT16(latched_count, KvmPitChannel),
    VMSTATE_UINT8(count_latched, KvmPitChannel),
    VMSTATE_UINT8(status_latched, KvmPitChannel),
    VMSTATE_UINT8(status, KvmPitChannel),
    VMSTATE_UINT8(read_state, KvmPitChannel),
    VMSTATE_UINT8(write_state, KvmPitChannel),
    VMSTATE_UINT8(write_latch, KvmPitChannel),
    VMSTATE_UINT8(rw_mode, KvmPitChannel),
    VMSTATE_UINT8(mode, KvmPitChannel),
    VMSTATE_UINT8(bcd, KvmPitChannel),
    VMSTATE_UINT8(gate, KvmPitChannel),
    VMSTATE_INT64(count_load_time, KvmPitChannel),
    VMSTATE_INT64(next_transition_time, KvmPitChannel),
    VMSTATE_END,
};

static const VMStateDescription vmstate_channel = {
    .name = "pit channel",
    .version_id = 2,
    .minimum_version_id = 2,
    .post_load = channel_post_load,
    .fields = channel_fields,
};

static const VMStateField pit_fields[] = {
    VMSTATE_UINT32(irq_disabled, KvmPit),
    VMSTATE_STRUCT_ARRAY(channels, KvmPit, 3, vmstate_channel, KvmPitChannel),
    VMSTATE_INT64(next_transition_time, KvmPit),
    VMSTATE_END,
};

const VMStateDescription kvm_vmstate_pit = {
    .name = "i8254",
    .version_id = 3,
    .minimum_version_id = 3,
    .fields = pit_fields,
    .pre_save = pit_pre_save,
    .pre_load = pit_pre_save,
    .post_load = pit_post_load,
};
