/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walks that the background stream follows; see prefetch-walk.c. */
#ifndef MIGRATION_PREFETCH_WALK_H
#define MIGRATION_PREFETCH_WALK_H

#include <pthread.h>

#include "page-search.h"
#include "prefetch.h"

#define PREFETCH_WALKS 4 /* that are followed at a time */

typedef struct PrefetchAhead {
    pthread_mutex_t lock;
    PrefetchWalk offered[PREFETCH_WALKS];
    bool news;                 /* atomic: something was offered */
    PrefetchWalk own[PREFETCH_WALKS];
    unsigned turn;             /* pages, over all walks */
} PrefetchAhead;

void prefetch_ahead_init(PrefetchAhead *a);
void prefetch_ahead_clear(PrefetchAhead *a);
/* Return-path thread. */
void prefetch_ahead_offer(PrefetchAhead *a, const PrefetchWalk *w);
/* Migration thread: the next page of a walk; false if there is none. */
bool prefetch_ahead_next(MigrationState *ms, PageRange *range);

#endif
