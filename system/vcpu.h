/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU and its thread. The thread parks while the guest is stopped. `park_lock` guards the
 * requests below; it is a leaf lock.
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
    unsigned throttle_percent; /* atomic: share of time to sleep */
    bool parked;              /* atomic: the thread waits in vcpu_park */
};

bool vcpus_create(Machine *m, GError **errp);
void vcpus_destroy(Machine *m);
/* Ask all vCPUs to stop and wait until they are parked; machine lock NOT held, not on a vCPU's
 * thread (there: runstate_request_stop). */
void vcpus_pause(Machine *m);
void vcpus_resume(Machine *m);
bool vcpus_running(Machine *m);
/* 0..99 % for all vCPUs. Any thread. */
void vcpus_set_throttle(Machine *m, unsigned percent);

#endif
