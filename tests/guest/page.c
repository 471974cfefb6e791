/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each page contains. A page's number, its generation and the seed determine all 4096 bytes,
 * so verifying means to compute it again and compare every word: a page that is lost, stale,
 * misplaced, torn or zeroed is found, and its header says which of these it is.
 *
 * Header: word 0 magic ^ number, 1 generation, 2 seed, 3 mix of these. Then noise, or zeros for a
 * page of the zero kind. Zero-kind pages are entirely zero in every fourth generation, 0 included,
 * so pages become zero again while the guest runs. No state; any vCPU.
 */
#include "guest.h"

#define MAGIC 0x6f64776974706167ull

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t header_mix(uint64_t index, uint64_t generation, uint64_t seed)
{
    return mix(mix(index * 0x9e3779b97f4a7c15ull + seed) + generation);
}

bool page_is_zero_kind(uint64_t index)
{
    return options.zero && mix(index + 0x5eed) % 100 < options.zero;
}

static inline uint64_t noise(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state ^ *state >> 29;
}

void page_fill(uint64_t index, uint32_t generation)
{
    uint64_t *page = memory_page(index), state = header_mix(index, generation, options.seed);
    bool zero = page_is_zero_kind(index);
    if (zero && generation % 4 == 0) {
        for (unsigned i = 0; i < PAGE_WORDS; i++)
            page[i] = 0;
        return;
    }
    page[0] = MAGIC ^ index;
    page[1] = generation;
    page[2] = options.seed;
    page[3] = state;
    for (unsigned i = 4; i < PAGE_WORDS; i++)
        page[i] = zero ? 0 : noise(&state);
}

/* The page differs from what it should be: find out how. */
static enum wrong classify(const uint64_t *page, uint64_t index, uint32_t generation)
{
    uint64_t found = page[0] ^ MAGIC, any = 0;
    if (found < memory.pages && page[3] == header_mix(found, page[1], page[2])) {
        if (found != index || page[2] != options.seed)
            return WRONG_PLACE;
        return page[1] < generation ? WRONG_STALE : page[1] > generation ? WRONG_NEWER : WRONG_TORN;
    }
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        any |= page[i];
    return any ? WRONG_OTHER : WRONG_ZERO;
}

enum wrong page_verify(uint64_t index, uint32_t generation)
{
    const uint64_t *page = memory_page(index);
    uint64_t state = header_mix(index, generation, options.seed), difference = 0;
    bool zero = page_is_zero_kind(index);
    if (zero && generation % 4 == 0) {
        for (unsigned i = 0; i < PAGE_WORDS; i++)
            difference |= page[i];
    } else {
        difference = (page[0] ^ MAGIC ^ index) | (page[1] ^ generation) |
                     (page[2] ^ options.seed) | (page[3] ^ state);
        if (zero) {
            for (unsigned i = 4; i < PAGE_WORDS; i++)
                difference |= page[i];
        } else {
            for (unsigned i = 4; i < PAGE_WORDS; i++)
                difference |= page[i] ^ noise(&state);
        }
    }
    return difference ? classify(page, index, generation) : RIGHT;
}
