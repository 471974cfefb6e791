/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at some pages only: their checksums before and after (mode page-sampling), and how many
 * read as zeros. Pages are drawn at random per RAM block. A page that was never touched is known to
 * be zero without a look, which would give it memory where the backing is shared.
 * Measuring thread; the guest writes meanwhile, which is the point.
 */
#include "dirty-rate.h"

#include <zlib.h>

#include "error.h"
#include "ram-block.h"
#include "ram-populated.h"
#include "zero-page.h"

#define ZERO_SAMPLES 4096 /* of all RAM, for the share of zero pages: +-1.6 % at 95 % */

typedef struct Sample {
    const RAMBlock *block;
    uint64_t page;
    uint64_t sum; /* crc32 of the page, or UNTOUCHED */
} Sample;

#define UNTOUCHED UINT64_MAX

static bool is_populated(const Pagemap *pm, const RAMBlock *b, uint64_t page)
{
    const uint64_t first = page & ~UINT64_C(63);
    uint64_t map = 0;

    ram_block_populated(pm, b, first, MIN(64, ram_block_pages(b) - first), &map);
    return (map >> (page & 63)) & 1;
}

static uint64_t page_sum(const Pagemap *pm, const Sample *s)
{
    return is_populated(pm, s->block, s->page)
               ? crc32(0, ram_block_page(s->block, s->page), GW_TARGET_PAGE_SIZE)
               : UNTOUCHED;
}

unsigned dirty_rate_place(MigrationState *ms, const RAMBlock *block, uint64_t page)
{
    const uint64_t all = MAX(ram_bytes_total(ms) >> GW_TARGET_PAGE_BITS, 1);
    uint64_t at = page;

    for (unsigned i = 0; i < block->index; i++) {
        at += ram_block_pages(ram_block_at(ms, i));
    }
    return (unsigned)MIN(at * DIRTY_PLACES / all, DIRTY_PLACES - 1);
}

/* Draws pages of every block, in proportion, at least one each. */
static GArray *draw(MigrationState *ms, double per_page)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(Sample));
    GRand *rand = g_rand_new();

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);
        const uint64_t pages = ram_block_pages(b);
        const uint64_t n = pages ? (uint64_t)((double)pages * per_page) + 1 : 0;

        for (uint64_t k = 0; k < MIN(n, pages); k++) {
            const double at = g_rand_double(rand) * (double)pages;
            const Sample s = {.block = b, .page = MIN((uint64_t)at, pages - 1)};

            g_array_append_val(all, s);
        }
    }
    g_rand_free(rand);
    return all;
}

bool dirty_rate_by_sample(DirtyRate *dr, int64_t calc_ns, uint64_t per_gib, DirtyRateResult *out,
                          GError **errp)
{
    MigrationState *ms = dr->ms;
    const double per_page = (double)per_gib * (double)GW_TARGET_PAGE_SIZE / (1 << 30);
    g_autoptr(GArray) samples = draw(ms, per_page);
    const int64_t start = ms_now_ns(ms);
    uint64_t changed = 0;
    Pagemap pm;
    bool ok;

    pagemap_init(&pm);
    for (guint i = 0; i < samples->len; i++) {
        Sample *s = &g_array_index(samples, Sample, i);

        s->sum = page_sum(&pm, s);
    }
    ok = dirty_rate_wait(dr, start + calc_ns);
    for (guint i = 0; ok && i < samples->len; i++) {
        const Sample *s = &g_array_index(samples, Sample, i);

        changed += page_sum(&pm, s) != s->sum;
    }
    pagemap_clear(&pm);
    if (!ok) {
        return gw_fail(errp, GW_ERROR_CANCELLED, "the measurement was ended");
    }
    const double pages = (double)(ram_bytes_total(ms) >> GW_TARGET_PAGE_BITS);

    out->rate = dirty_rate_mib(pages * (double)changed / MAX(samples->len, 1u),
                               ms_now_ns(ms) - start);
    return true;
}

void dirty_rate_zeros(MigrationState *ms, DirtySurvey *s)
{
    const double pages = (double)(ram_bytes_total(ms) >> GW_TARGET_PAGE_BITS);
    g_autoptr(GArray) samples = draw(ms, MIN(1, ZERO_SAMPLES / MAX(pages, 1)));
    const ZeroPageFn is_zero = zero_page_best();
    unsigned seen[DIRTY_PLACES] = {0}, zeros[DIRTY_PLACES] = {0}, sum = 0;
    Pagemap pm;

    pagemap_init(&pm);
    for (guint i = 0; i < samples->len; i++) {
        const Sample *at = &g_array_index(samples, Sample, i);
        const unsigned place = dirty_rate_place(ms, at->block, at->page);

        seen[place]++;
        zeros[place] += !is_populated(&pm, at->block, at->page) ||
                        is_zero(ram_block_page(at->block, at->page));
    }
    pagemap_clear(&pm);
    for (unsigned i = 0; i < DIRTY_PLACES; i++) {
        sum += zeros[i];
        s->zero_at[i] = seen[i] ? (double)zeros[i] / seen[i] : 0;
    }
    s->zero_share = samples->len ? (double)sum / samples->len : 0;
}
