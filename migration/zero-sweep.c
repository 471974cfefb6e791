/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zero sweep. Memory is cut into chunks (those in which the dirty log is protected), numbered
 * in the order of the linear walk. The sender goes up, the sweep goes down, and no chunk is ever
 * both's: `front` and `back` under the sweep's lock, a leaf. For each chunk the sweep does what a
 * sender does, take the dirty bits, protect the log, look, and then gives the bits of pages with
 * data back. A page that is written after the look is in the log, hence dirty at the next sync.
 * Threads: its own and the migration thread.
 */
#include "zero-sweep.h"

#include "bits.h"
#include "dirty-bitmap.h"
#include "lock.h"
#include "ram-populated.h"
#include "trace.h"

/* Below this much the thread is not worth its start. */
#define MIN_CHUNKS 4

struct ZeroSweep {
    RamSave *rs;
    GThread *thread;
    uint64_t *first_chunk;  /* per block, and one more: the number of all */
    uint64_t entered;       /* migration thread: the chunk that it is in */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint64_t front;         /* lock; the sender's chunk */
    uint64_t back;          /* lock; the sweep has or had this chunk and those above */
    bool busy, quit;        /* lock; it is at `back`; it is to end */
    uint64_t found;         /* sweep thread; zero pages */
};

static void give_back(RAMBlock *b, uint64_t first, uint64_t bits)
{
    while (bits) {
        const unsigned from = (unsigned)__builtin_ctzll(bits);
        const uint64_t rest = ~(bits >> from);
        const unsigned n = rest ? (unsigned)__builtin_ctzll(rest) : BITS_PER_WORD;

        dirty_bitmap_set(b, first + from, n);
        bits &= n + from >= BITS_PER_WORD ? 0 : UINT64_MAX << (from + n);
    }
}

static bool is_zero(const RamSave *rs, const RAMBlock *b, uint64_t page)
{
    return rs->is_zero(ram_block_page(b, page));
}

/* The zero pages among 64. Where the first and the last have data, the others are left to the
 * sender, who has to look at each page there anyway. */
static uint64_t zeros_of(const RamSave *rs, const RAMBlock *b, uint64_t first, uint64_t taken,
                         uint64_t populated)
{
    uint64_t zeros = taken & ~populated;
    uint64_t left = taken & populated;

    if (!left || (!is_zero(rs, b, first + (unsigned)__builtin_ctzll(left)) &&
                  !is_zero(rs, b, first + 63 - (unsigned)__builtin_clzll(left)))) {
        return zeros;
    }
    for (; left; left &= left - 1) {
        const unsigned k = (unsigned)__builtin_ctzll(left);

        if (is_zero(rs, b, first + k)) {
            zeros |= UINT64_C(1) << k;
        }
    }
    return zeros;
}

/* False: the log cannot be protected. All is as before: the sender will meet the same error, and
 * tell it. */
static bool sweep_chunk(ZeroSweep *z, RAMBlock *b, uint64_t first)
{
    uint64_t taken[DIRTY_CHUNK_PAGES / BITS_PER_WORD] = {0};
    uint64_t populated[DIRTY_CHUNK_PAGES / BITS_PER_WORD] = {0};
    const uint64_t n = MIN(DIRTY_CHUNK_PAGES, ram_block_pages(b) - first);
    uint64_t found = 0;
    bool ok;

    if (dirty_bitmap_take(b, first, n, taken) == 0) {
        return true;
    }
    ok = dirty_bitmap_protect(b, first, n, NULL);
    if (ok) {
        ram_block_populated(&z->rs->pagemap, b, first, n, populated);
    }
    for (uint64_t i = 0; i < bits_words(n); i++) {
        const uint64_t at = first + i * BITS_PER_WORD;
        const uint64_t zeros = ok ? zeros_of(z->rs, b, at, taken[i], populated[i]) : 0;

        found += (unsigned)__builtin_popcountll(zeros);
        give_back(b, at, taken[i] & ~zeros);
    }
    if (!ok) {
        bits_atomic_set_range(b->unprotected, first / DIRTY_CHUNK_PAGES, 1);
    }
    STAT_ADD(z->rs->ms->stats.skipped_pages, found);
    z->found += found;
    return ok;
}

