/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which vCPU dirties memory, without a dirty ring: KVM counts the page faults of each vCPU
 * (KVM_GET_STATS_FD, Linux 5.14). While the log is on, the first write to a protected page is one,
 * so differences of the count tell who wrote how many pages. First touches count as well.
 * Opened on the main thread with the vCPU; read by any thread.
 */
#include "kvm.h"

#include <string.h>
#include <unistd.h>

#define MAX_STATS 1024

/* Faults that KVM resolved, the slow way and the quick way. */
static const char *const fault_names[KVM_FAULT_STATS] = { "pf_fixed", "pf_fast" };

static void find_stats(KvmVcpu *v, const struct kvm_stats_header *h)
{
    const size_t size = sizeof(struct kvm_stats_desc) + h->name_size;
    g_autofree char *all = g_malloc(size * h->num_desc);

    if (pread(v->stats_fd, all, size * h->num_desc, h->desc_offset) !=
        (ssize_t)(size * h->num_desc)) {
        return;
    }
    for (uint32_t i = 0; i < h->num_desc; i++) {
        const struct kvm_stats_desc *d = (const void *)(all + i * size);

        for (unsigned k = 0; k < KVM_FAULT_STATS; k++) {
            if (strncmp(d->name, fault_names[k], h->name_size) == 0) {
                v->fault_offset[k] = h->data_offset + d->offset;
            }
        }
    }
}

void kvm_stats_open(KvmVcpu *v)
{
    struct kvm_stats_header h;

    v->stats_fd = kvm_check_cap(v->kvm, KVM_CAP_BINARY_STATS_FD)
                      ? kvm_ioctl(v->fd, KVM_GET_STATS_FD, NULL) : -1;
    if (v->stats_fd >= 0 && read(v->stats_fd, &h, sizeof(h)) == (ssize_t)sizeof(h) &&
        h.num_desc <= MAX_STATS && h.name_size <= 256) {
        find_stats(v, &h);
    }
}

void kvm_stats_close(KvmVcpu *v)
{
    if (v->stats_fd >= 0) {
        close(v->stats_fd);
    }
}

bool kvm_stats_faults(const KvmVcpu *v, uint64_t *faults)
{
    bool any = false;

    *faults = 0;
    for (unsigned k = 0; k < KVM_FAULT_STATS; k++) {
        uint64_t n;

        if (v->stats_fd >= 0 && v->fault_offset[k] &&
            pread(v->stats_fd, &n, sizeof(n), v->fault_offset[k]) == (ssize_t)sizeof(n)) {
            *faults += n;
            any = true;
        }
    }
    return any;
}
