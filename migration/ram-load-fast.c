/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast ways of loading page records; every error is left to ram-load.c. Incoming thread.
 *
 * Out of the buffer: runs of zero records, and pages that lie there complete.
 *
 * Straight into guest memory: after a few normal pages in a row the next ones are expected to be
 * their successors. One readv then scatters the stream over
 *
 *     [rest of this page] [header][next page] [header][page after it] ...
 *
 * with the pages in guest memory, where they belong if the guess holds. Each header is compared
 * before anything that follows it counts. At the first one that differs, what came from there on is
 * copied out of where it landed, given back to the reader, and the pages are zeroed again: only
 * pages that are known to be zero are ever guessed at, so zeros are what they held. Bytes arrive in
 * order: a page is only written if its header is there in full, so nothing is left unjudged between
 * two reads but a piece of one header.
 */
#include "ram-load.h"

/* Pages in a row before guessing starts, and the size of the first guess. */
#define SPECULATE_AFTER 4
#define SPECULATE_FIRST 8

typedef struct Direct {
    RamLoad *ld;
    RamLoadChannel *ch;
    RAMBlock *b;
    uint64_t page; /* its header was read; its contents are complete or on their way */
    size_t have;   /* bytes of it that are in place */
    size_t head;   /* bytes of the next header that are in headers[0] */
} Direct;

void ram_load_end_run(RamLoadChannel *ch)
{
    if (ch->run) {
        ch->last_run = ch->run;
        ch->run = 0;
    }
}

static void note_page(RamLoadChannel *ch, uint64_t page)
{
    if (page != ch->next_page) {
        ram_load_end_run(ch);
    }
    ch->run++;
    ch->next_page = page + 1;
}

/* How many pages to guess at: as far as the run before this one went, and, once this one is clearly
 * longer, further and further. */
static uint64_t expected_pages(const RamLoadChannel *ch)
{
    const uint64_t most = MAX(ch->expect, SPECULATE_FIRST);

    if (ch->run < SPECULATE_AFTER) {
        return 0;
    }
    if (ch->run < ch->last_run) {
        return MIN(most, ch->last_run - ch->run);
    }
    if (ch->run < ch->last_run + SPECULATE_AFTER) {
        return 0;
    }
    return MIN(most, MAX(ch->run - ch->last_run, SPECULATE_FIRST));
}

/* Consecutive zero records from p on; returns the bytes used. */
static size_t load_zero_run(RamLoad *ld, RAMBlock *b, const uint8_t *p, size_t left)
{
    const uint64_t word = load_be64(p);
    const uint64_t page = word >> GW_TARGET_PAGE_BITS;
    const uint64_t max = MIN(left / RAM_ZERO_RECORD_SIZE, ram_block_pages(b) - page);
    uint64_t n = 1;

    while (n < max &&
           load_be64(p + n * RAM_ZERO_RECORD_SIZE) == word + (n << GW_TARGET_PAGE_BITS) &&
           p[n * RAM_ZERO_RECORD_SIZE + RAM_HEADER_SIZE] == 0) {
        n++;
    }
    ram_load_zero_pages(ld, b, page, n);
    return n * RAM_ZERO_RECORD_SIZE;
}

void ram_load_buffered(RamLoad *ld, RamLoadChannel *ch)
{
    const uint8_t *start, *p;
    size_t left = stream_buffered(ch->reader, &start);
    RAMBlock *b = ch->block;

    if (!b) {
        return;
    }
    for (p = start; left >= RAM_ZERO_RECORD_SIZE;) {
        const uint64_t word = load_be64(p);
        const unsigned flags = word & RAM_FLAG_MASK;
        size_t used;

        if (word >= b->info.used_length) {
            break;
        }
        if (flags == (RAM_FLAG_ZERO | RAM_FLAG_CONTINUE) && p[RAM_HEADER_SIZE] == 0) {
            used = load_zero_run(ld, b, p, left);
        } else if (flags == (RAM_FLAG_PAGE | RAM_FLAG_CONTINUE) && left >= RAM_PAGE_RECORD_SIZE) {
            const uint64_t page = word >> GW_TARGET_PAGE_BITS;

            memcpy(ram_block_page(b, page), p + RAM_HEADER_SIZE, GW_TARGET_PAGE_SIZE);
            ram_load_mark(b, page, 1, false);
            note_page(ch, page);
            used = RAM_PAGE_RECORD_SIZE;
        } else {
            break;
        }
        p += used;
        left -= used;
    }
    stream_consume(ch->reader, (size_t)(p - start));
}

/* The places of a read that expects `k` more pages. */
static int fill_iov(Direct *d, uint64_t k)
{
    RamLoad *ld = d->ld;
    int n = 0;

    if (d->have < GW_TARGET_PAGE_SIZE) {
        ld->iov[n++] = (struct iovec){ram_block_page(d->b, d->page) + d->have,
                                      GW_TARGET_PAGE_SIZE - d->have};
    }
    for (uint64_t i = 0; i < k; i++) {
        const size_t skip = i == 0 ? d->head : 0;

        ld->iov[n++] = (struct iovec){(uint8_t *)&ld->headers[i] + skip, RAM_HEADER_SIZE - skip};
        ld->iov[n++] = (struct iovec){ram_block_page(d->b, d->page + 1 + i), GW_TARGET_PAGE_SIZE};
    }
    return n;
}

