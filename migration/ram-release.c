/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release-ram: the source gives a page's memory back once a postcopy has sent it. What was put is
 * noted per channel, by the channel's thread; after a flush it is on its way, and when the
 * destination has confirmed that it runs the guest nobody here needs it any more. Before that the
 * memory stays, because a destination that declines leaves the guest to this side.
 * Thread of the channel. Spec: qmp 5.1 (6).
 */
#include "bits.h"
#include "outgoing.h"
#include "ram-save.h"
#include "trace.h"

/* Target pages [first, first + n). */
typedef struct Sent {
    const RAMBlock *block;
    uint64_t first, n;
} Sent;

static void note_run(GArray *list, const RAMBlock *b, uint64_t first, uint64_t n)
{
    Sent *last = list->len ? &g_array_index(list, Sent, list->len - 1) : NULL;

    if (last && last->block == b && last->first + last->n == first) {
        last->n += n;
    } else {
        g_array_append_val(list, ((Sent){b, first, n}));
    }
}

void ram_release_note(RamSender *s, const RAMBlock *b, uint64_t first, uint64_t n,
                      const uint64_t *taken)
{
    if (b->info.flags & RAM_BLOCK_NAMED_FILE) {
        return; /* somebody else's file */
    }
    if (!s->sent) {
        s->sent = g_array_new(FALSE, FALSE, sizeof(Sent));
    }
    for (uint64_t at = bits_find_set(taken, 0, n); at < n;) {
        const uint64_t end = bits_find_clear(taken, at, n);

        note_run(s->sent, b, first + at, end - at);
        at = bits_find_set(taken, end, n);
    }
}

void ram_release_sent(MigrationState *ms, RamSender *s)
{
    if (!s->sent || s->sent->len == 0 ||
        outgoing_status(ms) != MIGRATION_STATUS_POSTCOPY_ACTIVE) {
        return;
    }
    for (guint i = 0; i < s->sent->len; i++) {
        const Sent *r = &g_array_index(s->sent, Sent, i);
        g_autoptr(GError) err = NULL;

        /* Memory that cannot be given back is kept: nothing else depends on it. */
        if (!ram_block_drop(r->block, r->first << GW_TARGET_PAGE_BITS, r->n << GW_TARGET_PAGE_BITS,
                            &err)) {
            trace_event(ram_release_failed, "%s", err->message);
        }
    }
    g_array_set_size(s->sent, 0);
}
