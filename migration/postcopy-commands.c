/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of a postcopy, incoming side, and the state machine that says when each may come.
 * Incoming thread up to RUN; the listen thread afterwards (RECV_BITMAP, RESUME, PING).
 * Wire: spec commands 3.1 and 3.5.
 */
#include "postcopy.h"

#include <inttypes.h>

#include "error.h"
#include "incoming.h"
#include "recovery.h"
#include "return-path.h"
#include "trace.h"

/* A package holds device state, not memory: a peer that claims more is wrong. */
#define PACKAGE_MAX (256u << 20)

PostcopyState postcopy_state(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    return ms->postcopy_incoming ? ms->postcopy_incoming->state : POSTCOPY_NONE;
}

static void set_state(MigrationState *ms, PostcopyState s)
{
    LOCK_GUARD(&ms->lock);

    ms->postcopy_incoming->state = s;
    pthread_cond_broadcast(&ms->in.cond);
}

static bool wrong_state(const char *cmd, PostcopyState s, GError **errp)
{
    return gw_fail(errp, GW_ERROR_PROTOCOL, "CMD_%s in wrong postcopy state (%d)", cmd, s);
}

static bool check_page_sizes(MigrationState *ms, const uint8_t *payload, GError **errp)
{
    const uint64_t theirs = load_be64(payload);
    const uint64_t target = load_be64(payload + 8);
    uint64_t ours = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        ours |= ram_block_at(ms, i)->info.page_size;
    }
    if (theirs != ours) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Postcopy needs matching RAM page sizes (s=0x%" PRIx64 " d=0x%" PRIx64
                       "): give both sides the same memory backend", theirs, ours);
    }
    return target == GW_TARGET_PAGE_SIZE ||
           gw_fail(errp, GW_ERROR_PROTOCOL,
                   "Postcopy needs matching target page sizes (s=%" PRIu64 " d=%zu)", target,
                   GW_TARGET_PAGE_SIZE);
}

/* Memory is emptied when its block is listed: what came before would count as received. */
static bool nothing_listed(MigrationState *ms, GError **errp)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        if (ram_block_at(ms, i)->listed) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "CMD_POSTCOPY_ADVISE after the list of RAM blocks");
        }
    }
    return true;
}

static bool cmd_advise(MigrationState *ms, const uint8_t *payload, uint16_t len, GError **errp)
{
    const bool on = gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM);

    if (postcopy_state(ms) != POSTCOPY_NONE) {
        return wrong_state("POSTCOPY_ADVISE", postcopy_state(ms), errp);
    }
    if (len != 16 && len != 0) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "CMD_POSTCOPY_ADVISE invalid length (%u)", len);
    }
    if ((len == 16) != on) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       on ? "RAM postcopy is enabled here but not at the source"
                          : "RAM postcopy is disabled here: set capability 'postcopy-ram' on both "
                            "sides");
    }
    if (!on) {
        return true;
    }
    if (!check_page_sizes(ms, payload, errp) || !nothing_listed(ms, errp)) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    ms->postcopy_incoming = g_new0(PostcopyIncoming, 1);
    ms->postcopy_incoming->state = POSTCOPY_ADVISE;
    ms->postcopy_incoming->latency = latency_new(ms->nr_vcpus ? ms->nr_vcpus
                                                                 : LATENCY_MAX_CPUS);
    pthread_mutex_unlock(&ms->lock);
    return postcopy_ram_prepare(ms, errp);
}

static bool discard_range(MigrationState *ms, RAMBlock *b, const uint8_t *p, GError **errp)
{
    const uint64_t start = load_be64(p), len = load_be64(p + 8);
    const uint64_t mask = b->info.page_size - 1;

    if (((start | len) & mask) || len == 0 || start >= b->info.used_length ||
        len > b->info.used_length - start) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "POSTCOPY_RAM_DISCARD: 0x%" PRIx64 " bytes at 0x%" PRIx64 " are not host "
                       "pages of block '%s', which has 0x%" PRIx64 " bytes", len, start,
                       b->info.idstr, b->info.used_length);
    }
    return postcopy_ram_discard(ms, b, start, len, errp);
}

static bool cmd_discard(MigrationState *ms, const uint8_t *payload, uint16_t len, GError **errp)
{
    const PostcopyState s = postcopy_state(ms);
    char id[256];
    RAMBlock *b;
    size_t n;

    if (s != POSTCOPY_ADVISE && s != POSTCOPY_DISCARD) {
        return wrong_state("POSTCOPY_RAM_DISCARD", s, errp);
    }
    n = len >= 2 ? payload[1] : 0;
    if (len < 3 + n + 16 || (len - 3 - n) % 16 || payload[0] != 0 || payload[2 + n] != 0) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "CMD_POSTCOPY_RAM_DISCARD malformed (length %u, version %u)", len,
                       len ? payload[0] : 0);
    }
    memcpy(id, payload + 2, n);
    id[n] = '\0';
    b = gw_ram_block_find(ms, id);
    if (!b) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "POSTCOPY_RAM_DISCARD: unknown block '%s'", id);
    }
    set_state(ms, POSTCOPY_DISCARD);
    for (size_t at = 3 + n; at < len; at += 16) {
        if (!discard_range(ms, b, payload + at, errp)) {
            return false;
        }
    }
    return true;
}

