/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest felt in postcopy. Faults that wait are kept in an open hash by host address,
 * several for one page when several threads wait for it; a fault that ends goes into sums and the
 * histogram and is forgotten. Any thread: the mutex is a leaf and held for a few hash steps only.
 * Spec: qmp 5.4. Times come as arguments; nothing here looks at a clock.
 */
#include "latency.h"

#include <glib.h>

#include "lock.h"

#define OPEN_MAX 4096           /* faults that are timed at once; more are counted only */
#define SLOTS    (2 * OPEN_MAX) /* a power of two */
#define NS_PER_US 1000
#define NS_PER_MS 1000000

typedef struct OpenFault {
    uintptr_t key;       /* 0: free (no fault is at address 0) */
    int vcpu;            /* -1: not a vCPU */
    int64_t fault_ns;
    int64_t request_ns;  /* when its request was written */
    bool requested;      /* else an earlier fault has asked, and request_ns is fault_ns */
} OpenFault;

typedef struct Vcpu {
    uint64_t faults, sum_ns;
    unsigned waits;      /* open faults; it waits while there is one */
    int64_t since_ns;    /* when it began to wait */
    uint64_t blocked_ns;
} Vcpu;

struct LatencyTable {
    pthread_mutex_t lock;
    OpenFault slots[SLOTS];
    unsigned open;
    unsigned nr_vcpus, waiting;   /* vCPUs; those that wait now */
    Vcpu vcpus[LATENCY_MAX_CPUS];
    int64_t all_since_ns;         /* when the last vCPU began to wait */
    uint64_t all_blocked_ns;
    uint64_t faults, untimed, sum_ns, max_ns;
    uint64_t request_ns, transfer_ns, place_ns;
    uint64_t other_faults, other_ns;
    uint64_t dist[LATENCY_BUCKETS];
};

LatencyTable *latency_new(unsigned nr_vcpus)
{
    LatencyTable *t = g_new0(LatencyTable, 1);

    pthread_mutex_init(&t->lock, NULL);
    t->nr_vcpus = MIN(nr_vcpus, LATENCY_MAX_CPUS);
    return t;
}

void latency_free(LatencyTable *t)
{
    if (t) {
        pthread_mutex_destroy(&t->lock);
        g_free(t);
    }
}

