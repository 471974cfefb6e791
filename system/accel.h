/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerators: what runs vCPUs. `kvm` (kvm*.c) and `sim` (sim*.c): workload threads that touch
 * guest memory in this process, for hosts without KVM and for repeatable tests.
 */
#ifndef SYSTEM_ACCEL_H
#define SYSTEM_ACCEL_H

#include <stdbool.h>

#include "config.h"
#include "migration/ram.h"

struct Machine;
struct VCPU;

typedef struct AccelOps {
    const char *name;
    const char *const *props; /* supported -accel properties, NULL-terminated */
    /* Opens the accelerator; false with *errp makes the next `-accel` be tried. Sets
     * m->accel_state. */
    bool (*init)(struct Machine *m, const AccelConfig *conf, GError **errp);
    void (*destroy)(struct Machine *m);
    /* Follow the memory map (machine lock held, inside a commit). */
    const struct MemoryListener *memory_listener;
    /* Per vCPU: create on the main thread; `run` is called on the vCPU's thread again and again
     * while the guest runs, without the machine lock, and returns when kicked or when there is
     * something for the generic code to do. */
    bool (*vcpu_create)(struct VCPU *cpu, GError **errp);
    void (*vcpu_destroy)(struct VCPU *cpu);
    bool (*vcpu_run)(struct VCPU *cpu, GError **errp);
    /* Makes vcpu_run return soon. Any thread. */
    void (*vcpu_kick)(struct VCPU *cpu);
    /* Fetch the state into cpu->arch / push it back; guest stopped, machine lock held. */
    bool (*vcpu_get_state)(struct VCPU *cpu, GError **errp);
    bool (*vcpu_put_state)(struct VCPU *cpu, GError **errp);
    bool (*vcpu_reset)(struct VCPU *cpu, GError **errp);
    /* Optional: guest virtual to physical by this vCPU's page tables; false if it maps to nothing.
     * Machine lock held, the guest may run. NULL: addresses are the same. */
    bool (*vcpu_translate)(struct VCPU *cpu, uint64_t gva, uint64_t *gpa);
    /* Register the accelerator's own vmstate (cpu, apic, kvmclock, ...), and those of a vCPU. */
    bool (*register_vmstate)(struct Machine *m, GError **errp);
    /* Told when the guest is about to start (true) or has just stopped (false); lock held. */
    void (*running_changed)(struct Machine *m, bool running);
    /* Optional: the guest and its devices have just been stopped, to run elsewhere: what has to be
     * fetched for that may begin to be. Run state's transition lock. */
    void (*handing_over)(struct Machine *m);
    /* Raise or lower an interrupt line of the board's interrupt controller. Any thread. */
    void (*set_irq)(struct Machine *m, unsigned gsi, int level);
    const MigrationDirtyLogOps *dirty_log; /* opaque is the Machine */
} AccelOps;

extern const AccelOps accel_kvm;
extern const AccelOps accel_sim;

/* NULL-terminated, in order of preference. */
const AccelOps *const *accel_list(void);

#endif
