/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The door of an incoming migration: connections come to one address, in any order, from anybody.
 * The main channel is told by its first bytes. The preempt channel says nothing until the first
 * urgent page: it is whoever comes from main's peer, after the first PONG, and sends a page record
 * first. Who does not fit is closed, and that harms nobody.
 * Owned by one thread at a time: incoming, then preempt, between two connections listen.
 * Wire: spec channels 4.2 and 4.4.
 */
#include "incoming-door.h"

#include <string.h>

#include "bits.h"
#include "error.h"
#include "ram-block.h"
#include "ram-wire.h"
#include "trace.h"

struct IncomingDoor {
    MigrationState *ms;
    GwChannel *waiting[GW_LISTENER_WATCH_MAX]; /* not recognised yet, oldest first */
    unsigned n;
    bool ponged;   /* the first PONG is out: the source may open its preempt channel */
    GError *last;  /* why the last one was refused */
};

/* Whether the bytes that have come so far may be the beginning of that channel. */
typedef bool (*DoorTest)(MigrationState *ms, const uint8_t *bytes, size_t n);

static bool begins_migration(MigrationState *ms, const uint8_t *bytes, size_t n)
{
    const uint32_t magic = GUINT32_TO_BE(QEMU_VM_FILE_MAGIC);

    return memcmp(bytes, &magic, MIN(n, sizeof(magic))) == 0;
}

/* A recovery has no header: it begins with a command. */
static bool begins_recovery(MigrationState *ms, const uint8_t *bytes, size_t n)
{
    return bytes[0] == QEMU_VM_COMMAND;
}

static bool names_a_block(MigrationState *ms, const uint8_t *name, size_t n, uint64_t offset)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);
        const size_t len = strlen(b->info.idstr);

        if (offset < b->info.used_length &&
            (n == 0 || (name[0] == len && memcmp(name + 1, b->info.idstr, MIN(n - 1, len)) == 0))) {
            return true;
        }
    }
    return false;
}

static bool begins_preempt(MigrationState *ms, const uint8_t *bytes, size_t n)
{
    uint8_t head[RAM_HEADER_SIZE] = {0};
    uint64_t word;

    memcpy(head, bytes, MIN(n, sizeof(head)));
    word = load_be64(head);
    if (n >= sizeof(head) && word == RAM_FLAG_EOS) {
        return true; /* the end, of a source that had nothing urgent */
    }
    if (n >= sizeof(head) && (word & RAM_FLAG_MASK) != RAM_FLAG_ZERO &&
        (word & RAM_FLAG_MASK) != RAM_FLAG_PAGE) {
        return false;
    }
    return names_a_block(ms, bytes + sizeof(head), n > sizeof(head) ? n - sizeof(head) : 0,
                         word & ~(uint64_t)RAM_FLAG_MASK);
}

IncomingDoor *door_new(MigrationState *ms)
{
    IncomingDoor *d = g_new0(IncomingDoor, 1);

    d->ms = ms;
    return d;
}

static GwChannel *take(IncomingDoor *d, unsigned i)
{
    GwChannel *ch = d->waiting[i];

    d->n--;
    memmove(&d->waiting[i], &d->waiting[i + 1], (d->n - i) * sizeof(ch));
    return ch;
}

static void refuse(IncomingDoor *d, GwChannel *ch, const char *why)
{
    trace_event(incoming_refused, "%s", why);
    g_clear_error(&d->last);
    d->last = g_error_new(GW_ERROR, GW_ERROR_PROTOCOL, "%s", why);
    gw_channel_unref(ch);
}

void door_clear(IncomingDoor *d)
{
    while (d->n) {
        refuse(d, take(d, 0), "it came before its time, or said nothing");
    }
    g_clear_error(&d->last);
}

void door_free(IncomingDoor *d)
{
    if (d) {
        door_clear(d);
        g_free(d);
    }
}

