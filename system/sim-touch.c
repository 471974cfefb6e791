/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A touch that a kick can end. In postcopy a page may be missing, and the thread that touches it
 * waits in the kernel for as long as the peer likes; a guest that is told to stop must not. The
 * kick's signal ends the wait; its handler jumps out of the touch, which has changed nothing, and
 * the visit begins anew when the guest goes on.
 *
 * `touching` is the vCPU thread's, and looked at by those who kick. Whoever sets one of `touching`
 * and `kicked` looks at the other afterwards, both in one order for all, so that one of the two
 * sees both.
 */
#include <signal.h>

#include "sim.h"

#define SIM_KICK_SIGNAL SIGUSR1

static __thread SimCpu *this_cpu;

static void on_kick(int sig)
{
    SimCpu *c = this_cpu;

    if (c && __atomic_load_n(&c->touching, __ATOMIC_SEQ_CST)) {
        siglongjmp(c->leave, 1);
    }
}

void sim_touch_init(void)
{
    /* SA_NODEFER: the jump leaves the handler without giving the signal free. */
    const struct sigaction sa = { .sa_handler = on_kick, .sa_flags = SA_NODEFER | SA_RESTART };

    sigaction(SIM_KICK_SIGNAL, &sa, NULL);
}

void sim_touch_thread(SimCpu *c)
{
    sigset_t set;

    if (this_cpu == c) {
        return;
    }
    sigemptyset(&set);
    sigaddset(&set, SIM_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    this_cpu = c;
}

void sim_touch_kick(VCPU *cpu)
{
    SimCpu *c = sim_cpu(cpu);

    if (__atomic_load_n(&c->touching, __ATOMIC_SEQ_CST)) {
        pthread_kill(cpu->thread, SIM_KICK_SIGNAL);
    }
}

bool sim_touch(SimCpu *c, const void *page)
{
    if (sigsetjmp(c->leave, 0)) {
        __atomic_store_n(&c->touching, false, __ATOMIC_SEQ_CST);
        return false;
    }
    __atomic_store_n(&c->touching, true, __ATOMIC_SEQ_CST);
    const bool go = !__atomic_load_n(&c->kicked, __ATOMIC_SEQ_CST);

    if (go) {
        (void)*(const volatile uint8_t *)page;
    }
    __atomic_store_n(&c->touching, false, __ATOMIC_SEQ_CST);
    return go;
}
