/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors that were handed in: getfd names, fd sets (/dev/fdset/N), inherited numbers.
 * A lock of its own; any thread. */
#ifndef SYSTEM_FD_TABLE_H
#define SYSTEM_FD_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct FdTable FdTable;

typedef struct FdSetFd {
    int fd;
    char *opaque; /* NULL if none */
} FdSetFd;

FdTable *fd_table_new(void);
void fd_table_free(FdTable *t);
/* getfd: takes the descriptor over; an older one of the same name is closed. */
bool fd_table_put(FdTable *t, const char *name, int fd, GError **errp);
/* closefd. */
bool fd_table_close(FdTable *t, const char *name, GError **errp);
/* The descriptor of that getfd name (it leaves the table), or an inherited number (not dup'ed). */
int fd_table_take(FdTable *t, const char *name, GError **errp);
/* add-fd: set < 0 makes a new set; returns the set id, -1 with *errp. Takes the fd over. */
int fd_table_set_add(FdTable *t, int set, int fd, const char *opaque, GError **errp);
bool fd_table_set_remove(FdTable *t, int set, int fd, GError **errp); /* fd < 0: the whole set */
/* Calls fn for every member of every set. */
void fd_table_sets_foreach(FdTable *t, void (*fn)(int set, const FdSetFd *fd, void *opaque),
                           void *opaque);
/* Opens a path, resolving /dev/fdset/N to a dup of a member whose access mode fits `flags`. */
int fd_table_open(FdTable *t, const char *path, int flags, int mode, GError **errp);

#endif
