/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The preempt channel, outgoing side. The return-path thread sends a requested page the moment the
 * request arrives, and right behind it the pages that will probably be asked for next; nothing
 * waits behind the background stream. The channel is opened by the migration thread (ms->lock
 * guards the pointer); writer, CONTINUE state and prediction are the return-path thread's own.
 * Wire: spec channels 4.4, ram 2.8: bare page records, whole host pages.
 */
#include "postcopy-source.h"

#include <inttypes.h>

#include "bits.h"
#include "dirty-bitmap.h"
#include "error.h"
#include "prompt-thread.h"
#include "return-path.h"
#include "trace.h"

#define PREFETCH_BYTES (1u << 20) /* of one window, so that huge pages do not fill the channel */
#define FINISH_LOOK_NS INT64_C(1000000)

bool preempt_open(MigrationState *ms, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;
    GwChannel *ch;

    if (!ps->address) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "capability 'postcopy-preempt' needs an address that takes a second "
                       "connection (tcp or unix)");
    }
    ch = gw_channel_connect(ps->address, ms->host.resolve_fd, ms->host_opaque, ms->out.cancel,
                            errp);
    if (!ch) {
        g_prefix_error(errp, "preempt channel: ");
        return false;
    }
    gw_channel_set_name(ch, "preempt");
    pthread_mutex_lock(&ms->lock);
    ps->preempt.channel = ch;
    pthread_mutex_unlock(&ms->lock);
    trace_event(postcopy_preempt_enabled, "channel is open");
    return true;
}

/* The return-path thread's own end of the channel, made on first use. */
bool preempt_ready(MigrationState *ms)
{
    PostcopySource *ps = ms->postcopy_source;

    if (!ps->preempt.writer) {
        LOCK_GUARD(&ms->lock);

        if (ps->preempt.channel) {
            ps->preempt.writer = stream_writer_new(ps->preempt.channel);
            ram_sender_init(&ps->preempt.sender);
            prompt_thread();
        }
    }
    return ps->preempt.writer != NULL;
}

/* Claims one host page and puts it; false in *put if somebody else has sent it. */
static bool put_host_page(MigrationState *ms, const PageRange *page, bool *put, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;

    *put = false;
    if (!bits_test(page->block->dirty, page->first)) {
        return true;
    }
    return ram_save_host_page(ms->ram_save, &ps->preempt.sender, ps->preempt.writer, page, put,
                              errp);
}

static bool flush(MigrationState *ms, uint64_t before, GError **errp)
{
    StreamWriter *w = ms->postcopy_source->preempt.writer;

    if (!stream_flush(w, errp)) {
        return false;
    }
    STAT_ADD(ms->stats.postcopy_bytes, stream_written(w) - before);
    STAT_ADD(ms->stats.transferred, stream_written(w) - before);
    ram_release_sent(ms, &ms->postcopy_source->preempt.sender);
    return true;
}

/* For query-migrate. */
static void count_prefetch(MigrationState *ms, const Prefetch *p)
{
    PostcopyCounters *c = &ms->postcopy_counters;
    PrefetchStats s;

    prefetch_stats(p, &s);
    STAT_SET(c->prefetch_offered, s.offered);
    STAT_SET(c->prefetch_sent, s.sent);
    STAT_SET(c->prefetch_hit, s.hit);
    STAT_SET(c->prefetch_useless, s.useless);
}

