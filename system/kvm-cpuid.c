/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID of the guest: what this host's KVM supports, minus what cannot migrate, plus or minus what
 * -cpu says. Every model name means the same set here ("host"): the stream does not carry CPUID, so
 * both ends must be alike, and fewer kinds are fewer ways to differ. Main thread, at start-up.
 */
#include "kvm.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "x86-features.h"

#define CPUID_HT (1U << 28)
#define CPUID_LEVEL_SMT 1
#define CPUID_LEVEL_CORE 2

static uint32_t *entry_reg(struct kvm_cpuid_entry2 *e, int reg)
{
    uint32_t *const regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

    return regs[reg];
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];

        if (e->function == function &&
            (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index)) {
            return e;
        }
    }
    return NULL;
}

uint32_t kvm_cpuid_get(const KvmState *k, uint32_t function, uint32_t index, int reg)
{
    struct kvm_cpuid_entry2 *e = find(k->cpuid, function, index);

    return e ? *entry_reg(e, reg) : 0;
}

static void set_bit(KvmState *k, const X86Feature *f, bool on)
{
    struct kvm_cpuid_entry2 *e = find(k->cpuid, f->function, f->index);

    if (e) {
        uint32_t *r = entry_reg(e, f->reg);

        *r = on ? *r | 1U << f->bit : *r & ~(1U << f->bit);
    }
}

/* State that the `cpu` section of this machine does not carry. */
static void hide_what_does_not_migrate(KvmState *k)
{
    static const char *const hidden[] = {
        "vmx", "svm", "sgx", "sgxlc", "intel-pt", "arch-lbr", "amx-tile", "amx-bf16", "amx-int8",
        "xfd", "smx", "pks",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++) {
        set_bit(k, x86_feature_find(hidden[i]), false);
    }

    /* Shadow stacks and branch tracking (leaf 7 ECX 7, EDX 20) have no -cpu name here. */
    struct kvm_cpuid_entry2 *e = find(k->cpuid, 7, 0);

    if (e) {
        e->ecx &= ~(1U << 7);
        e->edx &= ~(1U << 20);
    }
    /* Of the xsave components only x87 to AVX-512 and PKRU (0..7, 9) are carried. */
    e = find(k->cpuid, 0xd, 0);
    if (e) {
        e->eax &= 0x2ff;
        e->edx = 0;
    }
    e = find(k->cpuid, 0xd, 1);
    if (e) {
        e->ecx = e->edx = 0;
    }
}

/* "+avx", "-avx", "avx=on"; words that tell how to choose a model have no effect. */
static bool apply_word(KvmState *k, const char *word, bool enforce, GError **errp)
{
    static const char *const accepted[] = { "check", "migratable", "host-phys-bits", "l3-cache",
                                            "kvm", "enforce", NULL };
    g_auto(GStrv) kv = g_strsplit(word + (*word == '+' || *word == '-'), "=", 2);
    const char *value = kv[0] && kv[1] ? kv[1] : "on";
    bool on = *word != '-' && (!strcmp(value, "on") || !strcmp(value, "true") ||
                               !strcmp(value, "yes"));
    const X86Feature *f = x86_feature_find(kv[0] ? kv[0] : "");

    if (f) {
        bool have = kvm_cpuid_get(k, f->function, f->index, f->reg) >> f->bit & 1;

        if (on && !have) {
            if (enforce) {
                return gw_fail(errp, GW_ERROR_UNSUPPORTED, "-cpu: this host's KVM does not offer "
                               "'%s' to a guest that can migrate; drop the word or 'enforce'",
                               f->name);
            }
            g_printerr("warning: -cpu: host doesn't support requested feature: %s\n", f->name);
        }
        set_bit(k, f, on && have);
        return true;
    }
    if (kv[0] && g_strv_contains(accepted, kv[0])) {
        return true;
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED, "-cpu: unknown feature '%s' (nearest: %s)",
                   kv[0] ? kv[0] : "", x86_feature_nearest(kv[0] ? kv[0] : ""));
}