/* headers[i] was not the expected one: gives it, and the n bytes after it, back to the reader. */
static void give_back(Direct *d, unsigned i, size_t n)
{
    const size_t len = RAM_HEADER_SIZE + n;
    uint8_t *buf = g_malloc(len);
    size_t at = 0;

    for (uint64_t page = d->page + 1; at < len; page++, i++) {
        size_t part = MIN(len - at, RAM_HEADER_SIZE);

        memcpy(buf + at, &d->ld->headers[i], part);
        at += part;
        part = MIN(len - at, GW_TARGET_PAGE_SIZE);
        if (part) {
            memcpy(buf + at, ram_block_page(d->b, page), part);
            memset(ram_block_page(d->b, page), 0, part);
            at += part;
        }
    }
    stream_unread(d->ch->reader, buf, len);
    d->ld->misses++;
    d->ld->copied_back += len;
}

/* Judges n bytes that came to the places of fill_iov(). False after a miss. */
static bool judge(Direct *d, size_t n)
{
    uint64_t *headers = d->ld->headers;
    size_t part = MIN(n, GW_TARGET_PAGE_SIZE - d->have);

    d->have += part;
    n -= part;
    for (unsigned i = 0; n > 0; i++) {
        const uint64_t offset = (d->page + 1) << GW_TARGET_PAGE_BITS;

        part = MIN(n, RAM_HEADER_SIZE - d->head);
        d->head += part;
        n -= part;
        if (d->head < RAM_HEADER_SIZE) {
            headers[0] = headers[i];
            break;
        }
        d->head = 0;
        if (load_be64(&headers[i]) != (offset | RAM_FLAG_PAGE | RAM_FLAG_CONTINUE)) {
            give_back(d, i, n);
            return false;
        }
        d->page++;
        d->have = MIN(n, GW_TARGET_PAGE_SIZE);
        n -= d->have;
    }
    return true;
}

/* Nothing more is expected, or the stream ended: the rest of a page comes through the reader, which
 * knows how to word the end; a piece of a header goes back to it. */
static bool finish_buffered(Direct *d, GError **errp)
{
    StreamReader *r = d->ch->reader;

    if (d->have < GW_TARGET_PAGE_SIZE) {
        if (!stream_get_bytes(r, ram_block_page(d->b, d->page) + d->have,
                              GW_TARGET_PAGE_SIZE - d->have, errp)) {
            return false;
        }
        ram_load_mark(d->b, d->page, 1, false);
    } else if (d->head) {
        stream_unread(r, g_memdup2(d->ld->headers, d->head), d->head);
    }
    return true;
}

/* `have` bytes of `page`, which note_page() has counted, are in place. */
static bool load_direct(RamLoad *ld, RamLoadChannel *ch, uint64_t page, size_t have, GError **errp)
{
    Direct d = {.ld = ld, .ch = ch, .b = ch->block, .page = page, .have = have};

    for (;;) {
        const uint64_t first = d.page;
        const uint64_t k = ram_load_scribble_pages(ld, d.b, first + 1, expected_pages(ch));
        ssize_t n = 0;
        bool hit;

        if (k > 0) {
            n = stream_readv_direct(ch->reader, ld->iov, fill_iov(&d, k), errp);
        }
        if (n <= 0) {
            return n == 0 && finish_buffered(&d, errp);
        }
        ld->direct_reads++;
        hit = judge(&d, (size_t)n);
        /* All but the last are complete. */
        ram_load_mark(d.b, first, d.page - first + (d.have == GW_TARGET_PAGE_SIZE), false);
        ch->run += d.page - first;
        ch->next_page = d.page + 1;
        ram_load_ahead(ld, d.b, ch->next_page, ch->run);
        if (!hit) {
            ram_load_end_run(ch);
            ch->expect = SPECULATE_FIRST;
            return true;
        }
        /* As many pages as this read brought, and as many again. */
        ch->expect = CLAMP(2 * (d.page - first), SPECULATE_FIRST, RAM_LOAD_SPECULATE_MAX);
    }
}

bool ram_load_page(RamLoad *ld, RamLoadChannel *ch, uint64_t page, GError **errp)
{
    uint8_t *host = ram_block_page(ch->block, page);
    const uint8_t *p;
    const size_t have = MIN(stream_buffered(ch->reader, &p), GW_TARGET_PAGE_SIZE);

    memcpy(host, p, have);
    stream_consume(ch->reader, have);
    note_page(ch, page);
    if (have < GW_TARGET_PAGE_SIZE) {
        return load_direct(ld, ch, page, have, errp);
    }
    ram_load_mark(ch->block, page, 1, false);
    return true;
}
