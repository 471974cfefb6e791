/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking, protecting and syncing: see dirty-bitmap.h for the order in which that happens and why.
 * Takes and protects: migration thread (urgent sends may join). Sync: one thread at a time.
 * Spec: ram 2.5.
 */
#include "dirty-bitmap.h"

#include "bits.h"

static uint64_t chunks(const RAMBlock *b)
{
    return (ram_block_max_pages(b) + DIRTY_CHUNK_PAGES - 1) / DIRTY_CHUNK_PAGES;
}

void dirty_bitmap_init(RAMBlock *b)
{
    const uint64_t n = b->ignored ? 0 : ram_block_pages(b);
    const MigrationState *ms = b->ms;

    dirty_bitmap_free(b);
    b->dirty = bits_new(ram_block_max_pages(b));
    bits_set_range(b->dirty, 0, n);
    __atomic_store_n(&b->dirty_pages, n, __ATOMIC_RELAXED);
    if (ms->has_dirty_log && gw_capability_get(b->ms, MIGRATION_CAP_POSTCOPY_RAM)) {
        b->recent = bits_new(ram_block_max_pages(b));
    }
    if (ms->has_dirty_log && gw_capability_get(b->ms, MIGRATION_CAP_BACKGROUND_SYNC)) {
        b->next = bits_new(ram_block_max_pages(b));
    }
    if (ms->has_dirty_log && ms->dirty_log.clear) {
        b->unprotected = bits_new(chunks(b));
        bits_set_range(b->unprotected, 0, chunks(b));
        if (b->next) {
            b->news = bits_new(chunks(b));
            b->news_seen = bits_new(chunks(b));
        }
    }
}

void dirty_bitmap_free(RAMBlock *b)
{
    g_clear_pointer(&b->dirty, g_free);
    g_clear_pointer(&b->unprotected, g_free);
    g_clear_pointer(&b->news, g_free);
    g_clear_pointer(&b->news_seen, g_free);
    g_clear_pointer(&b->recent, g_free);
    g_clear_pointer(&b->next, g_free);
    __atomic_store_n(&b->dirty_pages, 0, __ATOMIC_RELAXED);
}

uint64_t dirty_bitmap_take(RAMBlock *b, uint64_t first, uint64_t n, uint64_t *taken)
{
    uint64_t sum = 0;

    BITS_FOREACH_WORD(i, mask, first, n) {
        const uint64_t got = bits_atomic_take(b->dirty, i, mask);

        taken[i - first / BITS_PER_WORD] = got;
        sum += (unsigned)__builtin_popcountll(got);
    }
    __atomic_fetch_sub(&b->dirty_pages, sum, __ATOMIC_RELAXED);
    return sum;
}

uint64_t dirty_bitmap_drop(RAMBlock *b, uint64_t first, uint64_t n)
{
    uint64_t sum = 0;

    BITS_FOREACH_WORD(i, mask, first, n) {
        sum += (unsigned)__builtin_popcountll(bits_atomic_take(b->dirty, i, mask));
    }
    __atomic_fetch_sub(&b->dirty_pages, sum, __ATOMIC_RELAXED);
    return sum;
}

/* ORs into one word; returns the bits that are new. Release: whoever takes one of these bits must
 * see the chunk marks made before. */
static uint64_t or_word(RAMBlock *b, uint64_t i, uint64_t bits)
{
    return bits & ~__atomic_fetch_or(&b->dirty[i], bits, __ATOMIC_RELEASE);
}

static uint64_t population(uint64_t bits)
{
    return (unsigned)__builtin_popcountll(bits);
}

void dirty_bitmap_set(RAMBlock *b, uint64_t first, uint64_t n)
{
    uint64_t sum = 0;

    BITS_FOREACH_WORD(i, mask, first, n) {
        sum += population(or_word(b, i, mask));
    }
    __atomic_fetch_add(&b->dirty_pages, sum, __ATOMIC_RELAXED);
}

bool dirty_bitmap_protect(RAMBlock *b, uint64_t first, uint64_t n, GError **errp)
{
    const MigrationDirtyLogOps *log = &b->ms->dirty_log;

    if (!b->unprotected || n == 0) {
        return true;
    }
    for (uint64_t c = first / DIRTY_CHUNK_PAGES; c <= (first + n - 1) / DIRTY_CHUNK_PAGES; c++) {
        const uint64_t at = c * DIRTY_CHUNK_PAGES;
        const uint64_t bit = UINT64_C(1) << c % BITS_PER_WORD;

        /* The mark goes first: a sync that marks the chunk anew in between must not be undone. */
        if (bits_atomic_take(b->unprotected, c / BITS_PER_WORD, bit) &&
            !log->clear(b->ms->dirty_log_opaque, b, at,
                        MIN(DIRTY_CHUNK_PAGES, ram_block_pages(b) - at), errp)) {
            return false;
        }
        if (b->news) {
            bits_atomic_set_range(b->news, c, 1);
        }
    }
    return true;
}

