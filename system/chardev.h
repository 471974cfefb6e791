/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character devices: the host end of serial ports and monitors (stdio, file, socket, pty, pipe,
 * null). Everything runs on the main loop's thread, except chardev_write(), which any thread may
 * call and which never blocks for long: what a slow reader does not take is queued up to a bound,
 * then dropped for serial ports (counted).
 */
#ifndef SYSTEM_CHARDEV_H
#define SYSTEM_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct FdTable;
typedef struct Chardev Chardev;

typedef enum ChardevEvent {
    CHARDEV_OPENED, /* a client connected, or at once for stdio, file, pty */
    CHARDEV_CLOSED,
} ChardevEvent;

/* One front end per chardev. */
typedef struct ChardevHandlers {
    size_t (*can_read)(void *opaque); /* how many bytes it takes now; NULL: any number */
    void (*read)(void *opaque, const uint8_t *buf, size_t len);
    void (*event)(void *opaque, ChardevEvent ev);
} ChardevHandlers;

/* Opens it; with wait=on blocks until a client connected. */
Chardev *chardev_new(const ChardevConfig *conf, struct FdTable *fds, GError **errp);
void chardev_free(Chardev *c);
void chardev_set_handlers(Chardev *c, const ChardevHandlers *h, void *opaque);
/* can_read may have grown: look again. Any thread. */
void chardev_accept_input(Chardev *c);
size_t chardev_write(Chardev *c, const void *buf, size_t len);
/* Waits (bounded) until the queue is out; for exit. */
void chardev_flush(Chardev *c);
const char *chardev_id(const Chardev *c);
/* What query-chardev's `filename` shows: "unix:/path,server=on", "pty:/dev/pts/3", ... */
char *chardev_describe(const Chardev *c);
bool chardev_is_open(const Chardev *c);
bool chardev_is_tty(const Chardev *c);
/* The descriptors that came with the last read (SCM_RIGHTS, for getfd/add-fd): takes the oldest or
 * returns -1. */
int chardev_take_fd(Chardev *c);

#endif
