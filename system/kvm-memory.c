/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory slots of KVM, one for each RAM or ROM range of the memory map, and its ioeventfds.
 *
 * The listener runs inside a commit with the machine lock held. Slot numbers are handed out lowest
 * first and reused. `slot_lock` guards the table against the dirty log, which walks it from the
 * migration threads.
 */
#include "kvm.h"

#include "error.h"

static int slot_ioctl(KvmState *k, const KvmSlot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = s->id,
        .flags = (s->logging ? KVM_MEM_LOG_DIRTY_PAGES : 0) | (s->readonly ? KVM_MEM_READONLY : 0),
        .guest_phys_addr = s->gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)s->host,
    };

    memory_map_count_ioctls(k->machine->memory, 1);
    return kvm_ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static KvmSlot *slot_alloc(KvmState *k)
{
    for (unsigned i = 0; i < k->slots->len; i++) {
        KvmSlot *s = k->slots->pdata[i];

        if (!s->used) {
            return s;
        }
    }

    KvmSlot *s = g_new0(KvmSlot, 1);

    s->id = k->slots->len;
    g_ptr_array_add(k->slots, s);
    return s;
}

static void slot_release(KvmSlot *s)
{
    uint32_t id = s->id;

    g_free(s->harvested);
    *s = (KvmSlot){ .id = id };
}

bool kvm_slot_set_logging(KvmState *k, KvmSlot *slot, bool on, GError **errp)
{
    bool old = slot->logging;

    slot->logging = on && !slot->readonly; /* nothing of the guest's writes a read-only slot */
    if (slot->logging == old) {
        return true;
    }

    int rc = slot_ioctl(k, slot, slot->size);

    if (rc < 0) {
        slot->logging = old;
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc,
                             "KVM: dirty logging of slot %u (guest address 0x%" PRIx64 ")",
                             slot->id, slot->gpa);
    }
    return true;
}

static bool range_add(void *opaque, const MemoryRange *r, GError **errp)
{
    KvmState *k = kvm_state(opaque);

    if (r->type == MEMORY_RANGE_MMIO) {
        return true; /* whatever has no slot leaves the guest with KVM_EXIT_MMIO */
    }

    const RAMBlockInfo *info = gw_ram_block_info(r->block);

    if ((r->gpa | r->size | r->block_offset | (uintptr_t)info->host) & (GW_TARGET_PAGE_SIZE - 1)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: RAM at 0x%" PRIx64 ", 0x%" PRIx64
                       " bytes, is not page aligned", r->name, r->gpa, r->size);
    }
    pthread_mutex_lock(&k->slot_lock);

    KvmSlot *s = slot_alloc(k);

    s->used = true;
    s->gpa = r->gpa;
    s->size = r->size;
    s->host = info->host + r->block_offset;
    s->readonly = r->type == MEMORY_RANGE_ROM;
    s->logging = k->logging && !s->readonly;
    s->block = r->block;
    s->first_page = r->block_offset >> GW_TARGET_PAGE_BITS;
    s->npages = r->size >> GW_TARGET_PAGE_BITS;
    s->harvested = g_new0(uint64_t, (s->npages + 63) / 64);

    int rc = slot_ioctl(k, s, s->size);

    if (rc < 0) {
        slot_release(s);
    }
    pthread_mutex_unlock(&k->slot_lock);
    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_SET_USER_MEMORY_REGION for %s at "
                             "0x%" PRIx64 ", 0x%" PRIx64 " bytes", r->name, r->gpa, r->size);
    }
    return true;
}

static void range_del(void *opaque, const MemoryRange *r)
{
    KvmState *k = kvm_state(opaque);

    if (r->type == MEMORY_RANGE_MMIO) {
        return;
    }
    pthread_mutex_lock(&k->slot_lock);
    for (unsigned i = 0; i < k->slots->len; i++) {
        KvmSlot *s = k->slots->pdata[i];

        if (s->used && s->gpa == r->gpa) {
            if (s->logging) {
                kvm_dirty_slot_gone(k, s);
            }
            slot_ioctl(k, s, 0);
            slot_release(s);
            break;
        }
    }
    pthread_mutex_unlock(&k->slot_lock);
}

static int ioeventfd_ioctl(KvmState *k, const FlatIoeventfd *e, uint32_t flags)
{
    struct kvm_ioeventfd arg = {
        .addr = e->gpa,
        .len = e->size,
        .datamatch = e->match_data ? e->data : 0,
        .fd = e->fd,
        .flags = flags | (e->match_data ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
    };

    memory_map_count_ioctls(k->machine->memory, 1);
    return kvm_ioctl(k->vm_fd, KVM_IOEVENTFD, &arg);
}

static bool ioeventfd_add(void *opaque, const FlatIoeventfd *e, GError **errp)
{
    int rc = ioeventfd_ioctl(kvm_state(opaque), e, 0);

    return rc >= 0 || gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_IOEVENTFD at 0x%" PRIx64
                                    ", %u bytes", e->gpa, e->size);
}

static void ioeventfd_del(void *opaque, const FlatIoeventfd *e)
{
    int rc = ioeventfd_ioctl(kvm_state(opaque), e, KVM_IOEVENTFD_FLAG_DEASSIGN);

    if (rc < 0) {
        g_printerr("warning: KVM keeps the ioeventfd at 0x%" PRIx64 ": %s\n", e->gpa,
                   g_strerror(-rc));
    }
}

void kvm_memory_destroy(KvmState *k)
{
    for (unsigned i = 0; i < k->slots->len; i++) {
        KvmSlot *s = k->slots->pdata[i];

        slot_release(s);
        g_free(s);
    }
    g_ptr_array_unref(k->slots);
    g_ptr_array_unref(k->orphans);
}

const MemoryListener kvm_memory_listener = {
    .range_del = range_del,
    .range_add = range_add,
    .ioeventfd_del = ioeventfd_del,
    .ioeventfd_add = ioeventfd_add,
};
