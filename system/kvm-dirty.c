/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log of KVM as the engine's MigrationDirtyLogOps. Any migration thread; `slot_lock`
 * makes sync, clear and changes of the slots exclude each other.
 *
 * Why no write is lost, two-step log: KVM sets a page's bit at its first write after it was
 * protected, and only KVM_CLEAR_DIRTY_LOG takes a bit away, protecting the page in the same step.
 * Exactly those bits are cleared that sync() has told the engine (`harvested`), and the engine
 * clears before it reads the page. So a write before the clear is in what the engine reads, and a
 * write after it faults and sets the bit again, to be seen by the next sync. A page that was
 * written after the last sync has a bit which is not in `harvested`: it survives the clear.
 *
 * With KVM_DIRTY_LOG_INITIALLY_SET a log starts with every bit set and no page protected; the
 * engine counts everything as dirty at that moment, which is as good as having harvested it all.
 * Pages are then protected bit by bit as the engine clears.
 *
 * One-step log: KVM_GET_DIRTY_LOG takes the bits of the whole slot away. Those outside of the range
 * asked for wait in `harvested` until that range is asked for.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"

/* The bits of word `w` that stand for pages [lo, hi). */
static uint64_t word_mask(uint64_t w, uint64_t lo, uint64_t hi)
{
    uint64_t first = w * 64, mask = UINT64_MAX;

    if (lo >= first + 64 || hi <= first) {
        return 0;
    }
    if (lo > first) {
        mask &= UINT64_MAX << (lo - first);
    }
    if (hi < first + 64) {
        mask &= ~(UINT64_MAX << (hi - first));
    }
    return mask;
}

/* ORs src bits [lo, hi) into dst, where bit lo of src is bit `to` of dst. */
static void or_bits(uint64_t *dst, uint64_t to, const uint64_t *src, uint64_t lo, uint64_t hi)
{
    for (uint64_t w = lo / 64; w * 64 < hi; w++) {
        uint64_t bits = src[w] & word_mask(w, lo, hi);

        if (!bits) {
            continue;
        }
        /* The word's first page may lie before lo: then its low bits are 0. */
        int64_t at = (int64_t)(w * 64 - lo + to);
        uint64_t shift;

        if (at < 0) {
            bits >>= -at;
            at = 0;
        }
        shift = (uint64_t)at % 64;
        dst[at / 64] |= bits << shift;
        if (shift && bits >> (64 - shift)) {
            dst[at / 64 + 1] |= bits >> (64 - shift);
        }
    }
}

/* The part of the slot's pages that block pages [first, first + npages) cover; false: none. */
static bool overlap(uint64_t slot_first, uint64_t slot_npages, uint64_t first, uint64_t npages,
                    uint64_t *lo, uint64_t *hi)
{
    uint64_t from = MAX(slot_first, first);
    uint64_t to = MIN(slot_first + slot_npages, first + npages);

    if (from >= to) {
        return false;
    }
    *lo = from - slot_first;
    *hi = to - slot_first;
    return true;
}

static size_t slot_words(const KvmSlot *s)
{
    return (s->npages + 63) / 64;
}

/* KVM's bits of the whole slot; NULL with *errp. slot_lock held. */
static uint64_t *get_log(KvmState *k, KvmSlot *s, GError **errp)
{
    g_autofree uint64_t *bits = g_new0(uint64_t, slot_words(s));
    struct kvm_dirty_log log = { .slot = s->id, .dirty_bitmap = bits };

    if (k->log_mode == KVM_LOG_RING) {
        return g_steal_pointer(&bits);
    }

    int rc = kvm_ioctl(k->vm_fd, KVM_GET_DIRTY_LOG, &log);

    if (rc < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_GET_DIRTY_LOG of slot %u (RAM block %s)",
                      s->id, gw_ram_block_info(s->block)->idstr);
        return NULL;
    }
    return g_steal_pointer(&bits);
}

