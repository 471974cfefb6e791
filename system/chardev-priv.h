/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside a chardev: what the core (chardev.c), the output queue (chardev-queue.c), the multiplexer
 * (chardev-mux.c) and the backends share.
 *
 * A backend is a pair of descriptors that the core watches, plus what the ops below add. The main
 * loop's thread owns everything but the output side: `lock` guards out_fd, the queue and `open`,
 * because vCPU threads write. No front-end function is called with `lock` held.
 */
#ifndef SYSTEM_CHARDEV_PRIV_H
#define SYSTEM_CHARDEV_PRIV_H

#include <pthread.h>

#include <glib.h>

#include "chardev.h"

#define CHARDEV_MAX_FRONTENDS 4
#define CHARDEV_MAX_FDS 16
/* A reply of the monitor must fit whole; a serial port never fills it unless nobody reads. */
#define CHARDEV_QUEUE_MAX (16 * 1024 * 1024)
#define CHARDEV_READ_SIZE 4096

typedef struct ChardevOps {
    const char *backend;
    size_t queue_max; /* bytes queued for a slow reader; 0: CHARDEV_QUEUE_MAX */
    bool (*open)(Chardev *c, struct FdTable *fds, GError **errp);
    /* Optional: reads like read(2); for descriptors that come along. */
    ssize_t (*read)(Chardev *c, uint8_t *buf, size_t len);
    /* Optional: writes like write(2) on a descriptor that is not non-blocking. */
    ssize_t (*write)(Chardev *c, int fd, const uint8_t *buf, size_t len);
    /* Optional: the peer went away; the core has told the front end and closed nothing. */
    void (*hangup)(Chardev *c);
    char *(*describe)(const Chardev *c);
    void (*close)(Chardev *c);
} ChardevOps;

typedef struct ChardevFrontend {
    ChardevHandlers handlers;
    void *opaque;
    bool in_use;
    bool saw_open; /* was told that it is open */
} ChardevFrontend;

struct Chardev {
    const ChardevOps *ops;
    char *id;
    ChardevConfig conf;    /* strings are copies */
    void *backend;         /* the backend's own */
    GMainContext *context;

    ChardevFrontend frontends[CHARDEV_MAX_FRONTENDS];
    unsigned nr_frontends;
    unsigned focus;        /* who gets input, with mux */
    bool mux_escape;       /* Ctrl-a was the last byte */
    int in_fd;             /* -1: no input */
    GSource *in_source;
    GArray *fds;           /* of int: received descriptors that nobody took yet */

    pthread_mutex_t lock;
    int out_fd;            /* -1: output goes nowhere */
    bool open;
    GByteArray *queue;
    size_t queue_done;     /* bytes of `queue` that are out */
    uint64_t dropped;      /* bytes */
    GSource *out_source;
    GSource *kick_source;  /* look at the input again */
    int log_fd;
};

extern const ChardevOps chardev_null_ops, chardev_file_ops, chardev_stdio_ops, chardev_pty_ops,
    chardev_pipe_ops, chardev_socket_ops;

/* ---- core, main thread ---- */
/* The descriptors are there (a client connected): watch them, tell the front ends. */
void chardev_attach(Chardev *c, int in_fd, int out_fd);
/* The peer is gone: stop watching, drop the queue, tell the front ends. Descriptors stay open. */
void chardev_detach(Chardev *c);
/* Watches or stops watching the input as the front end can take some or not. */
void chardev_update_input(Chardev *c);

/* ---- queue ---- */
/* Drops what is queued and stops watching the output. Lock held. */
void chardev_queue_reset(Chardev *c);

/* ---- mux, main thread ---- */
/* The front end that has the focus, NULL if there is none. */
ChardevFrontend *chardev_focus(Chardev *c);
/* Handles input of a multiplexed chardev: keys after Ctrl-a are commands. */
void chardev_mux_input(Chardev *c, const uint8_t *buf, size_t len);
/* Tells a front end once that the chardev is open. */
void chardev_tell_open(Chardev *c, ChardevFrontend *f);

#endif