static bool cmd_listen(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    const PostcopyState s = postcopy_state(ms);

    if (s != POSTCOPY_ADVISE && s != POSTCOPY_DISCARD) {
        return wrong_state("POSTCOPY_LISTEN", s, errp);
    }
    if (!pi->package_of) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "POSTCOPY_LISTEN outside of a package");
    }
    set_state(ms, POSTCOPY_LISTENING);
    incoming_set_status(ms, MIGRATION_STATUS_POSTCOPY_DEVICE);
    return postcopy_ram_listen(ms, errp) && postcopy_listen_start(ms, pi->package_of, errp);
}

/* Only the package may say so: on the main channel the listen thread would run it, at any time. */
static bool cmd_run(MigrationState *ms, StreamReader *r, bool *quit, GError **errp)
{
    const PostcopyState s = postcopy_state(ms);
    bool aborted, active;

    if (s != POSTCOPY_LISTENING || r == ms->postcopy_incoming->package_of) {
        return wrong_state("POSTCOPY_RUN", s, errp);
    }
    pthread_mutex_lock(&ms->lock);
    aborted = ms->in.abort_requested;
    active = !aborted && ms->in.status == MIGRATION_STATUS_POSTCOPY_DEVICE;
    if (!aborted) {
        ms->postcopy_incoming->state = POSTCOPY_RUNNING;
    }
    if (active) { /* else the listen thread has paused it, or is recovering */
        ms->in.status = MIGRATION_STATUS_POSTCOPY_ACTIVE;
    }
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    if (active) {
        incoming_status_changed(ms, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    }
    *quit = true;
    return !aborted || gw_fail(errp, GW_ERROR_CANCELLED, "the incoming migration was ended");
}

static bool load_package(MigrationState *ms, StreamReader *outer, const uint8_t *blob, uint32_t len,
                         GError **errp)
{
    static const LoadvmCommandOps ops = {.command = incoming_command};
    g_autoptr(StreamReader) r = stream_reader_new_mem(blob, len, "package");
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT) &&
        !postcopy_accept_preempt(ms, errp)) {
        return false;
    }
    pi->package_of = outer;
    switch (loadvm_elements(ms, r, &ops, ms, errp)) {
    case LOADVM_QUIT:
        return true;
    case LOADVM_EOF:
        return gw_fail(errp, GW_ERROR_PROTOCOL, "package: it contains the end of the stream");
    default:
        g_prefix_error(errp, "package: ");
        return false;
    }
}

static bool cmd_packaged(MigrationState *ms, StreamReader *r, const uint8_t *payload, bool *quit,
                         GError **errp)
{
    const uint32_t len = load_be32(payload);
    g_autofree uint8_t *blob = NULL;
    const PostcopyState s = postcopy_state(ms);

    if ((s != POSTCOPY_ADVISE && s != POSTCOPY_DISCARD) || ms->postcopy_incoming->package_of) {
        return wrong_state("PACKAGED", s, errp);
    }
    if (len > PACKAGE_MAX) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "PACKAGED: unreasonably large package of %u bytes",
                       len);
    }
    blob = g_try_malloc(len ? len : 1);
    if (!blob) {
        return gw_fail(errp, GW_ERROR_GENERIC, "PACKAGED: no memory for %u bytes", len);
    }
    if (!stream_get_bytes(r, blob, len, errp) || !load_package(ms, r, blob, len, errp)) {
        return false;
    }
    *quit = true; /* the main channel is the listen thread's now */
    return true;
}

bool postcopy_command(MigrationState *ms, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                      uint16_t len, bool *quit, GError **errp)
{
    const PostcopyState s = postcopy_state(ms);

    if (cmd != MIG_CMD_POSTCOPY_ADVISE && s == POSTCOPY_NONE) {
        return wrong_state("POSTCOPY", s, errp);
    }
    switch (cmd) {
    case MIG_CMD_POSTCOPY_ADVISE:
        return cmd_advise(ms, payload, len, errp);
    case MIG_CMD_POSTCOPY_RAM_DISCARD:
        return cmd_discard(ms, payload, len, errp);
    case MIG_CMD_POSTCOPY_LISTEN:
        return cmd_listen(ms, errp);
    case MIG_CMD_POSTCOPY_RUN:
        return cmd_run(ms, r, quit, errp);
    case MIG_CMD_PACKAGED:
        return cmd_packaged(ms, r, payload, quit, errp);
    case MIG_CMD_RECV_BITMAP:
        return recovery_send_bitmap(ms, payload, len, errp);
    case MIG_CMD_POSTCOPY_RESUME:
        return recovery_resume(ms, errp);
    default:
        return gw_fail(errp, GW_ERROR_PROTOCOL, "MIG_CMD 0x%x unknown (len 0x%x)", cmd, len);
    }
}
