/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sending half of the RAM section: state of one outgoing migration. Migration thread. */
#ifndef MIGRATION_RAM_SAVE_H
#define MIGRATION_RAM_SAVE_H

#include "page-search.h"
#include "pagemap.h"
#include "ram-wire.h"
#include "zero-page.h"

/* One channel that carries page records: CONTINUE refers to the block that it named last. The
 * thread that writes to the channel owns it. */
typedef struct RamSender {
    const RAMBlock *block;
    size_t zero_fill;       /* bytes in zero_records */
    GArray *sent;           /* release-ram: what was put since the last release; NULL: nothing */
    uint8_t zero_records[PAGE_SEARCH_WINDOW * RAM_ZERO_RECORD_SIZE];
} RamSender;

typedef struct RamXbzrle RamXbzrle;
typedef struct ZeroSweep ZeroSweep;

/* What was found of a stretch of pages once the guest had stopped: that stays true. */
#define RAM_SAVE_STRETCH UINT64_C(8192) /* pages */
typedef struct RamSaveStretch {
    const RAMBlock *block; /* NULL: nothing is known */
    uint64_t first;
    uint64_t map[RAM_SAVE_STRETCH / 64];
} RamSaveStretch;

struct RamSave {
    MigrationState *ms;
    PageSearch search;
    Pagemap pagemap;
    ZeroPageFn is_zero;
    pthread_mutex_t sync_lock; /* one harvest of the dirty log at a time */
    uint64_t *scratch;      /* for a sync: one bit per page of the largest block; sync_lock */
    int64_t pass_start_ns;  /* atomic */
    int64_t rate_start_ns;  /* window of dirty_pages_rate */
    uint64_t rate_pages;    /* pages found dirty in it; sync_lock */
    RamSender main;
    bool skip_zero;         /* the destination's memory is zero already (skip-zero.h) */
    RamXbzrle *xbzrle;      /* NULL: the capability is off */
    bool last_stage;        /* the guest is stopped: what is sent now is sent for the last time */
    ZeroSweep *sweep;       /* NULL: no second thread looks for zero pages */
    bool release;           /* release-ram: postcopy gives back what it has sent */
    RamSaveStretch populated; /* postcopy; migration thread */
    bool in_postcopy;       /* the guest is stopped for good: no more syncs */
    bool recent_left;       /* postcopy: pages of the last round may be left */
};

/* ram.c: the section's handlers (savevm.h). */
bool ram_save_setup(void *opaque, StreamWriter *w, GError **errp);
bool ram_save_iterate(void *opaque, StreamWriter *w, uint64_t budget, bool *done, GError **errp);
bool ram_save_complete(void *opaque, StreamWriter *w, GError **errp);
bool ram_save_pending(void *opaque, bool exact, uint64_t *bytes, GError **errp);
void ram_save_cleanup(void *opaque);

/* ram-save-pages.c: takes the dirty pages of the range and puts their records. */
bool ram_save_range(RamSave *rs, RamSender *s, StreamWriter *w, const PageRange *range,
                    GError **errp);
/* Postcopy: the same for one whole host page, which only one thread gets (*put). Any thread with a
 * sender of its own. */
bool ram_save_host_page(RamSave *rs, RamSender *s, StreamWriter *w, const PageRange *page,
                        bool *put, GError **errp);
void ram_sender_init(RamSender *s);
void ram_sender_clear(RamSender *s);
/* A record's header: the block's name only if it is not the one named last. What zero records were
 * gathered goes first. */
void ram_sender_put_header(RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t offset,
                           uint32_t flag);

/* ram-release.c: `taken` are those of pages [first, first + n) that were put. */
void ram_release_note(RamSender *s, const RAMBlock *b, uint64_t first, uint64_t n,
                      const uint64_t *taken);
/* After a flush, by who puts: what was noted is given back, if the destination runs the guest. */
void ram_release_sent(MigrationState *ms, RamSender *s);

/* ram-save-postcopy.c, migration thread: no log, no sync from here on; what the guest wrote last
 * goes first. */
void ram_save_enter_postcopy(MigrationState *ms);
/* After a recovery: block names are told anew, the walk starts over. */
void ram_save_restart(MigrationState *ms);

/* ram.c: pages were found dirty anew, for dirty_pages_rate. sync_lock held. */
void ram_count_dirty(MigrationState *ms, uint64_t new_pages);
/* ram.c: false with a copy of the writer's error, if it has one. */
bool ram_save_check_writer(StreamWriter *w, GError **errp);

#endif
