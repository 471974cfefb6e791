/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerator `sim`: no guest code at all. Each vCPU is a workload that visits the pages of its
 * slice of guest RAM in the order of a pattern, verifies each against what its own state says it
 * must hold, and writes the next generation. Every pass visits every page of the slice once, so the
 * generation of a page follows from the position alone, and all of memory is verified without
 * keeping a copy of anything. The state migrates in the section `sim-cpu`, one instance per vCPU.
 *
 * A vCPU's state belongs to its thread while it runs, to the holder of the machine lock while it is
 * parked. Counters are written with atomics, so that anybody may look.
 */
#ifndef SYSTEM_SIM_H
#define SYSTEM_SIM_H

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "dirty-pagemap.h"
#include "machine.h"
#include "vcpu.h"

#define SIM_PAGE_BYTES 4096
#define SIM_PAGE_WORDS (SIM_PAGE_BYTES / 8)
#define SIM_HISTOGRAM  32 /* bucket i: stalls below 2^i us; the last takes the rest */

typedef enum SimPattern {
    SIM_IDLE,    /* touches nothing */
    SIM_SEQ,     /* ascending */
    SIM_REVERSE, /* descending */
    SIM_RANDOM,  /* a new permutation in every pass */
    SIM_STRIDE,  /* every stride-th page, then the ones behind them */
    SIM_STREAM,  /* ascending, whole pages, at a rate */
    SIM_DIRTY,   /* random, at a rate */
    SIM_PATTERN__COUNT,
} SimPattern;

/* How a page differs from what it must hold. */
typedef enum SimWrong {
    SIM_RIGHT,
    SIM_WRONG_ZERO,
    SIM_WRONG_STALE,
    SIM_WRONG_NEWER,
    SIM_WRONG_PLACE,
    SIM_WRONG_TORN,
    SIM_WRONG_OTHER,
} SimWrong;

/* What -accel sim,... asks for. */
typedef struct SimConfig {
    SimPattern pattern;
    bool whole;           /* write and verify all 4096 bytes, not only both ends */
    uint64_t rate;        /* MB/s (10^6) of all vCPUs together; 0: as fast as it goes */
    uint64_t stride;      /* pages */
    uint64_t base;        /* bytes: where in the RAM block the working set begins */
    uint64_t working_set; /* bytes; 0: all from base on */
    uint64_t seed;
    uint64_t report_ms;   /* between two lines on the serial port; 0: none */
} SimConfig;

/* What migrates: the program, where it is, and what it has seen. */
typedef struct SimState {
    uint32_t pattern; /* SimPattern */
    bool whole;
    uint64_t rate;    /* bytes/s of this vCPU; 0: no limit */
    uint64_t stride;
    uint64_t seed;
    uint64_t first;   /* first page of the slice in the RAM block */
    uint64_t pages;   /* of the slice */
    uint64_t pass;    /* passes done: visited pages hold generation pass + 1, others pass */
    uint64_t pos;     /* visits done in this pass */
    uint64_t ops, writes, verified;
    uint64_t wrong;       /* pages */
    uint64_t first_wrong; /* its offset in the RAM block, bytes */
    uint32_t first_kind;  /* SimWrong */
    uint64_t reports;
    uint64_t worst_us, worst_ever_us; /* since the last report, and ever */
    uint64_t histogram[SIM_HISTOGRAM];
    uint64_t last_real_ns; /* only while it is saved: CLOCK_REALTIME of the last visit; 0: none */
} SimState;

/* One vCPU: VCPU.accel. */
typedef struct SimCpu {
    VCPU *cpu;
    SimState s;           /* VCPU.arch points here */
    uint8_t *host;        /* of the RAM block */
    uint64_t block_pages;
    uint64_t report_ms;
    int64_t last_ns;      /* end of the last visit, CLOCK_MONOTONIC; 0: no stall to measure */
    int64_t due_ns;       /* when the next visit may begin, with a rate */
    int64_t report_ns;    /* when the next report is due */
    pthread_mutex_t lock; /* leaf; guards the sleep against a lost kick */
    pthread_cond_t wake;  /* CLOCK_MONOTONIC */
    bool kicked;          /* atomic; sticky until a vcpu_run() has seen it */
    bool touching;        /* atomic; see sim-touch.c */
    sigjmp_buf leave;     /* where a kick ends the touch */
    uint64_t dirtied;     /* atomic: pages written since vcpu_dirty_pages() */
    uint64_t limit;       /* atomic: bytes/s by vcpu_dirty_limit(); 0: none */
} SimCpu;

/* The accelerator: Machine.accel_state. */
typedef struct SimAccel {
    SimConfig conf;
    PagemapLog *log; /* while logging */
} SimAccel;

static inline SimCpu *sim_cpu(VCPU *cpu)
{
    return cpu->accel;
}

/* Counters that others look at while the owner counts. */
#define SIM_COUNT(field, n) \
    __atomic_store_n(&(field), __atomic_load_n(&(field), __ATOMIC_RELAXED) + (n), __ATOMIC_RELAXED)
#define SIM_LOOK(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* ---- sim-config.c ---- */
extern const char *const sim_props[];
bool sim_config_parse(SimConfig *out, const AccelConfig *conf, GError **errp);
const char *sim_pattern_name(SimPattern p);

/* ---- sim-pattern.c ---- */
/* The page of the slice that visit `pos` (< s->pages) of the present pass goes to. */
uint64_t sim_pattern_page(const SimState *s, uint64_t pos);

/* ---- sim-page.c; `index` is the page's number in the RAM block ---- */
void sim_page_write(uint64_t *page, const SimState *s, uint64_t index, uint64_t generation);
SimWrong sim_page_verify(const uint64_t *page, const SimState *s, uint64_t index,
                         uint64_t generation);
const char *sim_wrong_name(SimWrong kind);

/* ---- sim-touch.c ---- */
void sim_touch_init(void);
/* Before a touch, on the vCPU's thread. */
void sim_touch_thread(SimCpu *c);
/* After `kicked` was set; any thread. */
void sim_touch_kick(VCPU *cpu);
/* Reads from the page; false if a kick came before that was possible. The vCPU's thread. */
bool sim_touch(SimCpu *c, const void *page);

/* ---- sim-run.c ---- */
bool sim_vcpu_run(VCPU *cpu, GError **errp);
void sim_vcpu_kick(VCPU *cpu);
/* One visit: verify, write, go on. */
/* False, and nothing has happened: a kick came while the page was missing. */
bool sim_visit(SimCpu *c);
/* Counts a gap of that length in which the workload could do nothing. */
void sim_stall(SimState *s, int64_t ns);

/* ---- sim-report.c ---- */
/* The line of one vCPU, without its end. Caller frees. */
char *sim_report_line(const SimCpu *c);
/* Sends it to the first serial port if there is one. vCPU thread, machine lock not held. */
void sim_report(SimCpu *c);

/* ---- sim-state.c ---- */
bool sim_register_vmstate(Machine *m, GError **errp);

/* ---- sim-dirty.c ---- */
extern const MigrationDirtyLogOps sim_dirty_log_ops;

#endif
