/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU and its thread. The thread parks while the guest is stopped. The lock of VcpuSched
 * (vcpu.c) guards the requests; it is a leaf lock.
 *
 * What accelerators must keep to: vcpu_kick() is sticky. A kick that comes before vcpu_run() has
 * entered the guest makes that vcpu_run() return at once.
 */
#ifndef SYSTEM_VCPU_H
#define SYSTEM_VCPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "machine.h"

struct VCPU {
    Machine *machine;
    unsigned index;
    pthread_t thread;
    bool thread_started;
    int tid;                  /* host thread id; atomic */
    void *accel;              /* the accelerator's per-vCPU state */
    void *arch;               /* register file that migrates (X86CPU of kvm, SimCPU of sim) */
    unsigned limit_percent;   /* share of time to sleep on its own account; sched->lock */
    uint64_t throttled_ns;    /* atomic: slept so far by any throttle */
    bool parked;              /* atomic: the thread waits in vcpu_park */
    /* vcpu.c's own, under sched->lock */
    int64_t slice_start_ns;   /* when the vCPU last began to run after a park or throttle sleep */
    int64_t slice_end_ns;     /* when the throttle kicks it; 0: not throttled */
    bool throttle_due;        /* atomic: sleep before running on */
    unsigned work_done;       /* the last round of vcpus_work_begin() that it took part in */
};

bool vcpus_create(Machine *m, GError **errp);
void vcpus_destroy(Machine *m);
/* Ask all vCPUs to stop and wait until they are parked; machine lock NOT held, not on a vCPU's
 * thread (there: runstate_request_stop). */
void vcpus_pause(Machine *m);
/* The same, but gives up at that time (monotonic ns): a vCPU may wait for a page of a postcopy. */
void vcpus_pause_until(Machine *m, int64_t deadline_ns);
void vcpus_resume(Machine *m);
bool vcpus_running(Machine *m);
/* Has every vCPU's thread call `work`, at the same time as the others; all are parked. It must not
 * take a lock that a caller of vcpus_work_wait() may hold (the machine lock). Returns at once. */
void vcpus_work_begin(Machine *m, void (*work)(VCPU *cpu));
/* Until all have done so. A start of the guest waits as well. */
void vcpus_work_wait(Machine *m);
/* The vCPUs park as soon as they can; nobody waits. Any thread, also a vCPU's own. */
void vcpus_request_pause(Machine *m);
/* 0..99 % for all vCPUs. Any thread. */
void vcpus_set_throttle(Machine *m, unsigned percent);
/* 0..99 % for one; the larger of both counts. Any thread. */
void vcpu_set_throttle(Machine *m, unsigned index, unsigned percent);
/* How long it has slept so far, ns; 0 for one that does not exist. Any thread. */
uint64_t vcpu_throttled_ns(Machine *m, unsigned index);
/* How long that vCPU has had work so far, ns; 0: not known. Any thread. */
uint64_t vcpu_busy_ns(Machine *m, unsigned index);

#endif
