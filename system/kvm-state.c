/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole state of a vCPU to and from KVM, when it goes there, and its registration. Main thread
 * or migration threads; machine lock, guest stopped.
 *
 * While `dirty` is set X86CPU is the truth and nothing is fetched. It is set by reset, load and
 * kvm_put_state(), and taken back when the guest starts: only then the time stamp counter, the
 * APIC timers and the interrupt chips get their state, since they run by themselves from then on.
 * What was pushed meanwhile is not pushed again.
 *
 * When the guest is stopped to run elsewhere, each vCPU's own thread fetches its registers while
 * the last memory is looked for (`early`). What an interrupt may still change (pending events,
 * APIC, mp_state) is fetched when it is saved.
 */
#include "kvm.h"

#include "error.h"
#include "trace.h"
#include "x86-features.h"

bool kvm_vcpu_ioctl(KvmVcpu *v, unsigned long request, void *arg, const char *what, GError **errp)
{
    int rc = kvm_ioctl(v->fd, request, arg);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "vCPU %u: %s", v->cpu->index, what);
    }
    return true;
}

bool kvm_get_lapic(KvmVcpu *v, GError **errp)
{
    struct kvm_lapic_state page;

    if (!kvm_vcpu_ioctl(v, KVM_GET_LAPIC, &page, "KVM_GET_LAPIC", errp)) {
        return false;
    }
    x86_apic_from_page(&v->x86.apic, &page, v->x86.apic.apicbase,
                       machine_clock_ns(v->cpu->machine));
    return true;
}

bool kvm_put_lapic(KvmVcpu *v, GError **errp)
{
    struct kvm_lapic_state page;

    /* First fetched, for what is not in the section: version, CMCI vector. */
    if (!kvm_vcpu_ioctl(v, KVM_GET_LAPIC, &page, "KVM_GET_LAPIC", errp)) {
        return false;
    }
    x86_apic_to_page(&v->x86.apic, &page, machine_clock_ns(v->cpu->machine));
    return kvm_vcpu_ioctl(v, KVM_SET_LAPIC, &page, "KVM_SET_LAPIC", errp);
}

/* What nothing but the vCPU itself changes. */
static bool get_registers(KvmVcpu *v, GError **errp)
{
    vcpus_work_wait(v->cpu->machine);
    return v->early || (kvm_get_regs(v, errp) && kvm_get_fpu(v, errp) && kvm_get_msrs(v, errp));
}

/* The vCPU's own thread. An error is met again, and told, when the state is saved. */
static void fetch_early(VCPU *cpu)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    v->early = !v->x86.dirty && kvm_get_regs(v, NULL) && kvm_get_fpu(v, NULL) &&
               kvm_get_msrs(v, NULL);
    trace_event(vcpu_fetch_early, "vCPU %u: %s", cpu->index, v->early ? "done" : "not done");
}

void kvm_handing_over(Machine *m)
{
    vcpus_work_begin(m, fetch_early);
}

bool kvm_get_state(VCPU *cpu, GError **errp)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    if (v->x86.dirty) {
        return true;
    }
    /* The registers' control part brings the APIC's base; hflags come before the events. */
    return get_registers(v, errp) && kvm_get_events(v, errp) && kvm_get_mp_state(v, errp) &&
           kvm_get_lapic(v, errp);
}

bool kvm_put_state(VCPU *cpu, GError **errp)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    v->x86.dirty = true;
    v->halted_for_good = false;
    v->x86.pushed = kvm_put_regs(v, errp) && kvm_put_fpu(v, errp) && kvm_put_msrs(v, errp) &&
                    kvm_put_lapic(v, errp) && kvm_put_events(v, errp) &&
                    kvm_put_mp_state(v, errp);
    trace_event(vcpu_push, "vCPU %u: %s", cpu->index, v->x86.pushed ? "done" : "failed");
    return v->x86.pushed;
}

