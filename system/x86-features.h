/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of CPUID feature bits as the -cpu option spells them. Constant data; any thread. */
#ifndef SYSTEM_X86_FEATURES_H
#define SYSTEM_X86_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

typedef struct X86Feature {
    const char *name;
    uint32_t function, index;
    uint8_t reg, bit;
} X86Feature;

/* The feature of that name ('_' counts as '-'), or NULL. */
const X86Feature *x86_feature_find(const char *name);
/* The name that is closest to `name`, for error messages. */
const char *x86_feature_nearest(const char *name);

#endif
