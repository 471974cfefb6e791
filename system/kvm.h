/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of accelerator `kvm` share. Nobody else includes this.
 *
 * Locks: the machine lock guards vCPU state, interrupt chips and the clock. `slot_lock` guards the
 * memory slots and the dirty bitmaps harvested from them; it is a leaf lock, taken by the memory
 * listener (machine lock held) and by the migration threads (machine lock not held), and held
 * across ioctls of /dev/kvm only, which do not wait for the guest.
 */
#ifndef SYSTEM_KVM_H
#define SYSTEM_KVM_H

#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>

#include "machine.h"
#include "vcpu.h"
#include "x86-cpu.h"

#define KVM_CPUID_MAX 256
#define KVM_IOAPIC_PINS 24
#define KVM_LINES (2 * KVM_IOAPIC_PINS)
#define KVM_FAULT_STATS 2

/* One memory slot: a piece of a RAM block at a guest physical address. */
typedef struct KvmSlot {
    uint32_t id;
    bool used;
    bool logging;          /* KVM_MEM_LOG_DIRTY_PAGES is set */
    uint64_t gpa, size;    /* bytes */
    uint8_t *host;
    bool readonly;
    RAMBlock *block;
    uint64_t first_page;   /* of the block */
    uint64_t npages;
    /* Two-step log: reported to the engine, not protected again yet. One-step log and ring: taken
     * from KVM, not reported yet. One bit per page, whole words. */
    uint64_t *harvested;
} KvmSlot;

/* Pages of a slot that went away while the log was on; reported at the next sync. */
typedef struct KvmOrphan {
    RAMBlock *block;
    uint64_t first_page, npages;
    uint64_t *bitmap;
} KvmOrphan;

/* How dirty pages are learned; fixed at start-up. */
typedef enum KvmLogMode {
    KVM_LOG_ONE_STEP,      /* KVM_GET_DIRTY_LOG reports and protects */
    KVM_LOG_TWO_STEP,      /* ... reports, KVM_CLEAR_DIRTY_LOG protects */
    KVM_LOG_RING,          /* a ring per vCPU, KVM_RESET_DIRTY_RINGS protects */
} KvmLogMode;

/* The in-kernel interrupt chips and the timer, in the fields of their sections. */
typedef struct KvmIoapic {
    struct KvmState *kvm;
    uint8_t id, ioregsel;
    uint32_t irr;
    uint64_t ioredtbl[KVM_IOAPIC_PINS];
} KvmIoapic;

typedef struct KvmPic {
    struct KvmState *kvm;
    uint8_t last_irr, irr, imr, isr, priority_add, irq_base, read_reg_select, poll, special_mask;
    uint8_t init_state, auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode, init4;
    uint8_t single_mode; /* KVM's PIC does not have it: 0 */
    uint8_t elcr;
} KvmPic;

typedef struct KvmPitChannel {
    int32_t count;
    uint16_t latched_count;
    uint8_t count_latched, status_latched, status, read_state, write_state, write_latch, rw_mode;
    uint8_t mode, bcd, gate;
    int64_t count_load_time, next_transition_time; /* virtual clock ns */
} KvmPitChannel;

typedef struct KvmPit {
    struct KvmState *kvm;
    uint32_t irq_disabled;
    KvmPitChannel channels[3];
    int64_t next_transition_time;
} KvmPit;

typedef struct KvmClock {
    struct KvmState *kvm;
    uint64_t clock;        /* ns; valid while the guest is stopped */
    bool is_reliable;      /* of `clock`, as the source said */
    bool valid;            /* `clock` is to be set at the next start */
} KvmClock;

/* kvm-tpr-opt: carried for the wire only. */
typedef struct KvmTprOptHandlers {
    uint32_t set_tpr, set_tpr_eax, get_tpr[8], get_tpr_stack;
} KvmTprOptHandlers;

typedef struct KvmTprOptRom {
    uint32_t vaddr, fixup_start, fixup_end, vapic_vaddr, vapic_size, vcpu_shift, real_tpr_addr;
    KvmTprOptHandlers up, mp;
} KvmTprOptRom;

typedef struct KvmTprOpt {
    KvmTprOptRom rom_state;
    uint32_t state, real_tpr_addr, rom_state_vaddr, vapic_paddr, rom_state_paddr;
} KvmTprOpt;

