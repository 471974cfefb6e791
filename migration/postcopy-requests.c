/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A page request of the destination, as the source serves it. Return-path thread: checks it, then
 * either sends the page itself on the preempt channel (preempt.c) or queues it for the migration
 * thread, whose page search takes queued pages first. ms->lock guards the queue.
 * Wire: spec commands 3.2 (REQ_PAGES). Everything here comes from a peer.
 */
#include "postcopy-source.h"

#include <inttypes.h>

#include "bits.h"
#include "error.h"
#include "trace.h"

static bool check(const RAMBlock *b, uint64_t start, uint32_t len, GError **errp)
{
    const size_t host_page = b->info.page_size;

    if (len == 0 || start % host_page || len % host_page) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: request for 0x%x bytes at 0x%" PRIx64 " of block '%s' is not "
                       "a number of host pages of 0x%zx bytes", len, start, b->info.idstr,
                       host_page);
    }
    if (start >= b->info.used_length || len > b->info.used_length - start) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: request for 0x%x bytes at 0x%" PRIx64 " is past the end of "
                       "block '%s', which has 0x%" PRIx64 " bytes", len, start, b->info.idstr,
                       b->info.used_length);
    }
    return true;
}

bool postcopy_is_handed_over(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    return ms->postcopy_source && ms->postcopy_source->handed_over;
}

void postcopy_confirm(MigrationState *ms)
{
    if (ms->postcopy_source && ms->postcopy_source->handed_over) {
        ms->postcopy_source->confirmed = true;
    }
}

static bool queue_page(MigrationState *ms, const PageRange *page, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;
    LOCK_GUARD(&ms->lock);

    if (g_queue_get_length(&ps->queue) >= POSTCOPY_QUEUE_MAX) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: more than %d page requests wait; a destination asks once per "
                       "page", POSTCOPY_QUEUE_MAX);
    }
    g_queue_push_tail(&ps->queue, g_memdup2(page, sizeof(*page)));
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

bool postcopy_queue_next(void *opaque, PageRange *range)
{
    MigrationState *ms = opaque;
    PageRange *page;
    bool dirty = false;

    while (!dirty) {
        pthread_mutex_lock(&ms->lock);
        page = g_queue_pop_head(&ms->postcopy_source->queue);
        pthread_mutex_unlock(&ms->lock);
        if (!page) {
            return false;
        }
        dirty = bits_test(page->block->dirty, page->first); /* clean: it is on its way already */
        *range = *page;
        g_free(page);
    }
    page_search_follow(&ms->ram_save->search, range->block, range->first + range->npages);
    return true;
}

bool postcopy_queue_waits(MigrationState *ms)
{
    GQueue *q = &ms->postcopy_source->queue;
    const PageRange *head;

    while ((head = g_queue_peek_head(q)) && !bits_test(head->block->dirty, head->first)) {
        g_free(g_queue_pop_head(q));
    }
    return head != NULL;
}

void postcopy_queue_clear(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    g_queue_clear_full(&ms->postcopy_source->queue, g_free);
}

bool postcopy_request(MigrationState *ms, RAMBlock *b, uint64_t start, uint32_t len, GError **errp)
{
    const uint64_t first = start >> GW_TARGET_PAGE_BITS;
    const uint64_t end = first + (len >> GW_TARGET_PAGE_BITS);

    if (!check(b, start, len, errp)) {
        return false;
    }
    trace_event(postcopy_request, "block %s offset 0x%" PRIx64 " len 0x%x", b->info.idstr, start,
                len);
    STAT_ADD(ms->stats.postcopy_requests, 1);
    for (uint64_t at = first; at < end;) {
        const PageRange page = postcopy_host_page(b, at);

        hint_request(ms, &page);
        if (!(preempt_ready(ms) ? preempt_send(ms, &page, errp) : queue_page(ms, &page, errp))) {
            return false;
        }
        at = page.first + page.npages;
    }
    return true;
}
