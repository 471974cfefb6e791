/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sending half of the RAM section: state of one outgoing migration. Migration thread. */
#ifndef MIGRATION_RAM_SAVE_H
#define MIGRATION_RAM_SAVE_H

#include "page-search.h"
#include "pagemap.h"
#include "ram-wire.h"
#include "zero-page.h"

struct RamSave {
    MigrationState *ms;
    PageSearch search;
    Pagemap pagemap;
    ZeroPageFn is_zero;
    uint64_t *scratch;      /* for a sync: one bit per page of the largest block */
    int64_t rate_start_ns;  /* window of dirty_pages_rate */
    uint64_t rate_pages;    /* pages found dirty in it */
    /* Of the main channel: */
    const RAMBlock *block;  /* named last; what CONTINUE means */
    size_t zero_fill;       /* bytes in zero_records */
    uint8_t zero_records[PAGE_SEARCH_WINDOW * RAM_ZERO_RECORD_SIZE];
};

/* ram.c: the section's handlers (savevm.h). */
bool ram_save_setup(void *opaque, StreamWriter *w, GError **errp);
bool ram_save_iterate(void *opaque, StreamWriter *w, uint64_t budget, bool *done, GError **errp);
bool ram_save_complete(void *opaque, StreamWriter *w, GError **errp);
bool ram_save_pending(void *opaque, bool exact, uint64_t *bytes, GError **errp);
void ram_save_cleanup(void *opaque);

/* ram-save-pages.c: takes the dirty pages of the range and puts their records. */
bool ram_save_range(RamSave *rs, StreamWriter *w, const PageRange *range, GError **errp);

/* ram.c: false with a copy of the writer's error, if it has one. */
bool ram_save_check_writer(StreamWriter *w, GError **errp);

#endif
