/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Announcing the guest's network cards: after a migration, and when the monitor asks. Main thread
 * unless it says otherwise. */
#ifndef SYSTEM_NET_ANNOUNCE_H
#define SYSTEM_NET_ANNOUNCE_H

#include <stdint.h>

#include <glib.h>

struct Machine;

/* The migration parameters announce-*: times in ms. */
typedef struct NetAnnounceParams {
    uint64_t initial, max, rounds, step;
} NetAnnounceParams;

/* The migration parameters of this moment; any thread. */
NetAnnounceParams net_announce_params(struct Machine *m);
/* Announces every card `rounds` times, or those of `names` (NULL-terminated; NULL: all). A series
 * of the same id (NULL is one, too) that is under way is replaced; no rounds just end it. */
void net_announce(struct Machine *m, const NetAnnounceParams *p, const char *const *names,
                  const char *id);
/* Announces by itself from now on when a guest that came by migration starts. */
void net_announce_init(struct Machine *m);
void net_announce_free(struct Machine *m);

#endif
