/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU of KVM: creation, running, kicking.
 *
 * kvm_vcpu_run() loops over KVM_RUN on the vCPU's thread, without the machine lock, until it is
 * kicked. A kick is immediate_exit plus a signal: the flag makes a KVM_RUN that comes later return
 * at once, the signal ends one that is under way. The flag is taken back only after KVM_RUN has
 * honoured it, so that no kick is lost and an I/O exit is always completed before the vCPU parks.
 */
#include "kvm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"

#define KVM_KICK_SIGNAL SIGUSR1
/* How often a vCPU that will not run again looks whether it was kicked. */
#define KVM_DEAD_POLL_MS 10

static void on_kick(int sig)
{
}

static void install_kick_signal(void)
{
    struct sigaction sa = { .sa_handler = on_kick };

    sigemptyset(&sa.sa_mask);
    sigaction(KVM_KICK_SIGNAL, &sa, NULL); /* no SA_RESTART: KVM_RUN must return */
}

static bool open_vcpu(KvmVcpu *v, GError **errp)
{
    KvmState *k = v->kvm;
    void *run;

    v->fd = kvm_ioctl(k->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)v->cpu->index);
    if (v->fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -v->fd, "KVM_CREATE_VCPU %u",
                             v->cpu->index);
    }
    run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (run == MAP_FAILED) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "mapping kvm_run of vCPU %u",
                             v->cpu->index);
    }
    v->run = run;
    return true;
}

/* As many machine check banks as fit into the `cpu` section. */
static void setup_mce(KvmVcpu *v)
{
    uint64_t cap = 0;

    if (v->kvm->has_mce &&
        kvm_ioctl(v->kvm->kvm_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap) == 0) {
        cap = (cap & ((1ULL << 8) | (1ULL << 24))) | X86_MCE_BANKS; /* MCG_CTL_P, MCG_SER_P */
        if (kvm_ioctl(v->fd, KVM_X86_SETUP_MCE, &cap) == 0) {
            v->x86.env.mcg_cap = cap;
        }
    }
}

bool kvm_vcpu_create(VCPU *cpu, GError **errp)
{
    KvmVcpu *v = g_new0(KvmVcpu, 1);

    v->cpu = cpu;
    v->kvm = kvm_state(cpu->machine);
    v->fd = v->stats_fd = -1;
    v->x86.cpu = cpu;
    v->x86.index = cpu->index;
    v->x86.fetch = kvm_fetch_part;
    v->x86.push = kvm_push_part;
    pthread_mutex_init(&v->gate, NULL);
    cpu->accel = v;
    cpu->arch = &v->x86;
    install_kick_signal();
    if (!open_vcpu(v, errp) || !kvm_cpuid_apply(v, errp) || !kvm_ring_map(v, errp)) {
        kvm_vcpu_destroy(cpu);
        return false;
    }
    setup_mce(v);
    kvm_stats_open(v);

    int khz = kvm_ioctl(v->fd, KVM_GET_TSC_KHZ, NULL);

    v->x86.env.tsc_khz = khz > 0 ? khz : 0;
    x86_cpu_reset(&v->x86);
    if (!kvm_msr_probe(v, errp) || !kvm_put_state(cpu, errp)) {
        kvm_vcpu_destroy(cpu);
        return false;
    }
    return true;
}

void kvm_vcpu_destroy(VCPU *cpu)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    if (!v) {
        return;
    }
    if (v->ring) {
        munmap(v->ring, v->kvm->ring_entries * sizeof(*v->ring));
    }
    kvm_stats_close(v);
    if (v->run) {
        munmap(v->run, v->kvm->run_size);
    }
    if (v->fd >= 0) {
        close(v->fd);
    }
    pthread_mutex_destroy(&v->gate);
    g_free(v->msr_supported);
    g_free(v);
    cpu->accel = cpu->arch = NULL;
}

void kvm_vcpu_kick(VCPU *cpu)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&v->has_thread, __ATOMIC_ACQUIRE)) {
        pthread_kill(v->thread, KVM_KICK_SIGNAL);
    }
}

/*
 * KVM answers about a vCPU only while it is out of the guest. The gate keeps it out until the
 * answer is there; a vCPU that waits for the machine lock, which the caller holds, is out already.
 */
bool kvm_vcpu_translate(VCPU *cpu, uint64_t gva, uint64_t *gpa)
{
    KvmVcpu *v = kvm_vcpu(cpu);
    struct kvm_translation t = { .linear_address = gva };

    pthread_mutex_lock(&v->gate);
    __atomic_store_n(&v->gate_shut, true, __ATOMIC_SEQ_CST);
    kvm_vcpu_kick(cpu);

    int rc = kvm_ioctl(v->fd, KVM_TRANSLATE, &t);

    __atomic_store_n(&v->gate_shut, false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&v->gate);
    *gpa = t.physical_address;
    return rc == 0 && t.valid;
}

static void pass_gate(KvmVcpu *v)
{
    if (G_UNLIKELY(__atomic_load_n(&v->gate_shut, __ATOMIC_SEQ_CST))) {
        pthread_mutex_lock(&v->gate);
        pthread_mutex_unlock(&v->gate);
    }
}

static void enter_thread(KvmVcpu *v)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, KVM_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    v->thread = pthread_self();
    __atomic_store_n(&v->has_thread, true, __ATOMIC_RELEASE);
}

static bool take_kick(KvmVcpu *v)
{
    return __atomic_exchange_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST) != 0;
}

bool kvm_vcpu_run(VCPU *cpu, GError **errp)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    if (!v->has_thread) {
        enter_thread(v);
    }
    if (v->halted_for_good) {
        while (!take_kick(v)) {
            poll(NULL, 0, KVM_DEAD_POLL_MS); /* ended early by the kick's signal, as a rule */
        }
        return true;
    }
    for (;;) {
        bool leave = false;

        pass_gate(v);

        int rc = ioctl(v->fd, KVM_RUN, NULL);

        if (rc < 0 && (errno == EINTR || errno == EAGAIN)) {
            /* EAGAIN: a vCPU that waits for its start-up message was woken for something else. */
            if (take_kick(v)) {
                return true;
            }
            continue;
        }
        if (rc < 0) {
            v->halted_for_good = true;
            return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "KVM_RUN of vCPU %u%s", cpu->index,
                                 errno == EFAULT ? " (guest memory could not be accessed)" : "");
        }
        if (!kvm_handle_exit(v, &leave, errp)) {
            v->halted_for_good = true;
            return false;
        }
        if (leave) {
            return true;
        }
    }
}
