/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MemoryMap itself; private to memory*.c and ioport.c. */
#ifndef SYSTEM_MEMORY_INTERNAL_H
#define SYSTEM_MEMORY_INTERNAL_H

#include <pthread.h>

#include "memory-view.h"

typedef struct IoPortRange {
    uint16_t port;
    unsigned count;
    const MmioOps *ops;
    void *opaque;
    char name[48];
} IoPortRange;

struct MemoryMap {
    /* Leaf: guards the pointer `view` only, for the moment in which a reader takes its
     * reference. */
    pthread_mutex_t view_lock;
    MemoryView *view;

    /* Machine lock: */
    unsigned depth;        /* open transactions */
    GArray *next;          /* of MemoryRange, sorted: the map as edited */
    bool edited;           /* `next` may differ from `view` */
    const MemoryListener *listener;
    void *listener_opaque;
    GArray *ports;         /* of IoPortRange, sorted */

    /* Set once, before any thread but the main one exists. */
    void (*lock)(void *opaque);
    void (*unlock)(void *opaque);
    void *lock_opaque;
    MemoryWriteHook write_hook;
    void *write_hook_opaque;

    MemoryMapStats stats;  /* relaxed atomics */
};

#endif