/* One that waits has something to say, or has gone. It, if it passes the test. */
static GwChannel *listen_to(IncomingDoor *d, unsigned i, DoorTest test)
{
    uint8_t bytes[RAM_HEADER_SIZE + 1 + 255];
    const ssize_t n = gw_channel_peek(d->waiting[i], bytes, sizeof(bytes), NULL);
    GwChannel *ch = take(d, i);

    if (n > 0 && test(d->ms, bytes, (size_t)n)) {
        return ch;
    }
    refuse(d, ch, n > 0 ? "its first bytes are not those of such a channel"
                        : "it was closed before it said anything");
    return NULL;
}

/* One step: somebody comes in (main: only that one's peer), or somebody speaks and is *found. */
static bool step(IncomingDoor *d, GwListener *l, GwChannel *main, DoorTest test, GwChannel **found,
                 GError **errp)
{
    g_autoptr(GError) err = NULL;
    unsigned ready;
    GwChannel *ch = gw_listener_accept_or_ready(l, d->waiting, d->n, -1, &ready, &err);

    *found = NULL;
    if (err) {
        g_propagate_error(errp, g_steal_pointer(&err));
        return false;
    }
    if (!ch) {
        *found = listen_to(d, ready, test);
    } else if (!gw_channel_has(ch, GW_CHANNEL_PEEK) || !gw_channel_has(ch, GW_CHANNEL_MULTI)) {
        *found = ch; /* fd, exec, file: nobody else can come */
    } else if (main && !gw_channel_same_peer(ch, main)) {
        refuse(d, ch, "it does not come from where the main channel comes from");
    } else {
        if (d->n == G_N_ELEMENTS(d->waiting)) {
            refuse(d, take(d, main ? d->n - 1 : 0), "too many connections that say nothing");
        }
        d->waiting[d->n++] = ch;
    }
    return true;
}

GwChannel *door_main(IncomingDoor *d, GwListener *l, bool recovering, GError **errp)
{
    GwChannel *ch = NULL;

    door_clear(d);
    while (!ch) {
        if (!step(d, l, NULL, recovering ? begins_recovery : begins_migration, &ch, errp)) {
            return NULL;
        }
    }
    return ch;
}

void door_before_pong(IncomingDoor *d, GwListener *l)
{
    GwChannel *ch;

    /* Sources before 7.2 open the preempt channel right behind the main one. */
    if (d->ponged || gw_compat(d->ms)->preempt_pre_7_2) {
        return;
    }
    d->ponged = true;
    door_clear(d);
    while ((ch = gw_listener_accept_within(l, 0, NULL))) {
        refuse(d, ch, "a preempt channel before its time");
    }
}

bool door_expect_preempt(IncomingDoor *d, GwListener *l, GwChannel *main, int timeout_ms,
                         GError **errp)
{
    const gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    while (d->n == 0) {
        const gint64 left = MAX(deadline - g_get_monotonic_time(), 0) / 1000;
        GwChannel *ch = gw_listener_accept_within(l, (int)left, errp);

        if (!ch) {
            return false;
        }
        if (gw_channel_same_peer(ch, main)) {
            d->waiting[d->n++] = ch;
        } else {
            refuse(d, ch, "it does not come from where the main channel comes from");
        }
    }
    return true;
}

/* Nobody waits any more: maybe in the listener's queue. */
static bool somebody_else(IncomingDoor *d, GwListener *l, GwChannel *main, GError **errp)
{
    if (door_expect_preempt(d, l, main, 0, NULL)) {
        return true;
    }
    if (gw_listener_is_cancelled(l)) {
        return gw_fail(errp, GW_ERROR_CANCELLED, "preempt: it is not waited for any more");
    }
    return gw_fail(errp, GW_ERROR_PROTOCOL, "preempt: no connection is left: %s",
                   d->last ? d->last->message : "none came");
}

GwChannel *door_preempt(IncomingDoor *d, GwListener *l, GwChannel *main, GError **errp)
{
    GwChannel *ch = NULL;

    while (!ch) {
        if (d->n == 0 && !somebody_else(d, l, main, errp)) {
            return NULL;
        }
        if (!step(d, l, main, begins_preempt, &ch, errp)) {
            return NULL;
        }
    }
    door_clear(d);
    return ch;
}
