/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a page all zeros? One function per instruction set, chosen at run time. Each first looks at 64
 * bytes and only then at the rest: most pages with data end there. Pure; any thread, also while the
 * guest writes to the page (the answer then holds for some mixture, and the page is dirty again).
 */
#ifndef MIGRATION_ZERO_PAGE_H
#define MIGRATION_ZERO_PAGE_H

#include <stdbool.h>

/* `page` is GW_TARGET_PAGE_SIZE bytes, aligned to 64. */
typedef bool (*ZeroPageFn)(const void *page);

typedef struct ZeroPageMethod {
    const char *name;
    ZeroPageFn is_zero;
    bool usable; /* on this CPU */
} ZeroPageMethod;

/* The fastest that this CPU has. Look it up once and keep it. */
ZeroPageFn zero_page_best(void);
/* All of them, fastest first, for the test; the number goes to *n. The caller frees. */
ZeroPageMethod *zero_page_methods(unsigned *n);

bool zero_page_portable(const void *page);
#ifdef __x86_64__
#define ZERO_PAGE_STEP 512 /* bytes looked at between two branches */

/*
 * Asks for the next step but one, beyond the end of the page if need be: the processor's own
 * prefetcher ends there, and zero pages come in a row. A prefetch does not fault. Not unrolled:
 * eight at once gain nothing, as measured.
 */
static inline void zero_page_prefetch(const void *p)
{
#pragma GCC unroll 1
    for (unsigned i = 0; i < ZERO_PAGE_STEP; i += 64) {
        __builtin_prefetch((const char *)p + 2 * ZERO_PAGE_STEP + i);
    }
}

bool zero_page_avx2(const void *page);
bool zero_page_avx512(const void *page);
#endif

#endif
