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
bool zero_page_avx2(const void *page);
bool zero_page_avx512(const void *page);
#endif

#endif
