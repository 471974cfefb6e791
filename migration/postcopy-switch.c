/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switchover to postcopy, outgoing side: stop the guest, tell the destination what it must not
 * keep, hand over the device state in one package that ends in the permission to run.
 * Migration thread; the machine lock only while devices are saved into memory.
 * Wire: spec stream 1.7, commands 3.4, ram 2.8 (discard list).
 *
 * The guest may run here again until the last byte of the package is on its way. From then on it
 * may not, whatever happens: the destination may be running it.
 */
#include "postcopy-source.h"

#include <string.h>

#include "bits.h"
#include "dirty-bitmap.h"
#include "blackout.h"
#include "error.h"
#include "return-path.h"
#include "switchover.h"
#include "zero-sweep.h"

/* What stock QEMU puts into one command; a receiver accepts any number. */
#define DISCARD_RANGES 12

static void put_ping(StreamWriter *w, uint32_t value)
{
    const uint32_t be = GUINT32_TO_BE(value);

    savevm_put_command(w, MIG_CMD_PING, &be, sizeof(be));
}

void postcopy_put_advise(MigrationState *ms, StreamWriter *w)
{
    uint64_t payload[2] = {0, GUINT64_TO_BE(GW_TARGET_PAGE_SIZE)};
    uint64_t summary = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        summary |= ram_block_at(ms, i)->info.page_size;
    }
    payload[0] = GUINT64_TO_BE(summary);
    savevm_put_command(w, MIG_CMD_POSTCOPY_ADVISE, payload, sizeof(payload));
}

void postcopy_canonicalise(RAMBlock *b)
{
    const uint64_t n = b->info.page_size >> GW_TARGET_PAGE_BITS;
    const uint64_t end = ram_block_pages(b);

    if (n <= 1) {
        return;
    }
    for (uint64_t at = bits_find_set(b->dirty, 0, end); at < end;
         at = bits_find_set(b->dirty, (at / n + 1) * n, end)) {
        dirty_bitmap_set(b, at / n * n, n);
    }
}

typedef struct DiscardList {
    StreamWriter *w;
    const RAMBlock *block;
    unsigned n;
    uint64_t ranges[2 * DISCARD_RANGES];
} DiscardList;

static void discard_flush(DiscardList *d)
{
    const size_t name = strlen(d->block->info.idstr);
    const size_t len = 3 + name + d->n * 2 * sizeof(uint64_t);
    g_autofree uint8_t *payload = g_malloc0(len);

    if (d->n == 0) {
        return;
    }
    payload[1] = (uint8_t)name;
    memcpy(payload + 2, d->block->info.idstr, name);
    memcpy(payload + 3 + name, d->ranges, d->n * 2 * sizeof(uint64_t));
    savevm_put_command(d->w, MIG_CMD_POSTCOPY_RAM_DISCARD, payload, (uint16_t)len);
    d->n = 0;
}

/* Every run of dirty pages: what the destination has of it is missing or stale. */
static void put_discards(StreamWriter *w, RAMBlock *b)
{
    DiscardList d = {.w = w, .block = b};
    const uint64_t end = ram_block_pages(b);
    uint64_t at = bits_find_set(b->dirty, 0, end);

    while (at < end) {
        const uint64_t stop = bits_find_clear(b->dirty, at, end);

        d.ranges[2 * d.n] = GUINT64_TO_BE(at << GW_TARGET_PAGE_BITS);
        d.ranges[2 * d.n + 1] = GUINT64_TO_BE((stop - at) << GW_TARGET_PAGE_BITS);
        if (++d.n == DISCARD_RANGES) {
            discard_flush(&d);
        }
        at = bits_find_set(b->dirty, stop, end);
    }
    discard_flush(&d);
}

/* The last sync; from here on the bitmap says what the destination still has to get. */
static bool settle_ram(MigrationState *ms, StreamWriter *w, GError **errp)
{
    zero_sweep_stop(ms->ram_save);
    if (!ram_dirty_sync(ms, errp)) {
        return false;
    }
    ram_save_enter_postcopy(ms);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        postcopy_canonicalise(ram_block_at(ms, i));
        put_discards(w, ram_block_at(ms, i));
    }
    return true;
}

