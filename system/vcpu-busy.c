/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a vCPU has had work: the time that its thread ran or stood in line for a CPU, as the
 * kernel counts it (schedstat of the thread). The rest it slept: the guest had halted it, or it was
 * throttled. What KVM spends polling before it lets a halted vCPU sleep counts as work.
 * Any thread; no lock: the thread's number is read atomically, and a thread that is gone has no
 * file.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vcpu-throttle.h"

uint64_t vcpu_busy_ns(Machine *m, unsigned index)
{
    char path[64], text[96] = "";
    uint64_t ran = 0, waited = 0;
    FILE *f;

    if (index >= m->nr_vcpus) {
        return 0;
    }
    g_snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat",
               __atomic_load_n(&m->vcpus[index]->tid, __ATOMIC_ACQUIRE));
    f = fopen(path, "re");
    if (!f) {
        return 0;
    }
    if (!fgets(text, sizeof(text), f) ||
        sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2) {
        ran = waited = 0;
    }
    fclose(f);
    return ran + waited;
}
