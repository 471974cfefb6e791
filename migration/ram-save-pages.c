/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page records. For a range of up to 512 pages: take the dirty bits, protect the log, find out what
 * was never touched, then put each page as ZERO or PAGE. Normal pages are references, which the
 * writer gathers into its next writev: they are read when they are sent, after their bit was taken.
 * Migration thread; in postcopy also the return-path thread, with a sender of its own: the dirty
 * bitmap decides who sends a page. Wire: spec ram 2.2.
 */
#include <string.h>

#include "bits.h"
#include "dirty-bitmap.h"
#include "ram-populated.h"
#include "ram-xbzrle.h"
#include "zero-sweep.h"

static void flush_zero_records(RamSender *s, StreamWriter *w)
{
    if (s->zero_fill) {
        stream_put_bytes(w, s->zero_records, s->zero_fill);
        s->zero_fill = 0;
    }
}

void ram_sender_put_header(RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t offset,
                           uint32_t flag)
{
    flush_zero_records(s, w);
    if (b == s->block) {
        stream_put_be64(w, offset | flag | RAM_FLAG_CONTINUE);
        return;
    }
    stream_put_be64(w, offset | flag);
    stream_put_str8(w, b->info.idstr);
    s->block = b;
}

/* Zero records come in crowds and are small: they are made in a buffer and put as one piece. */
static void put_zero_page(RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t offset)
{
    uint8_t *p = s->zero_records + s->zero_fill;

    if (b != s->block) {
        ram_sender_put_header(s, w, b, offset, RAM_FLAG_ZERO);
        stream_put_u8(w, 0);
        return;
    }
    store_be64(p, offset | RAM_FLAG_ZERO | RAM_FLAG_CONTINUE);
    p[RAM_HEADER_SIZE] = 0;
    s->zero_fill += RAM_ZERO_RECORD_SIZE;
}

static void put_normal_page(RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t offset)
{
    ram_sender_put_header(s, w, b, offset, RAM_FLAG_PAGE);
    stream_put_ref(w, b->info.host + offset, GW_TARGET_PAGE_SIZE);
}

/* How the pages of one range are put, and what they turned out to be. */
typedef struct PutMode {
    bool detect; /* zero pages are looked for */
    bool skip;   /* ... and left out */
    bool xbzrle; /* others may go out as what has changed of them */
    uint64_t zeros, skipped, normal;
} PutMode;

static bool in_first_pass(const RamSave *rs)
{
    return __atomic_load_n(&rs->search.passes, __ATOMIC_RELAXED) == 0;
}

/* A page may be left out if the destination never got another version of it, and if nobody will
 * wait for it to come: in the first pass, and before the switch to postcopy. */
static PutMode put_mode(const RamSave *rs)
{
    const bool detect = gw_param_get(rs->ms, MIGRATION_PARAM_ZERO_PAGE_DETECTION) !=
                        ZERO_PAGE_DETECTION_NONE;

    return (PutMode){
        .detect = detect,
        .skip = detect && rs->skip_zero && !rs->in_postcopy && in_first_pass(rs),
        .xbzrle = ram_xbzrle_active(rs),
    };
}

static void put_data(RamSave *rs, PutMode *mode, RamSender *s, StreamWriter *w, const RAMBlock *b,
                     uint64_t page)
{
    bool normal = true;

    if (!mode->xbzrle || !ram_xbzrle_put(rs, s, w, b, page, &normal)) {
        put_normal_page(s, w, b, page << GW_TARGET_PAGE_BITS);
    }
    mode->normal += normal;
}

static void put_zero(RamSave *rs, PutMode *mode, RamSender *s, StreamWriter *w, const RAMBlock *b,
                     uint64_t page)
{
    if (mode->skip) {
        mode->skipped++;
        return;
    }
    put_zero_page(s, w, b, page << GW_TARGET_PAGE_BITS);
    mode->zeros++;
    if (mode->xbzrle) {
        ram_xbzrle_note_zero(rs, b, page);
    }
}

/* Puts the pages of one word of the bitmap. */
static void put_word(RamSave *rs, PutMode *mode, RamSender *s, StreamWriter *w,
                     const RAMBlock *b, uint64_t first, uint64_t taken, uint64_t populated)
{
    if (mode->skip) {
        mode->skipped += (unsigned)__builtin_popcountll(taken & ~populated);
        taken &= populated;
    }
    while (taken) {
        const unsigned k = (unsigned)__builtin_ctzll(taken);
        const uint64_t page = first + k;

        taken &= taken - 1;
        if (!mode->detect || (((populated >> k) & 1) && !rs->is_zero(ram_block_page(b, page)))) {
            put_data(rs, mode, s, w, b, page);
        } else {
            put_zero(rs, mode, s, w, b, page);
        }
    }
}