static bool apply_model(KvmState *k, const char *model, GError **errp)
{
    g_auto(GStrv) words = g_strsplit(model ? model : "host", ",", -1);
    bool enforce = false;

    for (int i = 1; words[0] && words[i]; i++) {
        enforce |= !strcmp(words[i], "enforce");
    }
    for (int i = 1; words[0] && words[i]; i++) {
        if (!apply_word(k, words[i], enforce, errp)) {
            return false;
        }
    }
    return true;
}

static void read_xstate_offsets(KvmState *k)
{
    for (unsigned i = 2; i < G_N_ELEMENTS(k->xstate_offset); i++) {
        uint32_t size = kvm_cpuid_get(k, 0xd, i, CPUID_EAX);
        uint32_t offset = kvm_cpuid_get(k, 0xd, i, CPUID_EBX);

        if (size && offset >= 576 && offset + size <= (uint32_t)k->xsave_size) {
            k->xstate_offset[i] = (uint16_t)offset;
        }
    }
}

bool kvm_cpuid_init(KvmState *k, const char *model, GError **errp)
{
    int rc;

    k->cpuid = g_malloc0(sizeof(*k->cpuid) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    k->cpuid->nent = KVM_CPUID_MAX;
    rc = kvm_ioctl(k->kvm_fd, KVM_GET_SUPPORTED_CPUID, k->cpuid);
    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_GET_SUPPORTED_CPUID");
    }
    hide_what_does_not_migrate(k);
    read_xstate_offsets(k);
    if (kvm_check_cap(k, KVM_CAP_TSC_DEADLINE_TIMER)) {
        set_bit(k, x86_feature_find("tsc-deadline"), true);
    }
    set_bit(k, x86_feature_find("hypervisor"), true);
    return apply_model(k, model, errp);
}

static unsigned bits_for(unsigned n)
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

/* All vCPUs are cores of one package; the APIC id is the index. */
static void set_topology(struct kvm_cpuid_entry2 *e, unsigned index, unsigned cpus)
{
    switch (e->function) {
    case 1:
        e->ebx = (e->ebx & 0xffff) | MIN(1U << bits_for(cpus), 255U) << 16 | index << 24;
        e->edx = cpus > 1 ? e->edx | CPUID_HT : e->edx & ~CPUID_HT;
        break;
    case 4:
        if (e->eax & 0x1f) {
            unsigned level = e->eax >> 5 & 7;
            unsigned sharing = level >= 3 ? (1U << bits_for(cpus)) - 1 : 0;

            e->eax = (e->eax & 0x3fff) | sharing << 14 | ((1U << bits_for(cpus)) - 1) << 26;
        }
        break;
    case 0xb:
    case 0x1f:
        e->eax = e->ebx = 0;
        e->ecx = e->index & 0xff;
        e->edx = index;
        if (e->index == 0) {
            e->ebx = 1;
            e->ecx |= CPUID_LEVEL_SMT << 8;
        } else if (e->index == 1) {
            e->eax = bits_for(cpus);
            e->ebx = cpus;
            e->ecx |= CPUID_LEVEL_CORE << 8;
        }
        break;
    case 0x80000008:
        e->ecx = (bits_for(cpus) << 12) | (cpus - 1);
        break;
    }
}

/* KVM offers leaf 0xb with one index; three make it complete. */
static void add_topology_leaves(struct kvm_cpuid2 *c)
{
    for (uint32_t index = 0; index < 3; index++) {
        if (!find(c, 0xb, index) && c->nent < KVM_CPUID_MAX) {
            c->entries[c->nent++] = (struct kvm_cpuid_entry2){
                .function = 0xb, .index = index, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            };
        }
    }
}

bool kvm_cpuid_apply(KvmVcpu *v, GError **errp)
{
    size_t size = sizeof(struct kvm_cpuid2) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2);
    g_autofree struct kvm_cpuid2 *c = g_malloc0(size);

    memcpy(c, v->kvm->cpuid, size);
    add_topology_leaves(c);
    for (uint32_t i = 0; i < c->nent; i++) {
        set_topology(&c->entries[i], v->cpu->index, MAX(v->cpu->machine->config->smp, 1));
    }

    int rc = kvm_ioctl(v->fd, KVM_SET_CPUID2, c);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_SET_CPUID2 of vCPU %u",
                             v->cpu->index);
    }
    return true;
}