/* Predicted pages behind the urgent one, until the next request is waiting. */
static bool send_predicted(MigrationState *ms, const PageRange *asked, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;
    RAMBlock *b = asked->block;
    uint64_t pages[PREFETCH_WINDOW_MAX];
    const uint64_t before = stream_written(ps->preempt.writer);
    const uint64_t most = PREFETCH_BYTES / b->info.page_size;
    unsigned n, sent = 0, i;
    PrefetchWalk walk;

    if (!gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREFETCH)) {
        return true;
    }
    if (!ps->preempt.prefetch) {
        ps->preempt.prefetch = prefetch_new();
    }
    n = prefetch_request(ps->preempt.prefetch, ram_block_index(b), asked->first / asked->npages,
                         ram_block_pages(b) / asked->npages, pages,
                         (unsigned)CLAMP(most, 1, G_N_ELEMENTS(pages)));
    for (i = 0; i < n; i++) {
        if (i % PREFETCH_GROUP == 0 && i && return_path_has_more(ms)) {
            break;
        }
        const PageRange page = postcopy_host_page(b, pages[i] * asked->npages);
        bool put;

        if (!put_host_page(ms, &page, &put, errp)) {
            return false;
        }
        sent += put;
    }
    prefetch_cut(ps->preempt.prefetch, i);
    prefetch_sent(ps->preempt.prefetch, sent);
    count_prefetch(ms, ps->preempt.prefetch);
    if (prefetch_walk(ps->preempt.prefetch, &walk)) {
        prefetch_ahead_offer(&ps->ahead, &walk);
    }
    return sent == 0 || flush(ms, before, errp);
}

static bool send(MigrationState *ms, const PageRange *page, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;
    const uint64_t before = stream_written(ps->preempt.writer);
    bool put;

    if (!put_host_page(ms, page, &put, errp)) {
        return false;
    }
    if (!put) {
        trace_event(postcopy_preempt_hit, "block %s offset 0x%" PRIx64 " was sent before",
                    page->block->info.idstr, page->first << GW_TARGET_PAGE_BITS);
    } else {
        if (!flush(ms, before, errp)) {
            return false;
        }
        trace_event(postcopy_preempt_send_host_page, "block %s offset 0x%" PRIx64,
                    page->block->info.idstr, page->first << GW_TARGET_PAGE_BITS);
        STAT_ADD(ms->postcopy_counters.urgent_pages, 1);
        hint_offer(ms, page);
    }
    return send_predicted(ms, page, errp);
}

bool preempt_send(MigrationState *ms, const PageRange *page, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;
    bool ok;

    /* Before any claim: whoever finds the bitmap empty and this flag down knows that every page is
     * on the wire. Both sides use sequentially consistent operations. */
    __atomic_store_n(&ps->urgent_busy, true, __ATOMIC_SEQ_CST);
    ok = send(ms, page, errp);
    __atomic_store_n(&ps->urgent_busy, false, __ATOMIC_SEQ_CST);
    if (!ok) {
        g_prefix_error(errp, "preempt channel: ");
    }
    return ok;
}

bool preempt_finish(MigrationState *ms, GError **errp)
{
    PostcopySource *ps = ms->postcopy_source;
    const uint64_t eos = GUINT64_TO_BE(RAM_FLAG_EOS);
    g_autoptr(GwChannel) ch = NULL;

    pthread_mutex_lock(&ms->lock);
    while (__atomic_load_n(&ps->urgent_busy, __ATOMIC_SEQ_CST) &&
           !return_path_news(ms->out.return_path)->ended) {
        outgoing_wait(ms, ms_now_ns(ms) + FINISH_LOOK_NS);
    }
    ch = ps->preempt.channel ? gw_channel_ref(ps->preempt.channel) : NULL;
    pthread_mutex_unlock(&ms->lock);
    /* Destinations before 8.0 wait for this mark. */
    return !ch || !gw_compat(ms)->preempt_pre_7_2 ||
           gw_channel_write_all(ch, &eos, sizeof(eos), errp);
}

void preempt_shutdown(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    if (ms->postcopy_source && ms->postcopy_source->preempt.channel) {
        gw_channel_shutdown(ms->postcopy_source->preempt.channel);
    }
}

void preempt_close(MigrationState *ms)
{
    PostcopySource *ps = ms->postcopy_source;
    GwChannel *ch;

    pthread_mutex_lock(&ms->lock);
    ch = ps->preempt.channel;
    ps->preempt.channel = NULL;
    pthread_mutex_unlock(&ms->lock);
    g_clear_pointer(&ps->preempt.writer, stream_writer_free);
    ram_sender_clear(&ps->preempt.sender);
    if (ch) {
        gw_channel_shutdown(ch);
        gw_channel_unref(ch);
    }
}
