/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers between KVM and X86CPU, by one table. Machine lock, guest stopped.
 *
 * Which of them this KVM has is found by reading each once. One that it lacks must have its default
 * value in a guest that comes in, or the load is refused with its name: nothing is dropped in
 * silence.
 */
#include "kvm.h"

#include <string.h>

#include "error.h"
#include "x86-features.h"

typedef struct Msr {
    uint32_t index;
    uint16_t count;   /* consecutive registers into consecutive members */
    uint16_t width;   /* bytes of a member: 4 or 8 */
    uint32_t step;    /* bytes from one member to the next */
    size_t offset;    /* in X86CPUState */
    uint64_t dflt;
    bool ones_ok;     /* all ones is a default, too */
    const char *name;
    const char *field; /* on the wire */
} Msr;

#define ENV_SIZE(F) sizeof(((X86CPUState *)0)->F)
#define M(I, F, D, N) { I, 1, ENV_SIZE(F), 0, offsetof(X86CPUState, F), D, false, N, "env." #F }
#define MN(I, C, F, AT, STEP, N) \
    { I, C, 8, STEP, offsetof(X86CPUState, F) + (AT) * 8, 0, false, N, "env." #F }

#define MSR_TSC 0x10
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_PMC 0xc1
#define MSR_MTRR_PHYS 0x200
#define MSR_PERFEVTSEL 0x186
#define MSR_FIXED_CTR 0x309
#define MSR_FIXED_CTR_CTRL 0x38d
#define MSR_PERF_GLOBAL_STATUS 0x38e
#define MSR_PERF_GLOBAL_CTRL 0x38f
#define MSR_PERF_GLOBAL_OVF_CTRL 0x390

/* Async page faults: the vector before the enable bit. */
static const Msr msrs[] = {
    M(0x174, sysenter_cs, 0, "SYSENTER_CS"),
    M(0x175, sysenter_esp, 0, "SYSENTER_ESP"),
    M(0x176, sysenter_eip, 0, "SYSENTER_EIP"),
    M(0x277, pat, 0x0007040600070406ULL, "PAT"),
    M(0xc0000081, star, 0, "STAR"),
    M(0xc0000082, lstar, 0, "LSTAR"),
    M(0xc0000083, cstar, 0, "CSTAR"),
    M(0xc0000084, fmask, 0, "FMASK"),
    M(0xc0000102, kernelgsbase, 0, "KERNEL_GS_BASE"),
    M(0xc0000103, tsc_aux, 0, "TSC_AUX"),
    M(0xc0010117, vm_hsave, 0, "VM_HSAVE_PA"),
    M(0x3b, tsc_adjust, 0, "TSC_ADJUST"),
    M(0x1a0, msr_ia32_misc_enable, 1, "MISC_ENABLE"),
    M(0x3a, msr_ia32_feature_control, 0, "FEATURE_CONTROL"),
    M(0x9e, smbase, 0x30000, "SMBASE"),
    M(0x34, msr_smi_count, 0, "SMI_COUNT"),
    M(0x48, spec_ctrl, 0, "SPEC_CTRL"),
    M(0xc001011f, virt_ssbd, 0, "VIRT_SPEC_CTRL"),
    M(0x122, tsx_ctrl, 0, "TSX_CTRL"),
    M(0xe1, umwait, 0, "UMWAIT_CONTROL"),
    M(0xda0, xss, 0, "XSS"),
    M(0x6e1, pkrs, 0, "PKRS"),
    M(0xd90, msr_bndcfgs, 0, "BNDCFGS"),
    M(0x1c4, msr_xfd, 0, "XFD"),
    M(0x1c5, msr_xfd_err, 0, "XFD_ERR"),
    M(0xc0010015, msr_hwcr, 0, "HWCR"),
    M(0x4b564d00, wall_clock_msr, 0, "KVM_WALL_CLOCK"),
    M(0x4b564d01, system_time_msr, 0, "KVM_SYSTEM_TIME"),
    M(0x4b564d06, async_pf_int_msr, 0, "KVM_ASYNC_PF_INT"),
    M(0x4b564d02, async_pf_en_msr, 0, "KVM_ASYNC_PF_EN"),
    M(0x4b564d03, steal_time_msr, 0, "KVM_STEAL_TIME"),
    M(0x4b564d04, pv_eoi_en_msr, 0, "KVM_PV_EOI_EN"),
    M(0x4b564d05, poll_control_msr, 1, "KVM_POLL_CONTROL"),
    M(0x2ff, mtrr_deftype, 0, "MTRR_DEF_TYPE"),
    MN(0x250, 1, mtrr_fixed, 0, 8, "MTRR_FIX64K"),
    MN(0x258, 2, mtrr_fixed, 1, 8, "MTRR_FIX16K"),
    MN(0x268, 8, mtrr_fixed, 3, 8, "MTRR_FIX4K"),
    MN(MSR_MTRR_PHYS, 16, mtrr_var, 0, 8, "MTRR_PHYS"),
    M(0x17a, mcg_status, 0, "MCG_STATUS"),
    { 0x17b, 1, 8, 0, offsetof(X86CPUState, mcg_ctl), 0, true, "MCG_CTL", "env.mcg_ctl" },
    M(0x4d0, mcg_ext_ctl, 0, "MCG_EXT_CTL"),
    { 0x400, X86_MCE_BANKS * 4, 8, 8, offsetof(X86CPUState, mce_banks), 0, true, "MC_BANK",
      "env.mce_banks" },
    M(MSR_FIXED_CTR_CTRL, msr_fixed_ctr_ctrl, 0, "FIXED_CTR_CTRL"),
    M(MSR_PERF_GLOBAL_CTRL, msr_global_ctrl, 0, "PERF_GLOBAL_CTRL"),
    M(MSR_PERF_GLOBAL_STATUS, msr_global_status, 0, "PERF_GLOBAL_STATUS"),
    M(MSR_PERF_GLOBAL_OVF_CTRL, msr_global_ovf_ctrl, 0, "PERF_GLOBAL_OVF_CTRL"),
    MN(MSR_FIXED_CTR, X86_PMC_FIXED, msr_fixed_counters, 0, 8, "FIXED_CTR"),
    MN(MSR_PMC, X86_PMC_GP, msr_gp_counters, 0, 8, "PMC"),
    MN(MSR_PERFEVTSEL, X86_PMC_GP, msr_gp_evtsel, 0, 8, "PERFEVTSEL"),
};

#define MSR_MAX 256

static uint64_t env_get(const X86CPUState *env, const Msr *m, unsigned i)
{
    const char *p = (const char *)env + m->offset + i * m->step;
    uint64_t v = 0;

    memcpy(&v, p, m->width);
    return v;
}

static void env_set(X86CPUState *env, const Msr *m, unsigned i, uint64_t v)
{
    memcpy((char *)env + m->offset + i * m->step, &v, m->width);
}

static bool is_default(const Msr *m, uint64_t value)
{
    return value == m->dflt || (m->ones_ok && value == UINT64_MAX);
}

/* Calls fn for every register of the table; `nr` counts them all. */
typedef struct MsrIter {
    size_t row;
    unsigned sub;
    unsigned nr;
} MsrIter;

static const Msr *iter_get(const MsrIter *it)
{
    return it->row < G_N_ELEMENTS(msrs) ? &msrs[it->row] : NULL;
}

static void iter_next(MsrIter *it)
{
    it->nr++;
    if (++it->sub == msrs[it->row].count) {
        it->sub = 0;
        it->row++;
    }
}

static bool is_supported(const KvmVcpu *v, unsigned nr)
{
    return v->msr_supported[nr / 64] >> (nr % 64) & 1;
}

/* Peers fill the bits of a variable MTRR's mask above the guest's physical address width. */
static uint64_t fit_value(const KvmState *k, const Msr *m, uint64_t value)
{
    unsigned bits = kvm_cpuid_get(k, 0x80000008, 0, CPUID_EAX) & 0xff;

    if (m->index != MSR_MTRR_PHYS || bits < 32 || bits > 63) {
        return value;
    }
    return value & ((1ULL << bits) - 1);
}

typedef struct MsrBuf {
    struct kvm_msrs head;
    struct kvm_msr_entry entries[MSR_MAX];
} MsrBuf;

/* Some hosts answer for performance counters that the guest's CPUID does not have. */
static bool is_hidden(const KvmState *k, const Msr *m, unsigned sub)
{
    uint32_t pmu = kvm_cpuid_get(k, 0xa, 0, CPUID_EAX);

    switch (m->index) {
    case MSR_PMC:
    case MSR_PERFEVTSEL:
        return (pmu & 0xff) == 0 || sub >= (pmu >> 8 & 0xff);
    case MSR_FIXED_CTR:
        return (pmu & 0xff) < 2 || sub >= (kvm_cpuid_get(k, 0xa, 0, CPUID_EDX) & 0x1f);
    case MSR_FIXED_CTR_CTRL:
    case MSR_PERF_GLOBAL_CTRL:
    case MSR_PERF_GLOBAL_STATUS:
    case MSR_PERF_GLOBAL_OVF_CTRL:
        return (pmu & 0xff) < 2;
    default:
        return false;
    }
}

bool kvm_msr_probe(KvmVcpu *v, GError **errp)
{
    Machine *m = v->cpu->machine;
    size_t size = MSR_MAX / 8;

    v->msr_supported = g_malloc0(size);
    if (v->cpu->index > 0 && m->vcpus && m->vcpus[0]) {
        memcpy(v->msr_supported, kvm_vcpu(m->vcpus[0])->msr_supported, size);
        return true;
    }
    for (MsrIter it = { 0 }; iter_get(&it); iter_next(&it)) {
        MsrBuf b = { .head.nmsrs = 1 };

        b.entries[0].index = iter_get(&it)->index + it.sub;
        if (!is_hidden(v->kvm, iter_get(&it), it.sub) &&
            kvm_ioctl(v->fd, KVM_GET_MSRS, &b) == 1) {
            v->msr_supported[it.nr / 64] |= 1ULL << (it.nr % 64);
        }
    }
    return true;
}

bool kvm_get_msrs(KvmVcpu *v, GError **errp)
{
    X86CPUState *env = &v->x86.env;
    MsrBuf b = { 0 };
    unsigned n = 0;

    for (MsrIter it = { 0 }; iter_get(&it); iter_next(&it)) {
        if (is_supported(v, it.nr)) {
            b.entries[n++].index = iter_get(&it)->index + it.sub;
        }
    }
    b.entries[n++].index = MSR_TSC;
    b.entries[n++].index = MSR_TSC_DEADLINE;
    b.head.nmsrs = n;

    int rc = kvm_ioctl(v->fd, KVM_GET_MSRS, &b);

    if (rc != (int)n) {
        return gw_fail(errp, GW_ERROR_GENERIC, "vCPU %u: KVM_GET_MSRS failed at MSR 0x%x",
                       v->cpu->index, rc >= 0 ? b.entries[rc].index : b.entries[0].index);
    }
    n = 0;
    for (MsrIter it = { 0 }; iter_get(&it); iter_next(&it)) {
        if (is_supported(v, it.nr)) {
            env_set(env, iter_get(&it), it.sub, b.entries[n++].data);
        } else if (!iter_get(&it)->ones_ok) {
            env_set(env, iter_get(&it), it.sub, iter_get(&it)->dflt);
        }
    }
    env->tsc = b.entries[n++].data;
    env->tsc_deadline = b.entries[n].data;
    return true;
}

static bool put_one(KvmVcpu *v, uint32_t index, uint64_t value, const char *name,
                    const char *field, GError **errp)
{
    MsrBuf b = { .head.nmsrs = 1, .entries = { { .index = index, .data = value } } };

    if (kvm_ioctl(v->fd, KVM_SET_MSRS, &b) != 1) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u: %s: this host's KVM does not take %s "
                       "(MSR 0x%x) = 0x%" PRIx64 "; both hosts must offer the same CPU features",
                       v->cpu->index, field, name, index, value);
    }
    return true;
}

