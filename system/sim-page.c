/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a page holds. Its number, generation and the seed determine it, so verifying means to
 * compute it again; the header of a wrong page tells whether it is lost, stale, misplaced or torn.
 *
 * First four words: magic ^ number, generation, seed, checksum of these. The same again, inverted,
 * in the last four, so that a page put together from two is found. In between noise, or with
 * whole=off whatever was there.
 *
 * The engine reads these pages while the workload writes them: that race is what migration is
 * about, so the thread sanitizer is told to look away here, and only here.
 */
#include "sim.h"

#define MAGIC UINT64_C(0x6d69732d74776467)
#define ENDS  4

#define GUEST_MEMORY __attribute__((no_sanitize("thread")))

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t checksum(uint64_t index, uint64_t generation, uint64_t seed)
{
    return mix(mix(index * UINT64_C(0x9e3779b97f4a7c15) + seed) + generation);
}

static inline uint64_t noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

static void header(uint64_t out[ENDS], const SimState *s, uint64_t index, uint64_t generation)
{
    out[0] = MAGIC ^ index;
    out[1] = generation;
    out[2] = s->seed;
    out[3] = checksum(index, generation, s->seed);
}

GUEST_MEMORY void sim_page_write(uint64_t *page, const SimState *s, uint64_t index,
                                 uint64_t generation)
{
    uint64_t h[ENDS], state;

    header(h, s, index, generation);
    state = h[3];
    for (unsigned i = 0; i < ENDS; i++) {
        page[i] = h[i];
        page[SIM_PAGE_WORDS - ENDS + i] = ~h[i];
    }
    for (unsigned i = ENDS; s->whole && i < SIM_PAGE_WORDS - ENDS; i++) {
        page[i] = noise(&state);
    }
}

/* The page is not what it should be: find out how. */
GUEST_MEMORY static SimWrong classify(const uint64_t *page, const SimState *s, uint64_t index,
                                      uint64_t generation)
{
    const uint64_t found = page[0] ^ MAGIC;
    uint64_t any = 0;

    if (page[3] == checksum(found, page[1], page[2])) {
        if (found != index || page[2] != s->seed) {
            return SIM_WRONG_PLACE;
        }
        return page[1] < generation   ? SIM_WRONG_STALE
               : page[1] > generation ? SIM_WRONG_NEWER
                                      : SIM_WRONG_TORN;
    }
    for (unsigned i = 0; i < SIM_PAGE_WORDS; i++) {
        any |= page[i];
    }
    return any ? SIM_WRONG_OTHER : SIM_WRONG_ZERO;
}

GUEST_MEMORY SimWrong sim_page_verify(const uint64_t *page, const SimState *s, uint64_t index,
                                      uint64_t generation)
{
    uint64_t h[ENDS], state;
    uint64_t difference = 0;

    header(h, s, index, generation);
    state = h[3];
    for (unsigned i = 0; i < ENDS; i++) {
        difference |= page[i] ^ h[i];
        difference |= page[SIM_PAGE_WORDS - ENDS + i] ^ ~h[i];
    }
    for (unsigned i = ENDS; s->whole && i < SIM_PAGE_WORDS - ENDS; i++) {
        difference |= page[i] ^ noise(&state);
    }
    return difference ? classify(page, s, index, generation) : SIM_RIGHT;
}

const char *sim_wrong_name(SimWrong kind)
{
    static const char *const names[] = {
        [SIM_RIGHT] = "none",        [SIM_WRONG_ZERO] = "zero",
        [SIM_WRONG_STALE] = "stale", [SIM_WRONG_NEWER] = "newer",
        [SIM_WRONG_PLACE] = "misplaced", [SIM_WRONG_TORN] = "torn",
        [SIM_WRONG_OTHER] = "other",
    };

    return kind < G_N_ELEMENTS(names) ? names[kind] : "?";
}
