/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest felt in postcopy: how long each fault took, per vCPU, and as a histogram in powers
 * of two of microseconds; and how long vCPUs were blocked. Any thread; a leaf lock inside.
 * Spec: qmp 5.4 (postcopy-blocktime, postcopy-latency-dist).
 */
#ifndef MIGRATION_LATENCY_H
#define MIGRATION_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_BUCKETS  24 /* bucket k: [2^k, 2^(k+1)) us; the last takes everything above */
#define LATENCY_MAX_CPUS 64

typedef struct LatencyTable LatencyTable;

/* A copy for query-migrate. Times in ns unless said. */
typedef struct LatencyInfo {
    uint64_t faults;             /* that ended */
    uint64_t untimed;            /* came while too many others were open: not in anything below */
    uint64_t mean_ns, max_ns;
    uint64_t dist[LATENCY_BUCKETS];
    unsigned nr_vcpus;
    uint64_t vcpu_faults[LATENCY_MAX_CPUS];
    uint64_t vcpu_mean_ns[LATENCY_MAX_CPUS];
    uint64_t vcpu_block_ms[LATENCY_MAX_CPUS]; /* time this vCPU waited in all */
    uint64_t non_vcpu_mean_ns;   /* device emulation, monitor */
    uint64_t all_block_ms;       /* time in which every vCPU waited at once */
    /* Where the time went, means over all faults: */
    uint64_t request_ns;         /* noticed -> request written */
    uint64_t transfer_ns;        /* request written -> page arrived */
    uint64_t place_ns;           /* page arrived -> placed and waiters woken */
} LatencyInfo;

/* nr_vcpus counts for all_block_ms; faults of vCPUs beyond it are those of no vCPU. */
LatencyTable *latency_new(unsigned nr_vcpus);
void latency_free(LatencyTable *t);
/* A fault on a page (its key: host address) was noticed; vcpu -1: not a vCPU. */
void latency_fault(LatencyTable *t, uintptr_t key, int vcpu, int64_t now_ns);
/* Its request was written; of several faults on a page, for those that have none yet. */
void latency_requested(LatencyTable *t, uintptr_t key, int64_t now_ns);
/* The page arrived at arrived_ns and was placed at now_ns: ends every fault on it, if any. */
void latency_placed(LatencyTable *t, uintptr_t key, int64_t arrived_ns, int64_t now_ns);
void latency_info(LatencyTable *t, LatencyInfo *info);
/* The p-th quantile (0..1) of the histogram in ns, an upper bound within its bucket; 0 if empty. */
uint64_t latency_quantile_ns(const LatencyInfo *info, double p);

#endif
