/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several front ends on one chardev ("mon:stdio", mux=on): all write, one has the focus and reads.
 * Ctrl-a is the escape key: x ends the process, c switches the focus, h shows the keys, Ctrl-a
 * sends itself.
 *
 * Main loop's thread only.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "chardev-priv.h"

#define ESCAPE_KEY 0x01

static const char keys_help[] = "\r\nCtrl-a h    print this help\r\n"
                                "Ctrl-a x    exit\r\n"
                                "Ctrl-a c    switch between serial port and monitor\r\n"
                                "Ctrl-a Ctrl-a  send Ctrl-a\r\n";

ChardevFrontend *chardev_focus(Chardev *c)
{
    for (unsigned i = 0; i < c->nr_frontends; i++) {
        ChardevFrontend *f = &c->frontends[(c->focus + i) % c->nr_frontends];

        if (f->in_use) {
            return f;
        }
    }
    return NULL;
}

void chardev_tell_open(Chardev *c, ChardevFrontend *f)
{
    if (!chardev_is_open(c) || f->saw_open) {
        return;
    }
    f->saw_open = true;
    if (f->handlers.event) {
        f->handlers.event(f->opaque, CHARDEV_OPENED);
    }
}

static void switch_focus(Chardev *c)
{
    ChardevFrontend *f;

    if (c->nr_frontends) {
        c->focus = (c->focus + 1) % c->nr_frontends;
    }
    f = chardev_focus(c);
    if (f) {
        chardev_tell_open(c, f);
    }
}

static void deliver_one(Chardev *c, uint8_t byte)
{
    ChardevFrontend *f = chardev_focus(c);

    if (f && f->handlers.read) {
        f->handlers.read(f->opaque, &byte, 1);
    }
}

static void command(Chardev *c, uint8_t key)
{
    switch (key) {
    case 'x': {
        static const char msg[] = "godwit: Terminated\r\n";

        chardev_write(c, msg, strlen(msg));
        kill(getpid(), SIGTERM);
        break;
    }
    case 'c':
        switch_focus(c);
        break;
    case ESCAPE_KEY:
        deliver_one(c, key);
        break;
    case 'h':
    case '?':
        chardev_write(c, keys_help, strlen(keys_help));
        break;
    default:
        break;
    }
}

void chardev_mux_input(Chardev *c, const uint8_t *buf, size_t len)
{
    /* Byte by byte: a key may move the focus in the middle. */
    for (size_t i = 0; i < len; i++) {
        if (c->mux_escape) {
            c->mux_escape = false;
            command(c, buf[i]);
        } else if (buf[i] == ESCAPE_KEY) {
            c->mux_escape = true;
        } else {
            deliver_one(c, buf[i]);
        }
    }
}