static bool sync_slot(KvmState *k, KvmSlot *s, uint64_t first, uint64_t npages, uint64_t *bitmap,
                      GError **errp)
{
    uint64_t lo, hi;

    if (!overlap(s->first_page, s->npages, first, npages, &lo, &hi)) {
        return true;
    }

    g_autofree uint64_t *bits = get_log(k, s, errp);

    if (!bits) {
        return false;
    }
    if (k->log_mode == KVM_LOG_TWO_STEP) {
        for (uint64_t w = lo / 64; w * 64 < hi; w++) {
            s->harvested[w] |= bits[w] & word_mask(w, lo, hi);
        }
    } else {
        for (size_t w = 0; w < slot_words(s); w++) {
            bits[w] |= s->harvested[w];
            s->harvested[w] = bits[w] & ~word_mask(w, lo, hi);
        }
    }
    or_bits(bitmap, s->first_page + lo - first, bits, lo, hi);
    return true;
}

static void sync_orphans(KvmState *k, const RAMBlock *block, uint64_t first, uint64_t npages,
                         uint64_t *bitmap)
{
    for (unsigned i = 0; i < k->orphans->len; i++) {
        KvmOrphan *o = k->orphans->pdata[i];
        uint64_t lo, hi;

        if (o->block == block && overlap(o->first_page, o->npages, first, npages, &lo, &hi)) {
            or_bits(bitmap, o->first_page + lo - first, o->bitmap, lo, hi);
            for (uint64_t w = lo / 64; w * 64 < hi; w++) {
                o->bitmap[w] &= ~word_mask(w, lo, hi);
            }
        }
    }
}

static bool kvm_log_sync(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                         uint64_t *bitmap, GError **errp)
{
    KvmState *k = kvm_state(opaque);
    bool ok = true;

    pthread_mutex_lock(&k->slot_lock);
    if (k->log_mode == KVM_LOG_RING) {
        kvm_ring_harvest(k);
    }
    sync_orphans(k, block, first, npages, bitmap);
    for (unsigned i = 0; ok && i < k->slots->len; i++) {
        KvmSlot *s = k->slots->pdata[i];

        if (s->used && s->logging && s->block == block) {
            ok = sync_slot(k, s, first, npages, bitmap, errp);
        }
    }
    pthread_mutex_unlock(&k->slot_lock);
    return ok;
}

/* KVM wants the range to start at a multiple of 64 pages, and to end at one or with the slot; the
 * bits keep to what was asked for. */
static bool clear_slot(KvmState *k, KvmSlot *s, uint64_t first, uint64_t npages, GError **errp)
{
    uint64_t lo, hi, any = 0;

    if (!overlap(s->first_page, s->npages, first, npages, &lo, &hi)) {
        return true;
    }

    uint64_t w0 = lo / 64, w1 = (hi + 63) / 64;
    g_autofree uint64_t *bits = g_new(uint64_t, w1 - w0);

    for (uint64_t w = w0; w < w1; w++) {
        bits[w - w0] = s->harvested[w] & word_mask(w, lo, hi);
        any |= bits[w - w0];
    }
    if (!any) {
        return true;
    }

    struct kvm_clear_dirty_log log = {
        .slot = s->id,
        .first_page = w0 * 64,
        .num_pages = (uint32_t)(MIN(w1 * 64, s->npages) - w0 * 64),
        .dirty_bitmap = bits,
    };
    int rc = kvm_ioctl(k->vm_fd, KVM_CLEAR_DIRTY_LOG, &log);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "KVM_CLEAR_DIRTY_LOG of slot %u, pages "
                             "%" PRIu64 " to %" PRIu64, s->id, lo, hi);
    }
    for (uint64_t w = w0; w < w1; w++) {
        s->harvested[w] &= ~bits[w - w0];
    }
    return true;
}

static bool kvm_log_clear(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages,
                          GError **errp)
{
    KvmState *k = kvm_state(opaque);
    bool ok = true;

    if (k->log_mode != KVM_LOG_TWO_STEP) {
        return true; /* sync() has protected the pages already */
    }
    pthread_mutex_lock(&k->slot_lock);
    for (unsigned i = 0; ok && i < k->slots->len; i++) {
        KvmSlot *s = k->slots->pdata[i];

        if (s->used && s->logging && s->block == block) {
            ok = clear_slot(k, s, first, npages, errp);
        }
    }
    pthread_mutex_unlock(&k->slot_lock);
    return ok;
}

