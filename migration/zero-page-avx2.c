/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The zero-page test with 256-bit vectors. Compiled with -mavx2: nothing of this file may run
 * before zero-page.c has asked the CPU. */
#include "zero-page.h"

#include <immintrin.h>

#include "migration/ram.h"

static inline __m256i any4(const __m256i *p)
{
    return _mm256_or_si256(
        _mm256_or_si256(_mm256_load_si256(p), _mm256_load_si256(p + 1)),
        _mm256_or_si256(_mm256_load_si256(p + 2), _mm256_load_si256(p + 3)));
}

bool zero_page_avx2(const void *page)
{
    const __m256i *p = page;
    const __m256i *end = p + GW_TARGET_PAGE_SIZE / sizeof(*p);
    __m256i v = _mm256_or_si256(_mm256_load_si256(p), _mm256_load_si256(p + 1));

    if (!_mm256_testz_si256(v, v)) {
        return false;
    }
    for (; p < end; p += ZERO_PAGE_STEP / sizeof(*p)) {
        zero_page_prefetch(p);
        v = _mm256_or_si256(_mm256_or_si256(any4(p), any4(p + 4)),
                            _mm256_or_si256(any4(p + 8), any4(p + 12)));
        if (!_mm256_testz_si256(v, v)) {
            return false;
        }
    }
    return true;
}
