/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty ring of KVM: each vCPU writes the pages it dirties into a ring of its own, which also
 * tells who wrote. `slot_lock` guards the read positions; a vCPU whose ring is full leaves the
 * guest and harvests on its own thread.
 *
 * A page in the ring stays writable until KVM_RESET_DIRTY_RINGS. All entries are moved into the
 * slots' bitmaps first and the reset comes before sync() returns, thus before the engine reads the
 * page: a write in between is in what the engine reads, a later one makes a new entry.
 */
#include "kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "kvm-ring-test.h"

static int ring_cap(KvmState *k, uint64_t *max_bytes)
{
    static const int caps[] = { KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING };

    for (size_t i = 0; i < G_N_ELEMENTS(caps); i++) {
        int rc = kvm_check_cap(k, caps[i]);

        if (rc > 0) {
            *max_bytes = (uint64_t)rc;
            return caps[i];
        }
    }
    return 0;
}

bool kvm_ring_enable(KvmState *k, uint32_t entries, GError **errp)
{
    uint64_t max_bytes = 0, bytes = entries * sizeof(struct kvm_dirty_gfn);
    int cap = ring_cap(k, &max_bytes);

    if (!cap) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "this kernel's KVM has no dirty ring");
    }
    if (bytes > max_bytes) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "KVM takes %" PRIu64 " entries at most",
                       max_bytes / sizeof(struct kvm_dirty_gfn));
    }
    if (!kvm_ring_self_test(k->kvm_fd, cap, errp)) {
        return false;
    }

    struct kvm_enable_cap c = { .cap = cap, .args = { bytes } };
    int rc = kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &c);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "enabling the dirty ring");
    }
    k->log_mode = KVM_LOG_RING;
    k->ring_entries = entries;
    return true;
}

bool kvm_ring_map(KvmVcpu *v, GError **errp)
{
    if (v->kvm->log_mode != KVM_LOG_RING) {
        return true;
    }

    void *p = mmap(NULL, v->kvm->ring_entries * sizeof(*v->ring), PROT_READ | PROT_WRITE,
                   MAP_SHARED, v->fd, KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));

    if (p == MAP_FAILED) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "mapping the dirty ring of vCPU %u",
                             v->cpu->index);
    }
    v->ring = p;
    return true;
}

static void mark(KvmState *k, uint32_t slot, uint64_t page)
{
    KvmSlot *s = (slot & 0xffff) < k->slots->len ? k->slots->pdata[slot & 0xffff] : NULL;

    if (s && s->used && page < s->npages) {
        s->harvested[page / 64] |= 1ULL << (page % 64);
    }
}

static uint64_t harvest_vcpu(KvmState *k, KvmVcpu *v)
{
    uint64_t n = 0;

    for (;;) {
        struct kvm_dirty_gfn *e = &v->ring[v->ring_index % k->ring_entries];

        /* Acquire: slot and offset were written before the flag. */
        if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) {
            break;
        }
        mark(k, e->slot, e->offset);
        __atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        v->ring_index++;
        n++;
    }
    __atomic_fetch_add(&v->ring_pages, n, __ATOMIC_RELAXED);
    __atomic_fetch_add(&v->ring_total, n, __ATOMIC_RELAXED);
    return n;
}

void kvm_ring_harvest(KvmState *k)
{
    Machine *m = k->machine;
    uint64_t n = 0;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        n += harvest_vcpu(k, kvm_vcpu(m->vcpus[i]));
    }
    if (n) {
        kvm_ioctl(k->vm_fd, KVM_RESET_DIRTY_RINGS, NULL);
    }
}

unsigned kvm_ring_vcpu_pages(KvmState *k, uint64_t *pages, unsigned n)
{
    Machine *m = k->machine;
    unsigned count = MIN(n, m->nr_vcpus);

    for (unsigned i = 0; i < count; i++) {
        pages[i] = __atomic_exchange_n(&kvm_vcpu(m->vcpus[i])->ring_pages, 0, __ATOMIC_RELAXED);
    }
    return count;
}
