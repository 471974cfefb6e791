/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The zero-page test with 256-bit vectors. Compiled with -mavx2: nothing of this file may run
 * before zero-page.c has asked the CPU. */
#include "zero-page.h"

#include <immintrin.h>

#include "migration/ram.h"

bool zero_page_avx2(const void *page)
{
    const __m256i *p = page;
    const __m256i *end = p + GW_TARGET_PAGE_SIZE / sizeof(*p);
    __m256i v = _mm256_or_si256(_mm256_load_si256(p), _mm256_load_si256(p + 1));

    if (!_mm256_testz_si256(v, v)) {
        return false;
    }
    for (; p < end; p += 8) {
        const __m256i a = _mm256_or_si256(_mm256_load_si256(p), _mm256_load_si256(p + 1));
        const __m256i b = _mm256_or_si256(_mm256_load_si256(p + 2), _mm256_load_si256(p + 3));
        const __m256i c = _mm256_or_si256(_mm256_load_si256(p + 4), _mm256_load_si256(p + 5));
        const __m256i d = _mm256_or_si256(_mm256_load_si256(p + 6), _mm256_load_si256(p + 7));

        v = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
        if (!_mm256_testz_si256(v, v)) {
            return false;
        }
    }
    return true;
}
