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
    GPtrArray *devices;        /* whatever hw/ made; freed in reverse order with its free function */
    struct FdTable *fds;       /* getfd names and fd sets; fd-table.c */
    GPtrArray *chardevs;       /* of Chardev */
};

/* Builds memory, accelerator, vCPUs and board from the config. hw/ registers the boards. */
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

/* The virtual clock in ns: stands still while the guest is stopped, migrates with it. */
int64_t machine_clock_ns(Machine *m);

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
} BoardOps;

/* NULL-terminated list of all boards; defined in hw/boards.c and handed to machine_new by main. */
void machine_set_boards(const BoardOps *const *boards);
const BoardOps *const *machine_boards(void);

/* migration-host.c: the MigrationHostOps of this machine. */
extern const MigrationHostOps machine_migration_host_ops;

#endif
