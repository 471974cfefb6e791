/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The portable zero-page test and the choice between it and the vector ones, which are compiled
 * with flags of their own (zero-page-avx2.c, zero-page-avx512.c). No state.
 */
#include "zero-page.h"

#include <stdint.h>

#include "migration/ram.h"

/* Four chains of OR, so that loads do not wait for one another. May alias guest memory of any type
 * (the project is built with -fno-strict-aliasing). */
bool zero_page_portable(const void *page)
{
    const uint64_t *p = page;
    const uint64_t *end = p + GW_TARGET_PAGE_SIZE / sizeof(*p);

    for (; p < end; p += 8) {
        const uint64_t a = p[0] | p[4];
        const uint64_t b = p[1] | p[5];
        const uint64_t c = p[2] | p[6];
        const uint64_t d = p[3] | p[7];

        if ((a | b) | (c | d)) {
            return false;
        }
    }
    return true;
}

ZeroPageMethod *zero_page_methods(unsigned *n)
{
    const ZeroPageMethod all[] = {
#ifdef __x86_64__
        {"avx512", zero_page_avx512,
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")},
        {"avx2", zero_page_avx2, __builtin_cpu_supports("avx2")},
#endif
        {"portable", zero_page_portable, true},
    };

    *n = G_N_ELEMENTS(all);
    return g_memdup2(all, sizeof(all));
}

ZeroPageFn zero_page_best(void)
{
    unsigned n;
    g_autofree ZeroPageMethod *all = zero_page_methods(&n);

    for (unsigned i = 0; i < n; i++) {
        if (all[i].usable) {
            return all[i].is_zero;
        }
    }
    return zero_page_portable;
}
