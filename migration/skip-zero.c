/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agreement that zero pages need not be sent, both ends.
 *
 * Source (migration thread): asks with a PING of a value of its own and waits for the PONG. Any
 * QEMU answers a PING with the same value, which means no; godwit answers another value, which
 * means that its memory is zero. Without a return path the stream's configuration carries the
 * capability's name, and a destination that does not know it refuses the stream.
 *
 * Destination (incoming thread): what the kernel says was never touched is zero (ram-load-zero.c
 * asked it); everything else, firmware, a guest that was here before, is looked at and cleared.
 * Then every page counts as received: a postcopy's fault on one is answered with zeros at once.
 * Wire: spec commands 3.1 (PING) and 3.2 (PONG), stream 1.2.
 */
#include "skip-zero.h"

#include "error.h"
#include "outgoing.h"
#include "postcopy.h"
#include "ram-load.h"
#include "return-path.h"
#include "trace.h"
#include "zero-sweep.h"

static bool is_on(MigrationState *ms)
{
    return gw_capability_get(ms, MIGRATION_CAP_SKIP_ZERO_PAGES);
}

/* Only a socket: what `exec:` starts may swallow the stream and never answer. */
bool skip_zero_wants_return_path(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    return is_on(ms) && ms->out.channel && gw_channel_has(ms->out.channel, GW_CHANNEL_PEEK) &&
           gw_channel_has(ms->out.channel, GW_CHANNEL_DUPLEX);
}

bool skip_zero_by_flag(MigrationState *ms)
{
    return is_on(ms) && gw_compat(ms)->send_configuration && !outgoing_wants_return_path(ms);
}

static bool ask(MigrationState *ms, StreamWriter *w, GError **errp)
{
    const uint32_t ping = GUINT32_TO_BE(PING_ZERO_TARGET);
    const ReturnPathNews *news;

    savevm_put_command(w, MIG_CMD_PING, &ping, sizeof(ping));
    if (!stream_flush(w, errp)) {
        return false;
    }
    LOCK_GUARD(&ms->lock);

    news = return_path_news(ms->out.return_path);
    while (!news->zero_answered && !news->ended && !outgoing_cancel_requested(ms)) {
        outgoing_wait(ms, -1);
    }
    if (outgoing_cancel_requested(ms)) {
        return gw_fail(errp, GW_ERROR_CANCELLED, "migration cancelled");
    }
    ms->out.zero_target = news->zero_target;
    return news->zero_answered ||
           gw_fail(errp, GW_ERROR_IO, "return path: it ended before the destination said whether "
                   "its memory is zero");
}

bool skip_zero_settle(MigrationState *ms, StreamWriter *w, GError **errp)
{
    if (!is_on(ms)) {
        return true;
    }
    if (skip_zero_by_flag(ms)) {
        pthread_mutex_lock(&ms->lock);
        ms->out.zero_target = true;
        pthread_mutex_unlock(&ms->lock);
    } else if (ms->out.return_path && !ask(ms, w, errp)) {
        return false;
    }
    ms->ram_save->skip_zero = ms->out.zero_target;
    if (ms->ram_save->skip_zero) {
        zero_sweep_start(ms->ram_save);
    }
    trace_event(skip_zero_settled, "the destination %s",
                ms->out.zero_target ? "has zero memory" : "does not agree: zero pages are sent");
    return true;
}

/* Pages of the block that had to be cleared. */
static uint64_t clear_block(RamLoad *ld, RAMBlock *b)
{
    const uint64_t end = ram_block_pages(b);
    uint64_t cleared = 0;

    for (uint64_t at = bits_find_clear(b->known_zero, 0, end); at < end;
         at = bits_find_clear(b->known_zero, at + 1, end)) {
        uint8_t *page = ram_block_page(b, at);

        if (!ld->is_zero(page)) {
            memset(page, 0, GW_TARGET_PAGE_SIZE);
            cleared++;
        }
    }
    return cleared;
}

/* A page that came before would be lost. */
static bool is_untouched(const RAMBlock *b)
{
    const uint64_t n = ram_block_max_pages(b);

    return bits_find_set(b->received, 0, n) == n;
}

static bool may_clear(MigrationState *ms)
{
    unsigned listed = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);

        if (!is_untouched(b)) {
            return false;
        }
        listed += b->listed;
    }
    return listed > 0;
}

static void clear_all(MigrationState *ms)
{
    ZeroTarget zt = {.agreed = true};

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);
        const uint64_t n = ram_block_pages(b);

        if (b->listed && !b->ignored) {
            zt.fresh_pages += bits_count(b->known_zero, 0, n);
            zt.cleared_pages += clear_block(ms->ram_load, b);
            ram_load_mark(b, 0, n, true);
        }
    }
    trace_event(zero_target, "%" G_GUINT64_FORMAT " pages never touched, %" G_GUINT64_FORMAT
                " cleared", zt.fresh_pages, zt.cleared_pages);
    LOCK_GUARD(&ms->lock);

    ms->in.zero_target = zt;
}

bool skip_zero_answer(MigrationState *ms, GError **errp)
{
    const bool yes = is_on(ms) && postcopy_state(ms) < POSTCOPY_LISTENING && ms->ram_load &&
                     may_clear(ms);

    if (yes) {
        clear_all(ms);
    }
    return rp_send_u32(ms, MIG_RP_MSG_PONG, yes ? PONG_ZERO_TARGET : PING_ZERO_TARGET, errp);
}

bool skip_zero_keep_promise(MigrationState *ms, GError **errp)
{
    if (!ms->in.zero_promised) {
        return true;
    }
    if (!may_clear(ms)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "a list of RAM blocks after pages had come: with 'skip-zero-pages' it must "
                       "come first");
    }
    clear_all(ms);
    return true;
}