/* The batch stopped at `at`: fine if that register has its default, which KVM has already. */
static bool excuse(KvmVcpu *v, const MsrBuf *b, unsigned at, GError **errp)
{
    for (MsrIter it = { 0 }; iter_get(&it); iter_next(&it)) {
        const Msr *m = iter_get(&it);

        if (m->index + it.sub == b->entries[at].index) {
            return is_default(m, b->entries[at].data) ||
                   put_one(v, b->entries[at].index, b->entries[at].data, m->name, m->field,
                           errp);
        }
    }
    return true;
}

static bool put_batch(KvmVcpu *v, MsrBuf *b, unsigned n, GError **errp)
{
    unsigned done = 0;

    while (done < n) {
        memmove(b->entries, b->entries + done, (n - done) * sizeof(b->entries[0]));
        n -= done;
        b->head.nmsrs = n;

        int rc = kvm_ioctl(v->fd, KVM_SET_MSRS, b);

        if (rc < 0) {
            return gw_fail_errno(errp, GW_ERROR_GENERIC, -rc, "vCPU %u: KVM_SET_MSRS",
                                 v->cpu->index);
        }
        if (rc >= (int)n) {
            break;
        }
        if (!excuse(v, b, (unsigned)rc, errp)) {
            return false;
        }
        done = (unsigned)rc + 1;
    }
    return true;
}