/* In postcopy the background goes on in small parts: one look does for many of them. */
static void find_in_stretch(RamSave *rs, const RAMBlock *b, uint64_t first, uint64_t n,
                            uint64_t *populated)
{
    RamSaveStretch *st = &rs->populated;
    const uint64_t base = first / RAM_SAVE_STRETCH * RAM_SAVE_STRETCH;

    if (first + n > base + RAM_SAVE_STRETCH) {
        ram_block_populated(&rs->pagemap, b, first, n, populated);
        return;
    }
    if (st->block != b || st->first != base) {
        st->block = b;
        st->first = base;
        ram_block_populated(&rs->pagemap, b, base,
                            MIN(RAM_SAVE_STRETCH, ram_block_pages(b) - base), st->map);
    }
    memcpy(populated, st->map + (first - base) / BITS_PER_WORD, bits_words(n) * sizeof(*populated));
}

/* After the first pass what is dirty was written: no use in asking whether it was ever touched. Nor
 * of a page that somebody waits for: it is looked at at once. */
static void find_populated(RamSave *rs, const RamSender *s, const RAMBlock *b, uint64_t first,
                           uint64_t n, uint64_t *populated)
{
    if (!in_first_pass(rs) || (rs->in_postcopy && s != &rs->main)) {
        bits_set_range(populated, 0, n);
    } else if (rs->in_postcopy) {
        find_in_stretch(rs, b, first, n, populated);
    } else {
        ram_block_populated(&rs->pagemap, b, first, n, populated);
    }
}

/* Puts the taken pages of whole words from `first` on (a multiple of 64). */
static bool put_taken(RamSave *rs, RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t first,
                      uint64_t n, const uint64_t *taken, GError **errp)
{
    uint64_t populated[PAGE_SEARCH_WINDOW / BITS_PER_WORD + 1];
    PutMode mode = put_mode(rs);

    /* Only now: a page that is touched after this look is dirty again. */
    find_populated(rs, s, b, first, n, populated);
    for (uint64_t i = 0; i < bits_words(n); i++) {
        put_word(rs, &mode, s, w, b, first + i * BITS_PER_WORD, taken[i], populated[i]);
    }
    flush_zero_records(s, w);
    if (rs->in_postcopy && rs->release) {
        ram_release_note(s, b, first, n, taken);
    }
    STAT_ADD(rs->ms->stats.zero_pages, mode.zeros);
    STAT_ADD(rs->ms->stats.skipped_pages, mode.skipped);
    STAT_ADD(rs->ms->stats.normal_pages, mode.normal);
    return ram_save_check_writer(w, errp);
}

bool ram_save_range(RamSave *rs, RamSender *s, StreamWriter *w, const PageRange *range,
                    GError **errp)
{
    uint64_t taken[PAGE_SEARCH_WINDOW / BITS_PER_WORD + 1] = {0};
    /* Whole words from the one that holds the first page; the pages before it are masked out. */
    const uint64_t first = range->first / BITS_PER_WORD * BITS_PER_WORD;
    const uint64_t n = range->first + range->npages - first;

    zero_sweep_enter(rs, range->block, range->first);
    if (dirty_bitmap_take(range->block, range->first, range->npages, taken) == 0) {
        return true;
    }
    return dirty_bitmap_protect(range->block, range->first, range->npages, errp) &&
           put_taken(rs, s, w, range->block, first, n, taken, errp);
}

/* The bit of the first target page is the claim: who clears it sends the whole host page. */
static bool claim_host_page(const PageRange *page)
{
    uint64_t taken[2];

    if (!dirty_bitmap_take(page->block, page->first, 1, taken)) {
        return false;
    }
    for (uint64_t at = 1; at < page->npages; at += PAGE_SEARCH_WINDOW) {
        uint64_t rest[PAGE_SEARCH_WINDOW / BITS_PER_WORD + 1];

        dirty_bitmap_take(page->block, page->first + at,
                          MIN(PAGE_SEARCH_WINDOW, page->npages - at), rest);
    }
    return true;
}

bool ram_save_host_page(RamSave *rs, RamSender *s, StreamWriter *w, const PageRange *page,
                        bool *put, GError **errp)
{
    *put = claim_host_page(page);
    for (uint64_t at = 0; *put && at < page->npages; at += PAGE_SEARCH_WINDOW) {
        const uint64_t first = page->first + at;
        const uint64_t n = MIN(PAGE_SEARCH_WINDOW, page->npages - at);
        const uint64_t base = first / BITS_PER_WORD * BITS_PER_WORD;
        uint64_t taken[PAGE_SEARCH_WINDOW / BITS_PER_WORD + 1] = {0};

        bits_set_range(taken, first - base, n);
        if (!put_taken(rs, s, w, page->block, base, first + n - base, taken, errp)) {
            return false;
        }
    }
    return true;
}

void ram_sender_init(RamSender *s)
{
    s->block = NULL;
    s->zero_fill = 0;
    s->sent = NULL;
}

void ram_sender_clear(RamSender *s)
{
    g_clear_pointer(&s->sent, g_array_unref);
}
