/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vcpu.c and vcpu-throttle.c share. Private to the two. */
#ifndef SYSTEM_VCPU_THROTTLE_H
#define SYSTEM_VCPU_THROTTLE_H

#include "vcpu.h"

typedef struct VcpuSched {
    pthread_mutex_t lock;
    pthread_cond_t wake;     /* to vCPU threads: `run`, `quit` or the throttle changed */
    pthread_cond_t parked;   /* to pausers: nr_parked grew */
    pthread_cond_t ticker;   /* to the ticker: an earlier slice end, `quit` */
    bool run;                /* the guest may run; also read without the lock */
    bool quit;
    unsigned nr_parked;
    void (*work)(VCPU *cpu); /* of round work_round */
    unsigned work_round, work_left; /* vCPUs that have not done it */
    unsigned throttle_percent;
    pthread_t ticker_thread;
    bool ticker_started;
} VcpuSched;

/* CLOCK_MONOTONIC in ns, which is also the clock of the conditions above. */
int64_t vcpu_now_ns(void);
/* False: the deadline came first. */
bool vcpu_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);
/* The vCPU is about to run: its slice begins. sched->lock held. */
void vcpu_slice_begin(VCPU *cpu);
/* Between two turns in the guest: sleeps if the slice is over. vCPU thread, no lock held. */
void vcpu_throttle_sleep(VCPU *cpu);

#endif