/* The source may have had other machine check banks; what then does not fit is refused by name. */
static void match_mce(KvmVcpu *v)
{
    uint64_t cap = v->x86.env.mcg_cap;

    if (v->kvm->has_mce && cap) {
        kvm_ioctl(v->fd, KVM_X86_SETUP_MCE, &cap);
    }
}

bool kvm_put_msrs(KvmVcpu *v, GError **errp)
{
    const X86CPUState *env = &v->x86.env;
    MsrBuf b = { 0 };
    unsigned n = 0;

    match_mce(v);
    for (MsrIter it = { 0 }; iter_get(&it); iter_next(&it)) {
        const Msr *m = iter_get(&it);
        uint64_t value = fit_value(v->kvm, m, env_get(env, m, it.sub));

        if (is_supported(v, it.nr)) {
            b.entries[n++] = (struct kvm_msr_entry){ .index = m->index + it.sub, .data = value };
        } else if (!is_default(m, value)) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED, "vCPU %u: %s: the guest uses %s (MSR 0x%x = "
                           "0x%" PRIx64 "), which this host's KVM does not have; both hosts must "
                           "offer the same CPU features", v->cpu->index, m->field, m->name,
                           m->index + it.sub, value);
        }
    }
    return put_batch(v, &b, n, errp);
}

bool kvm_put_tsc(KvmVcpu *v, GError **errp)
{
    int64_t want = v->x86.env.tsc_khz;
    int64_t have = kvm_ioctl(v->fd, KVM_GET_TSC_KHZ, NULL);

    if (want > 0 && have > 0 && want != have && want <= INT32_MAX &&
        kvm_ioctl(v->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)want) < 0) {
        g_printerr("warning: vCPU %u: the guest's time stamp counter ran at %" PRId64 " kHz and "
                   "runs at %" PRId64 " kHz here: this host cannot scale it\n", v->cpu->index,
                   want, have);
        v->x86.env.tsc_khz = have;
    }
    return put_one(v, MSR_TSC, v->x86.env.tsc, "TSC", "env.tsc", errp);
}

bool kvm_put_tsc_deadline(KvmVcpu *v, GError **errp)
{
    return put_one(v, MSR_TSC_DEADLINE, v->x86.env.tsc_deadline, "TSC_DEADLINE",
                   "env.tsc_deadline", errp);
}
