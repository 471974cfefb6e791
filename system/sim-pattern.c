/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orders in which a pass visits the pages of a slice. Each is a permutation computed from the
 * position alone: nothing is stored, so nothing but the position has to migrate. Pure functions.
 */
#include "sim.h"

#define ROUNDS 4

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A permutation of [0, 4^half): a Feistel network of two halves of `half` bits. */
static uint64_t feistel(uint64_t x, unsigned half, uint64_t key)
{
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = x >> half;
    uint64_t right = x & mask;

    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t next = left ^ (mix(right + key + i * UINT64_C(0x9e3779b97f4a7c15)) & mask);

        left = right;
        right = next;
    }
    return left << half | right;
}

static uint64_t random_page(const SimState *s, uint64_t pos)
{
    const uint64_t key = mix(s->seed ^ mix(s->pass + 1) ^ s->first);
    unsigned half = 1;

    while (half < 31 && UINT64_C(1) << (2 * half) < s->pages) {
        half++;
    }
    /* The domain is at most four times the slice: walk the cycle until it is back inside. */
    do {
        pos = feistel(pos, half, key);
    } while (pos >= s->pages);
    return pos;
}

/* Column r holds pages r, r + stride, r + 2 * stride, ...; the columns come one after the other,
 * and the first pages % stride of them are one page longer. */
static uint64_t stride_page(const SimState *s, uint64_t pos)
{
    const uint64_t stride = MIN(s->stride, s->pages);
    const uint64_t rows = s->pages / stride;
    const uint64_t longer = s->pages % stride;
    const uint64_t in_longer = longer * (rows + 1);

    if (pos < in_longer) {
        return pos / (rows + 1) + pos % (rows + 1) * stride;
    }
    pos -= in_longer;
    return longer + pos / rows + pos % rows * stride;
}

uint64_t sim_pattern_page(const SimState *s, uint64_t pos)
{
    switch ((SimPattern)s->pattern) {
    case SIM_REVERSE:
        return s->pages - 1 - pos;
    case SIM_RANDOM:
    case SIM_DIRTY:
        return random_page(s, pos);
    case SIM_STRIDE:
        return stride_page(s, pos);
    default:
        return pos;
    }
}
