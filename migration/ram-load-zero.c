/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known to be zero at the destination. The kernel tells at the start which memory was never
 * touched (ram-populated.h); from then on nobody but this thread writes guest memory until the
 * guest runs. So a zero record for such a page is a look at a bit, and no memory is spent on it;
 * and a page that is known to be zero may be scribbled on by a wrong guess and be put right by a
 * memset. Incoming thread.
 */
#include "error.h"
#include "ram-load.h"
#include "ram-populated.h"

void ram_load_find_zero(RAMBlock *b)
{
    const uint64_t n = ram_block_max_pages(b);
    Pagemap pm;

    b->known_zero = bits_new(n);
    pagemap_init(&pm);
    ram_block_populated(&pm, b, 0, n, b->known_zero);
    pagemap_clear(&pm);
    for (uint64_t i = 0; i < bits_words(n); i++) {
        b->known_zero[i] = ~b->known_zero[i];
    }
}

void ram_load_zero_pages(RamLoad *ld, RAMBlock *b, uint64_t page, uint64_t n)
{
    const uint64_t end = page + n;

    for (uint64_t at = bits_find_clear(b->known_zero, page, end); at < end;
         at = bits_find_clear(b->known_zero, at + 1, end)) {
        uint8_t *p = ram_block_page(b, at);

        if (!ld->is_zero(p)) {
            memset(p, 0, GW_TARGET_PAGE_SIZE);
        }
    }
    ram_load_mark(b, page, n, true);
}

uint64_t ram_load_scribble_pages(RamLoad *ld, RAMBlock *b, uint64_t page, uint64_t n)
{
    const uint64_t end = MIN(page + n, ram_block_pages(b));
    uint64_t at = page;

    if (b->info.flags & RAM_BLOCK_ROM) {
        return 0;
    }
    while (at < end) {
        at = bits_find_clear(b->known_zero, at, end);
        /* Touched before the migration (preallocated, say) and not sent yet: look at it, once. */
        if (at == end || bits_test(b->received, at) || !ld->is_zero(ram_block_page(b, at))) {
            break;
        }
        bits_set(b->known_zero, at);
    }
    return at - page;
}
