/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scheduling of the threads of a postcopy. Where more threads want to run than there are CPUs, one
 * on the way of a page fault otherwise waits for the end of somebody else's slice, which is longer
 * than the whole fault; and a guest waits for the threads that bring what it does not need yet.
 * Affects the calling thread only; no lock.
 */
#include "prompt-thread.h"

#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000
#define PATIENCE 5

void prompt_thread(void)
{
    struct sched_attr attr = {0};

    /* What else is set (nice value, policy) stays; the slice of SCHED_OTHER is in sched_runtime. */
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0 && attr.sched_policy == 0) {
        attr.size = sizeof(attr);
        attr.sched_flags = 0;
        attr.sched_runtime = SLICE_NS;
        (void)syscall(SYS_sched_setattr, 0, &attr, 0);
    }
}

void patient_thread(void)
{
    const id_t tid = (id_t)syscall(SYS_gettid);

    (void)setpriority(PRIO_PROCESS, tid, getpriority(PRIO_PROCESS, tid) + PATIENCE);
}
