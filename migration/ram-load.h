/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiving half of the RAM section: state of one incoming migration and what its files share.
 * Incoming thread; `received` words are changed with atomics, because others may look at them.
 *
 *   ram-load.c         sections and records, the way that is always right
 *   ram-load-blocks.c  the block list of START
 *   ram-load-zero.c    what is known to be zero, and zero records
 *   ram-load-fast.c    runs of records: out of the buffer, or straight into guest memory
 */
#ifndef MIGRATION_RAM_LOAD_H
#define MIGRATION_RAM_LOAD_H

#include "bits.h"
#include "ram-block.h"
#include "ram-wire.h"
#include "zero-page.h"

/* Pages that one direct read may expect. An iovec for each header and page: 511 fit into one call;
 * a smaller bound loses less where the guess is wrong and measured no slower. */
#define RAM_LOAD_SPECULATE_MAX 127

/* One channel that carries page records: CONTINUE refers to its own last record. */
typedef struct RamLoadChannel {
    StreamReader *reader;
    RAMBlock *block;    /* named last, NULL before the first record */
    uint64_t next_page; /* of `block`: the page after the last normal one */
    uint64_t run;       /* normal pages that came in a row, each the next of the one before */
    uint64_t last_run;  /* the length of the run before */
    uint64_t expect;    /* pages that one direct read may expect */
} RamLoadChannel;

/* ram-load-ahead.c: the thread that makes memory ahead of a long run. */
typedef struct RamLoadAhead RamLoadAhead;

struct RamLoad {
    RamLoadAhead *ahead; /* NULL until a run was long */
    MigrationState *ms;
    RamLoadChannel main;
    ZeroPageFn is_zero;
    uint64_t direct_reads, misses, copied_back; /* how the speculation fares; for tests */
    uint64_t headers[RAM_LOAD_SPECULATE_MAX];   /* of a direct read, as on the wire */
    struct iovec iov[2 * RAM_LOAD_SPECULATE_MAX + 1];
};

/* ram-load.c: the section's handlers (savevm.h). */
bool ram_load_setup(void *opaque, GError **errp);
bool ram_load_state(void *opaque, StreamReader *r, int version_id, GError **errp);
void ram_load_cleanup(void *opaque);
/* The place of a page record: reads the block's name unless CONTINUE says that it is the last one,
 * and checks the offset. */
bool ram_load_place(MigrationState *ms, RamLoadChannel *ch, uint64_t word, GError **errp);
/* Notes that pages [page, page + n) hold what the source sent; `zero`: they are zeros. */
void ram_load_mark(RAMBlock *b, uint64_t page, uint64_t n, bool zero);

/* ram-load-blocks.c: what follows a MEM_SIZE word with that total. */
bool ram_load_block_list(RamLoad *ld, StreamReader *r, uint64_t total, GError **errp);

/* ram-load-zero.c */
void ram_load_find_zero(RAMBlock *b);
/* Makes pages [page, page + n) zero, without touching those that are. */
void ram_load_zero_pages(RamLoad *ld, RAMBlock *b, uint64_t page, uint64_t n);
/* How many of pages [page, page + n) at the front are zero and may be scribbled on. */
uint64_t ram_load_scribble_pages(RamLoad *ld, RAMBlock *b, uint64_t page, uint64_t n);

/* ram-load-ahead.c; incoming thread */
RamLoadAhead *ram_load_ahead_new(void);
void ram_load_ahead_free(RamLoadAhead *a);
/* `run` pages came in a row, the last of them before `page`: more of them are likely. */
void ram_load_ahead(RamLoad *ld, const RAMBlock *b, uint64_t page, unsigned run);

/* ram-load-fast.c */
/* Handles the CONTINUE records that lie complete in the reader's buffer. */
void ram_load_buffered(RamLoad *ld, RamLoadChannel *ch);
/* The next page does not directly follow the last one on the wire. */
void ram_load_end_run(RamLoadChannel *ch);
/* Receives the contents of a normal page, and maybe of those that follow it. */
bool ram_load_page(RamLoad *ld, RamLoadChannel *ch, uint64_t page, GError **errp);

#endif
