/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A raw image file (or block device) behind a virtual disk: its descriptors, its size, the way in
 * which the host caches it, and the locks by which two processes never write it at once.
 *
 * An image is opened when the machine is made and locked when the guest is about to run
 * (block_image_activate); on the destination of a migration that is after the source has given it
 * up. One owner, whose lock guards it; reads of the constants from any thread.
 */
#ifndef HW_BLOCK_IMAGE_H
#define HW_BLOCK_IMAGE_H

#include "machine.h"

typedef struct BlockImage {
    char *id, *path;
    int fd;            /* as the cache mode says */
    int buffered_fd;   /* through the page cache, for requests that O_DIRECT cannot do; == fd
                          without O_DIRECT */
    uint64_t size;     /* bytes, a multiple of 512 */
    unsigned mem_align, offset_align; /* bytes; 1 without O_DIRECT */
    bool readonly;
    bool direct;       /* O_DIRECT: cache=none, directsync */
    bool writeback;    /* a write is complete when the host has it: not writethrough, directsync */
    bool no_flush;     /* cache=unsafe */
    bool unmap;        /* discard=unmap */
    bool sync_io;      /* aio=threads: no io_uring */
    bool lock_needed;  /* file.locking is not off */
    bool shared_write; /* share-rw=on: others may write too */
    bool locked;
    uint64_t changes;  /* writes, zeroes and discards that ended */
    uint64_t flushed;  /* as many of them are on stable storage */
} BlockImage;

/* Opens the drive's file, which nobody is kept from by that. NULL with *errp. */
BlockImage *block_image_open(Machine *m, const DriveConfig *conf, bool share_rw, GError **errp);
void block_image_free(BlockImage *img);
/* Takes the lock; the file may have been written elsewhere since it was opened. */
bool block_image_activate(BlockImage *img, GError **errp);
/* Whether anything that was written here may not be on stable storage yet. */
bool block_image_needs_flush(const BlockImage *img);
/* Waits for the host's disk; returns an errno, or 0. Needs no lock. */
int block_image_flush(const BlockImage *img);
/* A flush that began when there had been so many changes has ended well. */
void block_image_flushed(BlockImage *img, uint64_t changes);
/* Puts what was written on stable storage, if there is something, and gives up the lock. */
void block_image_inactivate(BlockImage *img);

#endif
