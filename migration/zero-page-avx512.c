/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The zero-page test with 512-bit vectors. Compiled with -mavx512f -mavx512bw: nothing of this file
 * may run before zero-page.c has asked the CPU. */
#include "zero-page.h"

#include <immintrin.h>

#include "migration/ram.h"

static inline __m512i any4(const __m512i *p)
{
    return _mm512_or_si512(
        _mm512_or_si512(_mm512_load_si512(p), _mm512_load_si512(p + 1)),
        _mm512_or_si512(_mm512_load_si512(p + 2), _mm512_load_si512(p + 3)));
}

bool zero_page_avx512(const void *page)
{
    const __m512i *p = page;
    const __m512i *end = p + GW_TARGET_PAGE_SIZE / sizeof(*p);
    __m512i v = _mm512_load_si512(p);

    if (_mm512_test_epi64_mask(v, v)) {
        return false;
    }
    for (; p < end; p += ZERO_PAGE_STEP / sizeof(*p)) {
        zero_page_prefetch(p);
        v = _mm512_or_si512(any4(p), any4(p + 4));
        if (_mm512_test_epi64_mask(v, v)) {
            return false;
        }
    }
    return true;
}