static GByteArray *make_package(MigrationState *ms, GError **errp)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    const int64_t start = ms_now_ns(ms);
    bool ok;

    savevm_put_command(w, MIG_CMD_POSTCOPY_LISTEN, NULL, 0);
    ms->host.lock(ms->host_opaque);
    ok = savevm_state_complete_devices(ms, w, NULL, errp);
    ms->host.unlock(ms->host_opaque);
    blackout_lap(ms, &ms->out.blackout.device_save_ns, start);
    if (!ok) {
        return NULL;
    }
    put_ping(w, PING_IN_PACKAGE);
    put_ping(w, PING_PACKAGE_LOADED);
    savevm_put_command(w, MIG_CMD_POSTCOPY_RUN, NULL, 0);
    return stream_writer_steal(w);
}

/* Before the first byte, because a request may come as soon as the last one has arrived. */
static bool hand_over(MigrationState *ms, GError **errp)
{
    LOCK_GUARD(&ms->lock);

    if (return_path_news(ms->out.return_path)->ended) {
        return gw_fail(errp, GW_ERROR_IO, "return path: it ended before the switch to postcopy");
    }
    ms->postcopy_source->handed_over = true;
    ms->out.had_postcopy = true;
    return true;
}

static void take_back(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    ms->postcopy_source->handed_over = false;
}

static bool send_package(MigrationState *ms, StreamWriter *w, GError **errp)
{
    g_autoptr(GByteArray) package = make_package(ms, errp);
    int64_t start;
    uint32_t len;

    if (!package || !stream_flush(w, errp)) {
        return false;
    }
    if (outgoing_cancel_requested(ms) ||
        !outgoing_set_status(ms, MIGRATION_STATUS_DEVICE, MIGRATION_STATUS_POSTCOPY_DEVICE)) {
        return gw_fail(errp, GW_ERROR_CANCELLED, "migration cancelled");
    }
    if (!hand_over(ms, errp)) {
        return false;
    }
    len = GUINT32_TO_BE(package->len);
    savevm_put_command(w, MIG_CMD_PACKAGED, &len, sizeof(len));
    stream_put_bytes(w, package->data, package->len);
    start = ms_now_ns(ms);
    /* A write that fails has not taken its last byte: the destination never gets the whole package
     * and so never the permission to run, which is at its end. */
    if (!stream_flush(w, errp)) {
        take_back(ms);
        return false;
    }
    blackout_lap(ms, &ms->out.blackout.transfer_ns, start);
    put_ping(w, 4); /* from here on, what breaks is found and dealt with by postcopy_run() */
    return true;
}

/* The preempt channel needs a main channel that the destination has recognised: PONG 1. */
static bool open_preempt(MigrationState *ms, GError **errp)
{
    const ReturnPathNews *news;
    bool ended;

    if (!gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT) ||
        gw_compat(ms)->preempt_pre_7_2) {
        return true;
    }
    pthread_mutex_lock(&ms->lock);
    news = return_path_news(ms->out.return_path);
    while (!news->ponged && !news->ended && !outgoing_cancel_requested(ms)) {
        outgoing_wait(ms, -1);
    }
    ended = news->ended;
    pthread_mutex_unlock(&ms->lock);
    if (ended) {
        return gw_fail(errp, GW_ERROR_IO, "return path: it ended before the destination answered");
    }
    return preempt_open(ms, errp);
}

bool postcopy_switch(MigrationState *ms, StreamWriter *w, GError **errp)
{
    Outgoing *out = &ms->out;
    bool done;

    if (!open_preempt(ms, errp) || !savevm_state_iterate(ms, w, 0, &done, errp) ||
        !switchover_stop_guest(ms, errp) || !switchover_pause(ms, errp)) {
        return false;
    }
    if (gw_compat(ms)->send_switchover_start) {
        savevm_put_command(w, MIG_CMD_SWITCHOVER_START, NULL, 0);
    }
    if (!switchover_send_last_pages(ms, w, true, errp) || !settle_ram(ms, w, errp)) {
        return false;
    }
    put_ping(w, 2);
    if (!send_package(ms, w, errp)) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    out->downtime_ms = (uint64_t)((ms_now_ns(ms) - out->downtime_start_ns) / 1000000);
    pthread_mutex_unlock(&ms->lock);
    blackout_trace_source(ms);
    return true;
}