bool kvm_fetch_part(X86CPU *x, X86Part part, GError **errp)
{
    KvmVcpu *v = kvm_vcpu(x->cpu);

    if (x->dirty) {
        return true;
    }
    switch (part) {
    case X86_PART_HALTED:
        return kvm_get_mp_state(v, errp);
    case X86_PART_APIC:
        /* apicbase is among the control registers. */
        return get_registers(v, errp) && kvm_get_events(v, errp) && kvm_get_lapic(v, errp);
    default:
        return kvm_get_state(x->cpu, errp);
    }
}

/* The APIC's base is a control register. The section `apic` comes before `cpu` as a rule, which
 * will push everything: now only what tells whether this host takes it. */
bool kvm_push_part(X86CPU *x, X86Part part, GError **errp)
{
    KvmVcpu *v = kvm_vcpu(x->cpu);

    if (part == X86_PART_APIC && !x->cpu_loaded) {
        return kvm_put_regs(v, errp) && kvm_put_lapic(v, errp);
    }
    return kvm_put_state(x->cpu, errp);
}

bool kvm_reset_vcpu(VCPU *cpu, GError **errp)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    x86_cpu_reset(&v->x86);
    v->x86.env.regs[X86_RDX] = kvm_cpuid_get(v->kvm, 1, 0, CPUID_EAX);
    if (cpu->index == 0) {
        kvm_irqchip_reset(v->kvm); /* one machine, one reset: with the first vCPU's */
    }
    return kvm_put_state(cpu, errp);
}

static bool start_vcpus(Machine *m, GError **errp)
{
    vcpus_work_wait(m);
    /* The counters in one go: KVM takes writes that come close together as one event and keeps the
     * vCPUs in step. */
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        KvmVcpu *v = kvm_vcpu(m->vcpus[i]);

        v->early = false;
        if (v->x86.dirty && !v->x86.pushed && !kvm_put_state(m->vcpus[i], errp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        KvmVcpu *v = kvm_vcpu(m->vcpus[i]);

        if (v->x86.tsc_dirty && !kvm_put_tsc(v, errp)) {
            return false;
        }
    }
    /* After the counters: the deadline is compared with them. */
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        KvmVcpu *v = kvm_vcpu(m->vcpus[i]);

        if (v->x86.dirty && (!kvm_put_lapic(v, errp) || !kvm_put_tsc_deadline(v, errp))) {
            return false;
        }
        v->x86.dirty = v->x86.tsc_dirty = v->x86.cpu_loaded = false;
    }
    return true;
}

void kvm_running_changed(Machine *m, bool running)
{
    KvmState *k = kvm_state(m);
    g_autoptr(GError) err = NULL;

    if (!m->nr_vcpus) {
        return;
    }
    if (!running) {
        kvm_clock_stopped(k);
        return;
    }
    if (!start_vcpus(m, &err) || !kvm_irqchip_push(k, &err) || !kvm_clock_started(k, &err)) {
        g_printerr("the guest cannot start: %s\n", err->message);
        runstate_request_stop(m->run_state, RUN_STATE_INTERNAL_ERROR);
        return;
    }
    kvm_lines_release(k);
}

/* The order is QEMU 7.2's; no reader depends on it. */
bool kvm_register_vmstate(Machine *m, GError **errp)
{
    KvmState *k = kvm_state(m);
    MigrationState *ms = m->migration;

    if (!m->nr_vcpus) {
        return true;
    }
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        X86CPU *x = m->vcpus[i]->arch;

        if (!gw_vmstate_register(ms, NULL, i, &vmstate_x86_cpu_common, x,
                                 MIGRATION_PRIORITY_DEFAULT, errp) ||
            !gw_vmstate_register(ms, NULL, i, &vmstate_x86_cpu, x, MIGRATION_PRIORITY_DEFAULT,
                                 errp) ||
            !gw_vmstate_register(ms, NULL, i, &vmstate_x86_apic, x, MIGRATION_PRIORITY_APIC,
                                 errp)) {
            return false;
        }
        if (i == 0 && !gw_vmstate_register(ms, NULL, 0, &kvm_vmstate_tpr_opt, &k->tpr_opt,
                                           MIGRATION_PRIORITY_DEFAULT, errp)) {
            return false;
        }
    }
    return kvm_irqchip_register(k, errp) && kvm_clock_register(k, errp);
}
