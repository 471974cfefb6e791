/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sending half of XBZRLE. What goes into the cache is exactly what is sent, byte by byte: the
 * guest goes on writing, so a page is copied once and the copy is compared, sent and kept. The
 * destination needs no cache: it applies the changes to the page that it has.
 * Migration thread; counters by relaxed atomics, rates under ms->lock. Wire: spec ram 2.6.
 */
#include "ram-xbzrle.h"

#include <string.h>

#include "error.h"
#include "page-cache.h"
#include "trace.h"
#include "xbzrle.h"

/* Behind the header word: encoding, length. */
#define XBZRLE_HEAD 3

struct RamXbzrle {
    PageCache *cache;
    uint64_t *first_key;  /* per block: the number of its first page among all */
    uint64_t refused_size; /* a cache-size that could not be had; not tried again */
    XbzrleStats last;     /* at the last measurement */
    uint8_t now[GW_TARGET_PAGE_SIZE], encoded[GW_TARGET_PAGE_SIZE];
};

bool ram_xbzrle_setup(RamSave *rs, GError **errp)
{
    MigrationState *ms = rs->ms;
    RamXbzrle *x;
    uint64_t key = 0;

    if (!gw_capability_get(ms, MIGRATION_CAP_XBZRLE)) {
        return true;
    }
    x = rs->xbzrle = g_new0(RamXbzrle, 1);
    x->first_key = g_new0(uint64_t, ram_block_count(ms) + 1);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        x->first_key[i] = key;
        key += ram_block_max_pages(ram_block_at(ms, i));
    }
    x->cache = page_cache_new(gw_param_get(ms, MIGRATION_PARAM_XBZRLE_CACHE_SIZE), errp);
    return x->cache != NULL;
}

void ram_xbzrle_free(RamSave *rs)
{
    if (rs->xbzrle) {
        page_cache_free(rs->xbzrle->cache);
        g_free(rs->xbzrle->first_key);
        g_clear_pointer(&rs->xbzrle, g_free);
    }
}

bool ram_xbzrle_active(const RamSave *rs)
{
    return rs->xbzrle && !rs->in_postcopy &&
           __atomic_load_n(&rs->search.passes, __ATOMIC_RELAXED) > 0;
}

static uint64_t key_of(const RamXbzrle *x, const RAMBlock *b, uint64_t page)
{
    return x->first_key[ram_block_index(b)] + page;
}

/* The copy itself goes out: a reference would be read later, when the guest has written again. */
static void put_whole(RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t page,
                      const uint8_t *copy)
{
    ram_sender_put_header(s, w, b, page << GW_TARGET_PAGE_BITS, RAM_FLAG_PAGE);
    stream_put_bytes(w, copy, GW_TARGET_PAGE_SIZE);
}

static void put_changes(RamSave *rs, RamSender *s, StreamWriter *w, const RAMBlock *b,
                        uint64_t page, uint16_t len)
{
    const uint64_t before = stream_written(w);

    ram_sender_put_header(s, w, b, page << GW_TARGET_PAGE_BITS, RAM_FLAG_XBZRLE);
    stream_put_u8(w, RAM_XBZRLE_ENCODING);
    stream_put_be16(w, len);
    stream_put_bytes(w, rs->xbzrle->encoded, len);
    STAT_ADD(rs->ms->stats.xbzrle.pages, 1);
    STAT_ADD(rs->ms->stats.xbzrle.bytes, stream_written(w) - before);
}

static bool put_new(RamSave *rs, RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t page,
                    uint64_t pass)
{
    RamXbzrle *x = rs->xbzrle;
    uint8_t *room = rs->last_stage ? NULL : page_cache_claim(x->cache, key_of(x, b, page), pass);

    STAT_ADD(rs->ms->stats.xbzrle.misses, 1);
    if (!room) {
        return false;
    }
    memcpy(room, ram_block_page(b, page), GW_TARGET_PAGE_SIZE);
    put_whole(s, w, b, page, room);
    return true;
}

bool ram_xbzrle_put(RamSave *rs, RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t page,
                    bool *normal)
{
    RamXbzrle *x = rs->xbzrle;
    const uint64_t pass = STAT_GET(rs->ms->stats.dirty_sync_count);
    uint8_t *old = page_cache_get(x->cache, key_of(x, b, page), pass);
    int len;

    STAT_ADD(rs->ms->stats.xbzrle.lookups, 1);
    *normal = true;
    if (!old) {
        return put_new(rs, s, w, b, page, pass);
    }
    memcpy(x->now, ram_block_page(b, page), GW_TARGET_PAGE_SIZE);
    /* Never more bytes than the page itself takes. */
    len = xbzrle_encode(old, x->now, GW_TARGET_PAGE_SIZE, x->encoded,
                        GW_TARGET_PAGE_SIZE - XBZRLE_HEAD);
    if (len < 0) {
        STAT_ADD(rs->ms->stats.xbzrle.overflows, 1);
        put_whole(s, w, b, page, x->now);
    } else {
        *normal = false;
        if (len > 0) { /* written, but with what was there: the destination has it */
            put_changes(rs, s, w, b, page, (uint16_t)len);
        }
    }
    memcpy(old, x->now, GW_TARGET_PAGE_SIZE);
    return true;
}

void ram_xbzrle_note_zero(RamSave *rs, const RAMBlock *b, uint64_t page)
{
    RamXbzrle *x = rs->xbzrle;
    uint8_t *old = page_cache_get(x->cache, key_of(x, b, page),
                                  STAT_GET(rs->ms->stats.dirty_sync_count));

    if (old) {
        memset(old, 0, GW_TARGET_PAGE_SIZE);
    }
}

void ram_xbzrle_follow_size(RamSave *rs)
{
    RamXbzrle *x = rs->xbzrle;
    const uint64_t size = gw_param_get(rs->ms, MIGRATION_PARAM_XBZRLE_CACHE_SIZE);
    g_autoptr(GError) err = NULL;
    PageCache *cache;

    if (!x || size == page_cache_size(x->cache) || size == x->refused_size) {
        return;
    }
    cache = page_cache_new(size, &err);
    if (!cache) {
        x->refused_size = size;
        trace_event(xbzrle_cache_resize, "the old size stays: %s", err->message);
        return;
    }
    trace_event(xbzrle_cache_resize, "%" G_GUINT64_FORMAT " bytes", size);
    page_cache_copy(cache, x->cache);
    page_cache_free(x->cache);
    x->cache = cache;
}

void ram_xbzrle_measure(RamSave *rs)
{
    RamXbzrle *x = rs->xbzrle;
    const XbzrleStats *st = &rs->ms->stats.xbzrle;
    XbzrleStats now;

    if (!x) {
        return;
    }
    now = (XbzrleStats){STAT_GET(st->lookups), STAT_GET(st->misses), STAT_GET(st->pages),
                        STAT_GET(st->bytes), STAT_GET(st->overflows)};
    if (now.lookups == x->last.lookups) {
        return;
    }
    const uint64_t bytes = now.bytes - x->last.bytes;
    const double raw = (double)((now.pages - x->last.pages) << GW_TARGET_PAGE_BITS);

    pthread_mutex_lock(&rs->ms->lock);
    rs->ms->out.xbzrle_miss_rate =
        (double)(now.misses - x->last.misses) / (double)(now.lookups - x->last.lookups);
    rs->ms->out.xbzrle_encoding_rate = bytes ? raw / (double)bytes : 0;
    pthread_mutex_unlock(&rs->ms->lock);
    x->last = now;
}