/* slot_lock held. */
static bool set_logging_all(KvmState *k, bool on, GError **errp)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < k->slots->len; i++) {
        KvmSlot *s = k->slots->pdata[i];

        if (!s->used) {
            continue;
        }
        memset(s->harvested, 0, slot_words(s) * sizeof(uint64_t));
        ok = kvm_slot_set_logging(k, s, on, errp);
        for (uint64_t w = 0; on && k->initially_set && w < slot_words(s); w++) {
            s->harvested[w] = word_mask(w, 0, s->npages);
        }
    }
    return ok;
}

static bool kvm_log_start(void *opaque, GError **errp)
{
    KvmState *k = kvm_state(opaque);

    pthread_mutex_lock(&k->slot_lock);
    if (k->log_mode == KVM_LOG_RING) {
        kvm_ring_harvest(k); /* what an earlier log left behind */
    }
    g_ptr_array_set_size(k->orphans, 0);
    k->logging = set_logging_all(k, true, errp);
    if (!k->logging) {
        set_logging_all(k, false, NULL);
    }

    bool ok = k->logging;

    pthread_mutex_unlock(&k->slot_lock);
    return ok;
}

static void kvm_log_stop(void *opaque)
{
    KvmState *k = kvm_state(opaque);
    g_autoptr(GError) err = NULL;

    pthread_mutex_lock(&k->slot_lock);
    if (k->logging) {
        k->logging = false;
        if (!set_logging_all(k, false, &err)) {
            g_printerr("warning: %s\n", err->message);
        }
        g_ptr_array_set_size(k->orphans, 0);
    }
    pthread_mutex_unlock(&k->slot_lock);
}

void kvm_dirty_slot_gone(KvmState *k, KvmSlot *slot)
{
    g_autoptr(GError) err = NULL;
    KvmOrphan *o = g_new0(KvmOrphan, 1);

    o->block = slot->block;
    o->first_page = slot->first_page;
    o->npages = slot->npages;
    if (k->log_mode == KVM_LOG_RING) {
        kvm_ring_harvest(k);
    }
    o->bitmap = get_log(k, slot, &err);
    if (!o->bitmap) {
        /* Not known what was written: all of it, then. */
        o->bitmap = g_new(uint64_t, slot_words(slot));
        memset(o->bitmap, 0xff, slot_words(slot) * sizeof(uint64_t));
    }
    for (size_t w = 0; w < slot_words(slot); w++) {
        o->bitmap[w] |= slot->harvested[w];
    }
    g_ptr_array_add(k->orphans, o);
}

void kvm_orphan_free(gpointer orphan)
{
    KvmOrphan *o = orphan;

    g_free(o->bitmap);
    g_free(o);
}

void kvm_dirty_init(KvmState *k)
{
    int flags = kvm_check_cap(k, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };

    if (k->log_mode == KVM_LOG_RING) {
        return;
    }
    cap.args[0] = flags & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
    if ((flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) &&
        kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &cap) == 0) {
        k->log_mode = KVM_LOG_TWO_STEP;
        k->initially_set = flags & KVM_DIRTY_LOG_INITIALLY_SET;
    }
}

static unsigned kvm_log_vcpu_pages(void *opaque, uint64_t *pages, unsigned n)
{
    KvmState *k = kvm_state(opaque);

    return k->log_mode == KVM_LOG_RING ? kvm_ring_vcpu_pages(k, pages, n) : 0;
}

/* The ring says it exactly; without one, the write faults do. */
static unsigned kvm_log_vcpu_writes(void *opaque, uint64_t *pages, unsigned n)
{
    Machine *m = opaque;
    const bool ring = kvm_state(m)->log_mode == KVM_LOG_RING;
    const unsigned count = MIN(n, m->nr_vcpus);

    for (unsigned i = 0; i < count; i++) {
        const KvmVcpu *v = kvm_vcpu(m->vcpus[i]);

        if (ring) {
            pages[i] = __atomic_load_n(&v->ring_total, __ATOMIC_RELAXED);
        } else if (!kvm_stats_faults(v, &pages[i])) {
            return 0;
        }
    }
    return count;
}

const MigrationDirtyLogOps kvm_dirty_log_ops = {
    .size = sizeof(MigrationDirtyLogOps),
    .name = "kvm-log",
    .start = kvm_log_start,
    .stop = kvm_log_stop,
    .sync = kvm_log_sync,
    .clear = kvm_log_clear,
    .vcpu_dirty_pages = kvm_log_vcpu_pages,
    .vcpu_writes = kvm_log_vcpu_writes,
};
