/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machine: the virtual machine as a whole. One per process, made by main(), but nothing here is a
 * global: whoever needs it holds a pointer.
 *
 * Threads: the main loop and the vCPU threads. `lock` is the machine lock: it guards device state,
 * the memory map and the run state, and is never held while waiting for a peer or a vCPU that runs.
 */
#ifndef SYSTEM_MACHINE_H
#define SYSTEM_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "accel.h"
#include "config.h"
#include "memory.h"
#include "migration/migration.h"
#include "runstate.h"

typedef struct VCPU VCPU;
typedef struct Machine Machine;

struct Machine {
    const MachineConfig *config;
    pthread_mutex_t lock;      /* error-checking; machine_lock()/machine_unlock() */
    void *lock_owner;          /* atomic: pthread_self() of who holds it, else NULL */
    MigrationState *migration;
    MemoryMap *memory;
    const AccelOps *accel;
    void *accel_state;         /* owned by the accelerator */
    RAMBlock *ram_block;       /* main memory */
    uint64_t ram_size;         /* bytes */
    uint64_t ram_below_4g, ram_above_4g;
    VCPU **vcpus;
    unsigned nr_vcpus;
    RunStateMachine *run_state;
    GMainLoop *loop;
    int exit_code;
    int64_t clock_offset;      /* ns; the `timer` section: virtual clock = monotonic + offset */
    bool clock_stopped;
    GPtrArray *devices;        /* of MachineDevice; machine_add_device() */
    struct FdTable *fds;       /* getfd names, fd sets; made by machine_new() from config->fdsets */
    GPtrArray *chardevs;       /* of Chardev; opened by machine_new() from config->chardevs */
    GPtrArray *netdevs;        /* of NetBackend; net.c */
    struct NetAnnouncer *announcer; /* net-announce.c */
    const struct BoardOps *board;
    void *board_state;         /* the board's own */
    pthread_mutex_t clock_lock; /* leaf: clock_offset, clock_stopped */
    int64_t ticks_offset;      /* `timer` section: carried, not used */
    bool no_reboot, no_shutdown; /* atomic: the config's, until set-action changes them */
    bool autostart;            /* atomic: start when the incoming migration is done */
    GPtrArray *backends;       /* of MemoryBackend, all that -object and -m made */
    struct BootImages *boot_images; /* what reset writes into guest memory; loader.c */
    struct VcpuSched *sched;   /* vcpu.c: park, resume, throttle */
    struct DirtyTracker *dirty; /* dirty-log.c: pages written by devices */
    struct MachineListeners *listeners; /* migration-host.c */
    struct MonitorSet *monitors; /* monitor/monitor.c; NULL without */
    struct MachineBalloon *balloon; /* the device's; NULL: none */
    GArray *run_ops;           /* machine-run.c; NULL until the first is added */
    struct { /* pressed by machine_powerdown(); NULL: none */
        void (*press)(void *opaque);
        void *opaque;
    } power_button;
    char *accel_errors;        /* why earlier -accel words did not work; NULL if the first did */
};

/* Builds fd table, chardevs, accelerator, memory, vCPUs and board from the config, which must stay
 * valid. The guest is stopped in prelaunch, or inmigrate with -incoming. Main thread. */
Machine *machine_new(const MachineConfig *config, GError **errp);
/* Stops the vCPUs, joins every thread, frees. */
void machine_free(Machine *m);
void machine_lock(Machine *m);
void machine_unlock(Machine *m);
bool machine_is_locked_by_me(Machine *m);
/* Makes the main loop return with that exit code. Any thread. */
void machine_exit(Machine *m, int code);
/* Resets the vCPUs and devices. Machine lock held, guest stopped. */
void machine_reset(Machine *m);

/* The virtual clock in ns: stands still while the guest is stopped, migrates with it. Any
 * thread. */
int64_t machine_clock_ns(Machine *m);
/* Lets the virtual clock run or stand still. Run state only; machine lock held. */
void machine_clock_set_running(Machine *m, bool running);

/* Gives a device to the machine: `destroy` is called in reverse order by machine_free(), `reset`
 * (optional) by machine_reset(). Machine lock held. */
void machine_add_device(Machine *m, void *dev, GDestroyNotify destroy, void (*reset)(void *dev));

/* ---- the balloon ---- */

#define MACHINE_BALLOON_STATS 16 /* statistics of a guest's memory, in the order of virtio's tags */

