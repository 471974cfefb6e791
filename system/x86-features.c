/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of CPUID feature bits: Intel's and AMD's manuals, in the spelling of -cpu. Constant.
 */
#include "x86-features.h"

#include <string.h>

#include <glib.h>

#define F1C(b, n) { n, 1, 0, CPUID_ECX, b }
#define F1D(b, n) { n, 1, 0, CPUID_EDX, b }
#define F7B(b, n) { n, 7, 0, CPUID_EBX, b }
#define F7C(b, n) { n, 7, 0, CPUID_ECX, b }
#define F7D(b, n) { n, 7, 0, CPUID_EDX, b }
#define F71A(b, n) { n, 7, 1, CPUID_EAX, b }
#define FD1(b, n) { n, 0xd, 1, CPUID_EAX, b }
#define FXC(b, n) { n, 0x80000001, 0, CPUID_ECX, b }
#define FXD(b, n) { n, 0x80000001, 0, CPUID_EDX, b }
#define FX7(b, n) { n, 0x80000007, 0, CPUID_EDX, b }
#define FX8(b, n) { n, 0x80000008, 0, CPUID_EBX, b }
#define FKVM(b, n) { n, 0x40000001, 0, CPUID_EAX, b }

static const X86Feature features[] = {
    F1C(0, "pni"), F1C(0, "sse3"), F1C(1, "pclmulqdq"), F1C(2, "dtes64"), F1C(3, "monitor"),
    F1C(4, "ds-cpl"), F1C(5, "vmx"), F1C(6, "smx"), F1C(7, "est"), F1C(8, "tm2"),
    F1C(9, "ssse3"), F1C(10, "cid"), F1C(12, "fma"), F1C(13, "cx16"), F1C(14, "xtpr"),
    F1C(15, "pdcm"), F1C(17, "pcid"), F1C(18, "dca"), F1C(19, "sse4.1"), F1C(19, "sse4-1"),
    F1C(20, "sse4.2"), F1C(20, "sse4-2"), F1C(21, "x2apic"), F1C(22, "movbe"), F1C(23, "popcnt"),
    F1C(24, "tsc-deadline"), F1C(25, "aes"), F1C(26, "xsave"), F1C(28, "avx"), F1C(29, "f16c"),
    F1C(30, "rdrand"), F1C(31, "hypervisor"),
    F1D(0, "fpu"), F1D(1, "vme"), F1D(2, "de"), F1D(3, "pse"), F1D(4, "tsc"), F1D(5, "msr"),
    F1D(6, "pae"), F1D(7, "mce"), F1D(8, "cx8"), F1D(9, "apic"), F1D(11, "sep"), F1D(12, "mtrr"),
    F1D(13, "pge"), F1D(14, "mca"), F1D(15, "cmov"), F1D(16, "pat"), F1D(17, "pse36"),
    F1D(18, "pn"), F1D(19, "clflush"), F1D(21, "ds"), F1D(22, "acpi"), F1D(23, "mmx"),
    F1D(24, "fxsr"), F1D(25, "sse"), F1D(26, "sse2"), F1D(27, "ss"), F1D(28, "ht"), F1D(29, "tm"),
    F1D(30, "ia64"), F1D(31, "pbe"),
    F7B(0, "fsgsbase"), F7B(1, "tsc-adjust"), F7B(2, "sgx"), F7B(3, "bmi1"), F7B(4, "hle"),
    F7B(5, "avx2"), F7B(7, "smep"), F7B(8, "bmi2"), F7B(9, "erms"), F7B(10, "invpcid"),
    F7B(11, "rtm"), F7B(14, "mpx"), F7B(16, "avx512f"), F7B(17, "avx512dq"), F7B(18, "rdseed"),
    F7B(19, "adx"), F7B(20, "smap"), F7B(21, "avx512ifma"), F7B(22, "pcommit"),
    F7B(23, "clflushopt"), F7B(24, "clwb"), F7B(25, "intel-pt"), F7B(26, "avx512pf"),
    F7B(27, "avx512er"), F7B(28, "avx512cd"), F7B(29, "sha-ni"), F7B(30, "avx512bw"),
    F7B(31, "avx512vl"),
    F7C(1, "avx512vbmi"), F7C(2, "umip"), F7C(3, "pku"), F7C(5, "waitpkg"),
    F7C(6, "avx512vbmi2"), F7C(8, "gfni"), F7C(9, "vaes"), F7C(10, "vpclmulqdq"),
    F7C(11, "avx512vnni"), F7C(12, "avx512bitalg"), F7C(14, "avx512-vpopcntdq"), F7C(16, "la57"),
    F7C(22, "rdpid"), F7C(24, "bus-lock-detect"), F7C(25, "cldemote"), F7C(27, "movdiri"),
    F7C(28, "movdir64b"), F7C(30, "sgxlc"), F7C(31, "pks"),
    F7D(2, "avx512-4vnniw"), F7D(3, "avx512-4fmaps"), F7D(4, "fsrm"),
    F7D(8, "avx512-vp2intersect"), F7D(10, "md-clear"), F7D(14, "serialize"),
    F7D(16, "tsx-ldtrk"), F7D(19, "arch-lbr"), F7D(22, "amx-bf16"), F7D(23, "avx512-fp16"),
    F7D(24, "amx-tile"), F7D(25, "amx-int8"), F7D(26, "spec-ctrl"), F7D(27, "stibp"),
    F7D(29, "arch-capabilities"), F7D(30, "core-capability"), F7D(31, "ssbd"),
    F71A(4, "avx-vnni"), F71A(5, "avx512-bf16"), F71A(10, "fzrm"), F71A(11, "fsrs"),
    F71A(12, "fsrc"),
    FD1(0, "xsaveopt"), FD1(1, "xsavec"), FD1(2, "xgetbv1"), FD1(3, "xsaves"), FD1(4, "xfd"),
    FXC(0, "lahf-lm"), FXC(1, "cmp-legacy"), FXC(2, "svm"), FXC(3, "extapic"), FXC(4, "cr8legacy"),
    FXC(5, "abm"), FXC(6, "sse4a"), FXC(7, "misalignsse"), FXC(8, "3dnowprefetch"), FXC(9, "osvw"),
    FXC(10, "ibs"), FXC(11, "xop"), FXC(12, "skinit"), FXC(13, "wdt"), FXC(15, "lwp"),
    FXC(16, "fma4"), FXC(17, "tce"), FXC(21, "tbm"), FXC(22, "topoext"), FXC(23, "perfctr-core"),
    FXC(24, "perfctr-nb"),
    FXD(11, "syscall"), FXD(20, "nx"), FXD(22, "mmxext"), FXD(25, "fxsr-opt"), FXD(26, "pdpe1gb"),
    FXD(27, "rdtscp"), FXD(29, "lm"), FXD(30, "3dnowext"), FXD(31, "3dnow"),
    FX7(8, "invtsc"),
    FX8(0, "clzero"), FX8(2, "xsaveerptr"), FX8(9, "wbnoinvd"), FX8(12, "ibpb"), FX8(14, "ibrs"),
    FX8(15, "amd-stibp"), FX8(24, "amd-ssbd"), FX8(25, "virt-ssbd"), FX8(26, "amd-no-ssb"),
    FKVM(0, "kvmclock"), FKVM(1, "kvm-nopiodelay"), FKVM(2, "kvm-mmu"), FKVM(4, "kvm-asyncpf"),
    FKVM(5, "kvm-steal-time"), FKVM(6, "kvm-pv-eoi"), FKVM(7, "kvm-pv-unhalt"),
    FKVM(9, "kvm-pv-tlb-flush"), FKVM(11, "kvm-pv-ipi"), FKVM(12, "kvm-poll-control"),
    FKVM(13, "kvm-pv-sched-yield"), FKVM(14, "kvm-asyncpf-int"), FKVM(15, "kvm-msi-ext-dest-id"),
    FKVM(24, "kvmclock-stable-bit"),
};

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a == '_' ? '-' : *a, y = *b == '_' ? '-' : *b;

        if (x != y) {
            return false;
        }
    }
    return *a == *b;
}

const X86Feature *x86_feature_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        if (same_name(features[i].name, name)) {
            return &features[i];
        }
    }
    return NULL;
}

/* How many letters two names share at their start, less the difference of their lengths. */
static int likeness(const char *a, const char *b)
{
    int n = 0;

    while (a[n] && a[n] == b[n]) {
        n++;
    }
    return 2 * n - ABS((int)strlen(a) - (int)strlen(b));
}

const char *x86_feature_nearest(const char *name)
{
    const char *best = features[0].name;

    for (size_t i = 1; i < G_N_ELEMENTS(features); i++) {
        if (likeness(features[i].name, name) > likeness(best, name)) {
            best = features[i].name;
        }
    }
    return best;
}