/* The block and its page where a chunk begins. */
static RAMBlock *chunk_at(const ZeroSweep *z, uint64_t chunk, uint64_t *first)
{
    unsigned i = 0;

    while (z->first_chunk[i + 1] <= chunk) {
        i++;
    }
    *first = (chunk - z->first_chunk[i]) * DIRTY_CHUNK_PAGES;
    return ram_block_at(z->rs->ms, i);
}

static gpointer sweep_thread(gpointer opaque)
{
    ZeroSweep *z = opaque;
    bool ok = true;

    pthread_mutex_lock(&z->lock);
    while (ok && !z->quit && z->back > z->front + 1) {
        uint64_t first;
        RAMBlock *b = chunk_at(z, --z->back, &first);

        z->busy = true;
        pthread_mutex_unlock(&z->lock);
        ok = sweep_chunk(z, b, first);
        pthread_mutex_lock(&z->lock);
        z->busy = false;
        pthread_cond_signal(&z->cond);
    }
    pthread_mutex_unlock(&z->lock);
    return NULL;
}

void zero_sweep_start(RamSave *rs)
{
    const unsigned n = ram_block_count(rs->ms);
    ZeroSweep *z;

    if (g_get_num_processors() < 2 ||
        gw_param_get(rs->ms, MIGRATION_PARAM_ZERO_PAGE_DETECTION) == ZERO_PAGE_DETECTION_NONE) {
        return;
    }
    z = rs->sweep = g_new0(ZeroSweep, 1);
    z->rs = rs;
    z->first_chunk = g_new0(uint64_t, n + 1);
    for (unsigned i = 0; i < n; i++) {
        const uint64_t pages = ram_block_pages(ram_block_at(rs->ms, i));

        z->first_chunk[i + 1] =
            z->first_chunk[i] + (pages + DIRTY_CHUNK_PAGES - 1) / DIRTY_CHUNK_PAGES;
    }
    z->back = z->first_chunk[n];
    pthread_mutex_init(&z->lock, NULL);
    pthread_cond_init(&z->cond, NULL);
    if (z->back >= MIN_CHUNKS) {
        z->thread = g_thread_new("mig/src/zero", sweep_thread, z);
    }
}

void zero_sweep_enter(RamSave *rs, const RAMBlock *b, uint64_t page)
{
    ZeroSweep *z = rs->sweep;
    uint64_t chunk;

    if (!z || !z->thread) {
        return;
    }
    chunk = z->first_chunk[ram_block_index(b)] + page / DIRTY_CHUNK_PAGES;
    if (chunk <= z->entered) {
        return;
    }
    z->entered = chunk;
    pthread_mutex_lock(&z->lock);
    z->front = chunk; /* from here on it takes no chunk down to this one */
    while (z->busy && z->back <= chunk) {
        pthread_cond_wait(&z->cond, &z->lock);
    }
    pthread_mutex_unlock(&z->lock);
}

void zero_sweep_stop(RamSave *rs)
{
    ZeroSweep *z = rs->sweep;

    if (!z) {
        return;
    }
    if (z->thread) {
        pthread_mutex_lock(&z->lock);
        z->quit = true;
        pthread_mutex_unlock(&z->lock);
        g_thread_join(z->thread);
        trace_event(zero_sweep_end, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                    " chunks, %" G_GUINT64_FORMAT " zero pages",
                    z->first_chunk[ram_block_count(rs->ms)] - z->back,
                    z->first_chunk[ram_block_count(rs->ms)], z->found);
    }
    pthread_mutex_destroy(&z->lock);
    pthread_cond_destroy(&z->cond);
    g_free(z->first_chunk);
    g_clear_pointer(&rs->sweep, g_free);
}