static void mark_unprotected(RAMBlock *b, uint64_t word)
{
    const uint64_t chunk = word * BITS_PER_WORD / DIRTY_CHUNK_PAGES;

    if (b->unprotected) {
        bits_atomic_set_range(b->unprotected, chunk, 1);
    }
    if (b->news) {
        bits_atomic_take(b->news, chunk / BITS_PER_WORD, UINT64_C(1) << chunk % BITS_PER_WORD);
    }
}

bool dirty_bitmap_sync(RAMBlock *b, uint64_t *scratch, uint64_t *new_pages, GError **errp)
{
    const uint64_t n = ram_block_pages(b);
    const MigrationState *ms = b->ms;
    uint64_t sum = 0;

    if (!ms->has_dirty_log || n == 0 || b->ignored) {
        return true;
    }
    memset(scratch, 0, bits_words(n) * sizeof(*scratch));
    if (!ms->dirty_log.sync(ms->dirty_log_opaque, b, 0, n, scratch, errp)) {
        return false;
    }
    BITS_FOREACH_WORD(i, mask, 0, n) {
        const uint64_t known = b->next ? b->next[i] : 0; /* counted when it was found */
        const uint64_t bits = (scratch[i] | known) & mask;

        if (bits) {
            mark_unprotected(b, i);

            const uint64_t added = or_word(b, i, bits);

            sum += population(added);
            *new_pages += population(added & ~known);
        }
        if (known) {
            b->next[i] = 0;
        }
        if (b->recent) {
            b->recent[i] = bits;
        }
    }
    __atomic_fetch_add(&b->dirty_pages, sum, __ATOMIC_RELAXED);
    return true;
}

static void see_news(RAMBlock *b)
{
    for (uint64_t i = 0; b->news && i < bits_words(chunks(b)); i++) {
        b->news_seen[i] = __atomic_load_n(&b->news[i], __ATOMIC_ACQUIRE);
    }
}

/* A two-step log goes on reporting what it reported until the chunk is protected, written or not:
 * such reports are no news. */
static bool is_news(const RAMBlock *b, uint64_t word)
{
    return !b->unprotected ||
           (b->news && bits_test(b->news_seen, word * BITS_PER_WORD / DIRTY_CHUNK_PAGES));
}

/*
 * The look at `dirty` is a read-modify-write: if it finds a bit set, whoever takes that bit later
 * sees the chunk mark that was made before, protects again and reads what was written until now. If
 * it finds it taken, the page may have been read before this write: it goes into `next`.
 */
bool dirty_bitmap_harvest(RAMBlock *b, uint64_t first, uint64_t n, uint64_t *scratch,
                          uint64_t *new_pages, uint64_t *skipped, GError **errp)
{
    const MigrationState *ms = b->ms;

    if (b->ignored) {
        return true;
    }
    see_news(b); /* before the log is asked: a chunk that is protected after that has none yet */
    memset(scratch, 0, bits_words(n) * sizeof(*scratch));
    /* Also after an error: what was found is not in the log any more. */
    const bool ok = ms->dirty_log.sync(ms->dirty_log_opaque, b, first, n, scratch, errp);

    BITS_FOREACH_WORD(i, mask, first, n) {
        const uint64_t bits = scratch[i - first / BITS_PER_WORD] & mask;

        if (!bits) {
            continue;
        }
        mark_unprotected(b, i);

        const uint64_t unsent = bits & __atomic_fetch_or(&b->dirty[i], 0, __ATOMIC_ACQ_REL);

        *skipped += is_news(b, i) ? population(unsent) : 0;
        *new_pages += population(bits & ~unsent & ~b->next[i]);
        b->next[i] |= bits & ~unsent;
    }
    return ok;
}

void dirty_bitmap_from_received(RAMBlock *b, const uint64_t *received)
{
    const uint64_t n = ram_block_pages(b);
    uint64_t sum = 0;

    BITS_FOREACH_WORD(i, mask, 0, n) {
        const uint64_t bits = ~GUINT64_FROM_LE(received[i]) & mask;

        __atomic_store_n(&b->dirty[i], bits, __ATOMIC_RELEASE);
        sum += (unsigned)__builtin_popcountll(bits);
    }
    __atomic_store_n(&b->dirty_pages, sum, __ATOMIC_RELAXED);
}