typedef struct KvmState {
    Machine *machine;
    int kvm_fd, vm_fd;
    int run_size;          /* of the kvm_run mapping, bytes */
    int xsave_size;        /* bytes */
    struct kvm_cpuid2 *cpuid; /* for every vCPU, but for what names the vCPU */
    uint16_t xstate_offset[64]; /* of a component in the xsave image, 0: not offered */
    bool has_sregs2, has_triple_fault, has_mce;
    bool clock_is_reliable;
    bool has_pic, has_pit, has_ioapic2;

    pthread_mutex_t slot_lock;
    GPtrArray *slots;      /* of KvmSlot, by id */
    GPtrArray *orphans;    /* of KvmOrphan */
    bool logging;
    KvmLogMode log_mode;
    bool initially_set;    /* two-step: a new log starts with every bit set */
    uint32_t ring_entries; /* per vCPU, with KVM_LOG_RING */

    /* Each is newer than KVM's while `chips_dirty`; pushed at the next start. */
    bool chips_dirty;
    KvmIoapic ioapic, ioapic2;
    pthread_mutex_t ioapic2_lock; /* leaf: ioapic2, whose lines move on any thread */
    pthread_mutex_t line_lock; /* kvm-lines.c: the next three */
    bool lines_held;           /* lines wait for the chips' state */
    uint64_t lines_moved, lines_high; /* by GSI, while held */
    KvmPic pic[2];
    KvmPit pit;
    KvmClock clock;
    KvmTprOpt tpr_opt;
} KvmState;

typedef struct KvmVcpu {
    VCPU *cpu;
    KvmState *kvm;
    int fd;
    struct kvm_run *run;
    X86CPU x86;
    uint64_t *msr_supported; /* bitmap over the table of kvm-state-msr.c */
    pthread_t thread;      /* written by the vCPU thread before has_thread */
    bool has_thread;       /* atomic */
    pthread_mutex_t gate;  /* leaf; held while another thread asks KVM about this vCPU */
    bool gate_shut;        /* atomic: do not enter the guest, pass by the gate first */
    bool early;            /* the registers were fetched since the guest stopped */
    bool halted_for_good;  /* the guest shut itself down or KVM gave up; vCPU thread */
    struct kvm_dirty_gfn *ring;
    uint32_t ring_index;   /* next entry to look at; slot_lock */
    uint64_t ring_pages;   /* atomic: pages harvested since asked */
    uint64_t ring_total;   /* atomic: pages harvested ever */
    int stats_fd;          /* -1: none */
    uint64_t fault_offset[KVM_FAULT_STATS]; /* of the counts in it; 0: not there */
} KvmVcpu;

static inline KvmState *kvm_state(Machine *m)
{
    return m->accel_state;
}

static inline KvmVcpu *kvm_vcpu(VCPU *cpu)
{
    return cpu->accel;
}

/* ioctl, retried on EINTR; returns a negative errno. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
/* KVM_CHECK_EXTENSION of the VM; 0 if it is not there. */
int kvm_check_cap(KvmState *k, int cap);

/* kvm-memory.c */
extern const MemoryListener kvm_memory_listener;
void kvm_memory_destroy(KvmState *k);
/* Turns logging of a slot on or off; slot_lock held. */
bool kvm_slot_set_logging(KvmState *k, KvmSlot *slot, bool on, GError **errp);

/* kvm-dirty.c */
extern const MigrationDirtyLogOps kvm_dirty_log_ops;
void kvm_dirty_init(KvmState *k);
/* The slot is about to go away while logging: keep what it knows. slot_lock held. */
void kvm_dirty_slot_gone(KvmState *k, KvmSlot *slot);
void kvm_orphan_free(gpointer orphan);

/* kvm-ring.c */
/* Tries the ring of `entries` per vCPU in a scratch VM, then turns it on for this one. False with
 * the reason: the caller falls back to the log. */
bool kvm_ring_enable(KvmState *k, uint32_t entries, GError **errp);
bool kvm_ring_map(KvmVcpu *v, GError **errp);
/* Takes every vCPU's entries into the slots' bitmaps; slot_lock held. */
void kvm_ring_harvest(KvmState *k);
unsigned kvm_ring_vcpu_pages(KvmState *k, uint64_t *pages, unsigned n);

/* kvm-stats.c: the vCPU's file descriptor must be open. */
void kvm_stats_open(KvmVcpu *v);
void kvm_stats_close(KvmVcpu *v);
/* Page faults of the vCPU so far that KVM resolved; false if KVM does not tell. Any thread. */
bool kvm_stats_faults(const KvmVcpu *v, uint64_t *faults);

/* kvm-irqchip.c */
bool kvm_irqchip_create(KvmState *k, GError **errp);
void kvm_irqchip_reset(KvmState *k);
bool kvm_irqchip_fetch(KvmState *k, GError **errp);
bool kvm_irqchip_push(KvmState *k, GError **errp);
bool kvm_irqchip_register(KvmState *k, GError **errp);

