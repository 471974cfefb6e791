/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A MigrationState of nothing but RAM blocks, for the tests of the RAM section: the handlers are
 * called straight, without sections around them.
 */
#ifndef TESTS_RAM_FIXTURE_H
#define TESTS_RAM_FIXTURE_H

#include <string.h>
#include <sys/mman.h>

#include "bits.h"
#include "ram-load.h"
#include "ram-save.h"

#define PAGE GW_TARGET_PAGE_SIZE

/* Time stands still: what ends a PART early is its budget, not a busy machine. */
static inline int64_t fixture_now(void *opaque)
{
    return 1000000000;
}

static inline MigrationState *fixture_new(void)
{
    MigrationState *ms = g_new0(MigrationState, 1);

    ms->clock.now_ns = fixture_now;
    option_values_init(&ms->options);
    return ms;
}

/* A block of fresh private memory. */
static inline RAMBlock *fixture_block(MigrationState *ms, const char *id, uint64_t pages,
                                      uint32_t flags)
{
    RAMBlockInfo info = {
        .idstr = id,
        .used_length = pages * PAGE,
        .max_length = pages * PAGE,
        .page_size = PAGE,
        .fd = -1,
        .flags = flags,
    };
    RAMBlock *b;

    info.host = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
    g_assert_true(info.host != MAP_FAILED);
    b = gw_ram_block_add(ms, &info, NULL);
    g_assert_nonnull(b);
    return b;
}

static inline void fixture_free(MigrationState *ms)
{
    ram_save_cleanup(ms);
    ram_load_cleanup(ms);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        munmap(ram_block_at(ms, i)->info.host, ram_block_at(ms, i)->info.max_length);
    }
    g_clear_pointer(&ms->ram_blocks, g_ptr_array_unref);
    option_values_clear(&ms->options);
    g_free(ms);
}

static inline void fixture_fill(RAMBlock *b, uint64_t page, GRand *rand)
{
    uint32_t *p = (uint32_t *)ram_block_page(b, page);

    for (unsigned i = 0; i < PAGE / sizeof(*p); i++) {
        p[i] = g_rand_int(rand) | 1;
    }
}

#define assert_error(err, part) \
    do { \
        g_assert_nonnull(err); \
        if (!strstr((err)->message, (part))) { \
            g_error("'%s' does not say '%s'", (err)->message, (part)); \
        } \
        g_clear_error(&(err)); \
    } while (0)

#endif