static unsigned slot_of(uintptr_t key)
{
    return (unsigned)((uint64_t)key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SLOTS;
}

static unsigned next_slot(unsigned slot)
{
    return (slot + 1) % SLOTS;
}

/* Clocks of several threads may be read in another order than the lock is taken. */
static uint64_t elapsed(int64_t from, int64_t to)
{
    return to > from ? (uint64_t)(to - from) : 0;
}

static void vcpu_waits(LatencyTable *t, int vcpu, int64_t now_ns)
{
    Vcpu *v = &t->vcpus[vcpu];

    if (v->waits++ > 0) {
        return;
    }
    v->since_ns = now_ns;
    if (++t->waiting == t->nr_vcpus) {
        t->all_since_ns = now_ns;
    }
}

static void vcpu_goes_on(LatencyTable *t, int vcpu, int64_t now_ns)
{
    Vcpu *v = &t->vcpus[vcpu];

    if (--v->waits > 0) {
        return;
    }
    v->blocked_ns += elapsed(v->since_ns, now_ns);
    if (t->waiting-- == t->nr_vcpus) {
        t->all_blocked_ns += elapsed(t->all_since_ns, now_ns);
    }
}

void latency_fault(LatencyTable *t, uintptr_t key, int vcpu, int64_t now_ns)
{
    unsigned slot = slot_of(key);
    LOCK_GUARD(&t->lock);

    if (t->open == OPEN_MAX || key == 0) {
        t->untimed++;
        return;
    }
    if (vcpu < 0 || (unsigned)vcpu >= t->nr_vcpus) {
        vcpu = -1;
    }
    while (t->slots[slot].key) {
        if (t->slots[slot].key == key && vcpu >= 0 && t->slots[slot].vcpu == vcpu) {
            return; /* woken before the page came, and back */
        }
        slot = next_slot(slot);
    }
    t->slots[slot] = (OpenFault){
        .key = key, .vcpu = vcpu, .fault_ns = now_ns, .request_ns = now_ns,
    };
    t->open++;
    if (vcpu >= 0) {
        vcpu_waits(t, vcpu, now_ns);
    }
}

void latency_requested(LatencyTable *t, uintptr_t key, int64_t now_ns)
{
    LOCK_GUARD(&t->lock);

    for (unsigned slot = slot_of(key); t->slots[slot].key; slot = next_slot(slot)) {
        OpenFault *f = &t->slots[slot];

        if (f->key == key && !f->requested) {
            f->requested = true;
            f->request_ns = MAX(now_ns, f->fault_ns);
        }
    }
}

static unsigned bucket_of(uint64_t ns)
{
    const uint64_t us = ns / NS_PER_US;
    const unsigned log2 = us ? 63 - (unsigned)__builtin_clzll(us) : 0;

    return MIN(log2, LATENCY_BUCKETS - 1);
}

static void fault_ends(LatencyTable *t, const OpenFault *f, int64_t arrived_ns, int64_t now_ns)
{
    const uint64_t ns = elapsed(f->fault_ns, now_ns);
    /* A page that was on its way already may arrive before its request is written. */
    const int64_t arrived = CLAMP(arrived_ns, f->fault_ns, MAX(now_ns, f->fault_ns));
    const int64_t requested = MIN(f->request_ns, arrived);

    t->faults++;
    t->sum_ns += ns;
    t->max_ns = MAX(t->max_ns, ns);
    t->dist[bucket_of(ns)]++;
    t->request_ns += elapsed(f->fault_ns, requested);
    t->transfer_ns += elapsed(requested, arrived);
    t->place_ns += elapsed(arrived, now_ns);
    if (f->vcpu >= 0) {
        t->vcpus[f->vcpu].faults++;
        t->vcpus[f->vcpu].sum_ns += ns;
        vcpu_goes_on(t, f->vcpu, now_ns);
    } else {
        t->other_faults++;
        t->other_ns += ns;
    }
}

/* Frees a slot and moves up those behind it that a search would no longer find. */
static void remove_slot(LatencyTable *t, unsigned hole)
{
    for (unsigned at = next_slot(hole); t->slots[at].key; at = next_slot(at)) {
        const unsigned home = slot_of(t->slots[at].key);

        if ((at - home) % SLOTS >= (at - hole) % SLOTS) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole].key = 0;
    t->open--;
}

void latency_placed(LatencyTable *t, uintptr_t key, int64_t arrived_ns, int64_t now_ns)
{
    unsigned slot = slot_of(key);
    LOCK_GUARD(&t->lock);

    while (key && t->slots[slot].key) {
        if (t->slots[slot].key == key) {
            fault_ends(t, &t->slots[slot], arrived_ns, now_ns);
            remove_slot(t, slot); /* what moved up to here is looked at next */
        } else {
            slot = next_slot(slot);
        }
    }
}

static uint64_t mean(uint64_t sum, uint64_t n)
{
    return n ? sum / n : 0;
}

void latency_info(LatencyTable *t, LatencyInfo *info)
{
    LOCK_GUARD(&t->lock);

    *info = (LatencyInfo){
        .faults = t->faults,
        .untimed = t->untimed,
        .mean_ns = mean(t->sum_ns, t->faults),
        .max_ns = t->max_ns,
        .nr_vcpus = t->nr_vcpus,
        .non_vcpu_mean_ns = mean(t->other_ns, t->other_faults),
        .all_block_ms = t->all_blocked_ns / NS_PER_MS,
        .request_ns = mean(t->request_ns, t->faults),
        .transfer_ns = mean(t->transfer_ns, t->faults),
        .place_ns = mean(t->place_ns, t->faults),
    };
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        info->dist[i] = t->dist[i];
    }
    for (unsigned i = 0; i < t->nr_vcpus; i++) {
        info->vcpu_faults[i] = t->vcpus[i].faults;
        info->vcpu_mean_ns[i] = mean(t->vcpus[i].sum_ns, t->vcpus[i].faults);
        info->vcpu_block_ms[i] = t->vcpus[i].blocked_ns / NS_PER_MS;
    }
}

uint64_t latency_quantile_ns(const LatencyInfo *info, double p)
{
    const double wanted = CLAMP(p, 0.0, 1.0) * (double)info->faults;
    uint64_t seen = 0;

    for (unsigned k = 0; k < LATENCY_BUCKETS - 1; k++) {
        seen += info->dist[k];
        if (seen > 0 && (double)seen >= wanted) {
            return MIN(((uint64_t)NS_PER_US << (k + 1)) - 1, info->max_ns);
        }
    }
    return info->max_ns;
}