/* kvm-lines.c; any thread */
void kvm_set_irq(Machine *m, unsigned gsi, int level);
/* Lines move when released; the last word on each counts. */
void kvm_lines_hold(KvmState *k);
void kvm_lines_release(KvmState *k);

/* kvm-pit.c */
bool kvm_pit_fetch(KvmState *k, GError **errp);
bool kvm_pit_push(KvmState *k, GError **errp);
void kvm_pit_reset(KvmPit *pit);
extern const VMStateDescription kvm_vmstate_pit;

/* kvm-ioapic2.c: registers, memory window and lines of the second I/O APIC. */
bool kvm_ioapic2_create(KvmState *k, GError **errp);
void kvm_ioapic_reset(KvmIoapic *io);
/* Any thread. */
void kvm_ioapic2_set_line(KvmState *k, unsigned pin, int level);

/* kvm-clock.c */
void kvm_clock_stopped(KvmState *k);
bool kvm_clock_started(KvmState *k, GError **errp);
bool kvm_clock_register(KvmState *k, GError **errp);

/* kvm-tpr-opt.c */
extern const VMStateDescription kvm_vmstate_tpr_opt;

/* kvm-cpuid.c */
bool kvm_cpuid_init(KvmState *k, const char *model, GError **errp);
bool kvm_cpuid_apply(KvmVcpu *v, GError **errp);
/* One register of a leaf of the guest's CPUID, 0 if it is not there. reg: 0 eax .. 3 edx. */
uint32_t kvm_cpuid_get(const KvmState *k, uint32_t function, uint32_t index, int reg);

/* kvm-vcpu.c */
bool kvm_vcpu_create(VCPU *cpu, GError **errp);
void kvm_vcpu_destroy(VCPU *cpu);
bool kvm_vcpu_run(VCPU *cpu, GError **errp);
void kvm_vcpu_kick(VCPU *cpu);
bool kvm_vcpu_translate(VCPU *cpu, uint64_t gva, uint64_t *gpa);

/* kvm-exit.c */
/* Handles what KVM_RUN came back with; *leave ends vcpu_run. False: the guest can't go on. */
bool kvm_handle_exit(KvmVcpu *v, bool *leave, GError **errp);

/* kvm-state.c */
bool kvm_get_state(VCPU *cpu, GError **errp);
bool kvm_put_state(VCPU *cpu, GError **errp);
bool kvm_reset_vcpu(VCPU *cpu, GError **errp);
void kvm_handing_over(Machine *m);
bool kvm_register_vmstate(Machine *m, GError **errp);
void kvm_running_changed(Machine *m, bool running);
/* Hooks of X86CPU. */
bool kvm_fetch_part(X86CPU *x, X86Part part, GError **errp);
bool kvm_push_part(X86CPU *x, X86Part part, GError **errp);
/* ioctl on the vCPU; a failure is reported with `what` and the vCPU's number. */
bool kvm_vcpu_ioctl(KvmVcpu *v, unsigned long request, void *arg, const char *what, GError **errp);

/* kvm-state-*.c: one group of state each; all return false with *errp naming the vCPU. */
bool kvm_get_regs(KvmVcpu *v, GError **errp);
bool kvm_put_regs(KvmVcpu *v, GError **errp);
bool kvm_get_fpu(KvmVcpu *v, GError **errp);
bool kvm_put_fpu(KvmVcpu *v, GError **errp);
bool kvm_get_events(KvmVcpu *v, GError **errp);
bool kvm_put_events(KvmVcpu *v, GError **errp);
bool kvm_msr_probe(KvmVcpu *v, GError **errp);
bool kvm_get_msrs(KvmVcpu *v, GError **errp);
bool kvm_put_msrs(KvmVcpu *v, GError **errp);
bool kvm_put_tsc(KvmVcpu *v, GError **errp);
bool kvm_put_tsc_deadline(KvmVcpu *v, GError **errp);
bool kvm_get_mp_state(KvmVcpu *v, GError **errp);
bool kvm_put_mp_state(KvmVcpu *v, GError **errp);
bool kvm_get_lapic(KvmVcpu *v, GError **errp);
bool kvm_put_lapic(KvmVcpu *v, GError **errp);

/* x86-apic.c: the section's fields and KVM's register page. `now`: virtual clock ns. */
void x86_apic_from_page(X86Apic *a, const struct kvm_lapic_state *page, uint64_t apicbase,
                        int64_t now);
void x86_apic_to_page(const X86Apic *a, struct kvm_lapic_state *page, int64_t now);

#endif
