/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bitmaps of 64-bit words, bit k of a map = bit k % 64 of word k / 64, and big-endian loads and
 * stores. Pure functions; any thread.
 *
 * The bits_atomic_* functions may run against each other on one map. Their memory order: a thread
 * that sees a bit set by bits_atomic_set_range() also sees what was written before it (release),
 * and what bits_atomic_take() hands out happens before everything that follows (acquire).
 */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#define BITS_PER_WORD 64

static inline size_t bits_words(uint64_t nbits)
{
    return (nbits + BITS_PER_WORD - 1) / BITS_PER_WORD;
}

/* Bits [from, to) of one word; from < 64, from <= to <= 64. */
static inline uint64_t bits_mask(unsigned from, unsigned to)
{
    const uint64_t below = to >= BITS_PER_WORD ? UINT64_MAX : (UINT64_C(1) << to) - 1;

    return below & (UINT64_MAX << from);
}

/* A zeroed map; g_free() it. */
static inline uint64_t *bits_new(uint64_t nbits)
{
    return g_new0(uint64_t, MAX(bits_words(nbits), 1));
}

static inline bool bits_test(const uint64_t *map, uint64_t bit)
{
    const uint64_t w = __atomic_load_n(&map[bit / BITS_PER_WORD], __ATOMIC_RELAXED);

    return (w >> bit % BITS_PER_WORD) & 1;
}

/* The same for who then relies on what was written before the bit was set. */
static inline bool bits_test_acquire(const uint64_t *map, uint64_t bit)
{
    const uint64_t word = __atomic_load_n(&map[bit / BITS_PER_WORD], __ATOMIC_ACQUIRE);

    return (word >> bit % BITS_PER_WORD) & 1;
}

static inline void bits_set(uint64_t *map, uint64_t bit)
{
    map[bit / BITS_PER_WORD] |= UINT64_C(1) << bit % BITS_PER_WORD;
}

/* Walks the words that hold [first, first + n): `mask` are the bits of the range in word `i`. */
#define BITS_FOREACH_WORD(i, mask, first, n) \
    for (uint64_t i##_at = (first), i##_end = (first) + (n), i, mask; \
         i##_at < i##_end && \
         (i = i##_at / BITS_PER_WORD, \
          mask = bits_mask(i##_at % BITS_PER_WORD, \
                           MIN(i##_end - i * BITS_PER_WORD, (uint64_t)BITS_PER_WORD)), true); \
         i##_at = (i + 1) * BITS_PER_WORD)

static inline void bits_set_range(uint64_t *map, uint64_t first, uint64_t n)
{
    BITS_FOREACH_WORD(i, mask, first, n) {
        map[i] |= mask;
    }
}

static inline void bits_clear_range(uint64_t *map, uint64_t first, uint64_t n)
{
    BITS_FOREACH_WORD(i, mask, first, n) {
        map[i] &= ~mask;
    }
}

static inline void bits_atomic_set_range(uint64_t *map, uint64_t first, uint64_t n)
{
    BITS_FOREACH_WORD(i, mask, first, n) {
        __atomic_fetch_or(&map[i], mask, __ATOMIC_RELEASE);
    }
}

/* Clears the bits of `mask` in word i and returns those that were set. */
static inline uint64_t bits_atomic_take(uint64_t *map, uint64_t i, uint64_t mask)
{
    /* A look first: a clean word costs no locked instruction. */
    if (!(__atomic_load_n(&map[i], __ATOMIC_RELAXED) & mask)) {
        return 0;
    }
    return __atomic_fetch_and(&map[i], ~mask, __ATOMIC_ACQ_REL) & mask;
}

/* The first bit of value `set` in [from, end), or `end`. */
static inline uint64_t bits_find(const uint64_t *map, uint64_t from, uint64_t end, bool set)
{
    const uint64_t flip = set ? 0 : UINT64_MAX;

    while (from < end) {
        const uint64_t i = from / BITS_PER_WORD;
        const uint64_t w = (__atomic_load_n(&map[i], __ATOMIC_RELAXED) ^ flip) &
                           (UINT64_MAX << from % BITS_PER_WORD);

        if (w) {
            return MIN(end, i * BITS_PER_WORD + (unsigned)__builtin_ctzll(w));
        }
        from = (i + 1) * BITS_PER_WORD;
    }
    return end;
}

static inline uint64_t bits_find_set(const uint64_t *map, uint64_t from, uint64_t end)
{
    return bits_find(map, from, end, true);
}

static inline uint64_t bits_find_clear(const uint64_t *map, uint64_t from, uint64_t end)
{
    return bits_find(map, from, end, false);
}

static inline uint64_t bits_count(const uint64_t *map, uint64_t first, uint64_t n)
{
    uint64_t sum = 0;

    BITS_FOREACH_WORD(i, mask, first, n) {
        sum += (unsigned)__builtin_popcountll(__atomic_load_n(&map[i], __ATOMIC_RELAXED) & mask);
    }
    return sum;
}

static inline uint64_t load_be64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT64_FROM_BE(v);
}

static inline uint32_t load_be32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT32_FROM_BE(v);
}

static inline void store_be32(void *p, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    memcpy(p, &v, sizeof(v));
}

static inline void store_be64(void *p, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    memcpy(p, &v, sizeof(v));
}

#endif