/* How monitors talk to the balloon, on any thread; bytes of memory that the guest has. */
typedef struct MachineBalloon {
    const char *id;           /* -device id=; NULL: none given */
    uint64_t (*actual)(void *opaque);
    void (*set_target)(void *opaque, uint64_t bytes); /* returns at once */
    /* The guest's statistics, UINT64_MAX for one that it does not tell; returns when they were
     * written, seconds since 1970, 0: never. */
    int64_t (*stats)(void *opaque, uint64_t values[MACHINE_BALLOON_STATS]);
    /* How often the guest is asked for them, seconds; 0: not at all. */
    uint32_t (*stats_interval)(void *opaque);
    void (*set_stats_interval)(void *opaque, uint32_t seconds);
    void *opaque;
    /* Set by the monitors before the guest runs; called when `actual` has changed. */
    void (*changed)(void *opaque, uint64_t actual);
    void *changed_opaque;
} MachineBalloon;

/* ---- devices that work while the guest runs (machine-run.c) ---- */

/* Called with the run state's transition lock and no other, on any thread but a vCPU's. */
typedef struct MachineRunOps {
    /* Optional, for all devices before the first `stopped`: begin to finish. Does not wait, so that
     * what devices have to wait for passes at the same time. */
    void (*stopping)(void *opaque, bool handover);
    /* The vCPUs are parked: finish what is under way; may wait for the host's devices. With
     * `handover` the guest may run elsewhere next: write everything out and give up locks. Called
     * again, and with handover alone, for a guest that was stopped before. */
    void (*stopped)(void *opaque, bool handover);
    /* The guest is about to run here. False with *errp: it cannot. */
    bool (*starting)(void *opaque, GError **errp);
} MachineRunOps;

/* Before the guest first starts. Main thread, machine lock held. */
void machine_add_run_ops(Machine *m, const MachineRunOps *ops, void *opaque);
/* Fine if it was not added. The guest does not run. */
void machine_remove_run_ops(Machine *m, void *opaque);
/* Run state only. */
void machine_run_stopped(Machine *m, bool handover);
/* All or none: when one refuses, those before it are stopped again. */
bool machine_run_starting(Machine *m, GError **errp);

/* The open chardev of that id or NULL. Main thread. */
struct Chardev *machine_find_chardev(Machine *m, const char *id);

/* Gives the machine a power button; `press` is called with the machine lock. Main thread, before
 * the guest runs. */
void machine_set_power_button(Machine *m, void (*press)(void *opaque), void *opaque);
/* Asks the guest to shut down; without a power button nothing happens. Machine lock not held. */
void machine_powerdown(Machine *m);

/* Raises or lowers an interrupt line. Any thread. */
void machine_set_irq(Machine *m, unsigned gsi, int level);

/* ---- who wants to hear of migration (monitors, main) ---- */

/* Called on any thread; must not block and must not call back into the engine. Any may be NULL. */
typedef struct MachineMigrationListener {
    void (*status_changed)(void *opaque, bool incoming, MigrationStatus status);
    void (*pass_started)(void *opaque, uint64_t pass);
    /* The incoming side failed for good: the process should exit (machine_exit(m, 1)). */
    void (*incoming_failed)(void *opaque, const char *message);
} MachineMigrationListener;

/* Adds a listener; `l` must stay valid until machine_free(). Any thread. */
void machine_add_migration_listener(Machine *m, const MachineMigrationListener *l, void *opaque);

/* ---- boards (hw/) ---- */

typedef struct BoardOps {
    const char *name;            /* "none", "microvm" */
    const char *description;
    const char *default_ram_id;  /* RAM block name without memory-backend= */
    uint64_t default_ram_size;
    unsigned min_cpus, max_cpus; /* "none" has no CPU: 0, and 1 accepted on the command line */
    const char *const *props;    /* supported -machine properties, NULL-terminated */
    /* Machine exists, memory and vCPUs are there, lock held: make devices, load the kernel. */
    bool (*init)(Machine *m, GError **errp);
    /* Called on reset after the vCPUs were reset: puts the boot state into vCPU 0. */
    bool (*reset)(Machine *m, GError **errp);
    uint64_t pci_hole_start;     /* RAM above this goes to 4 GiB and up; 0: no hole */
    /* Optional: an incoming stream was loaded and may have resized blocks: fit the memory map to
     * it. Lock held, before the guest starts. */
    bool (*post_incoming)(Machine *m, GError **errp);
    bool maps_ram;               /* init() maps the RAM block itself */
} BoardOps;

/* NULL-terminated list of all boards; defined in hw/boards.c and handed to machine_new by main. */
void machine_set_boards(const BoardOps *const *boards);
const BoardOps *const *machine_boards(void);

/* migration-host.c: the MigrationHostOps of this machine. */
extern const MigrationHostOps machine_migration_host_ops;

#endif
