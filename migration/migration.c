/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outgoing half as its user sees it: start, cancel, continue, wait, and the status. Called from
 * any thread (QMP runs on the main loop), returns at once; the work is done on the migration thread
 * (migration-thread.c, switchover.c). ms->lock guards everything in ms->out.
 * Spec: qmp 5.3 (errors) and 5.5 (transitions).
 */
#include "outgoing.h"

#include <string.h>

#include "error.h"
#include "skip-zero.h"
#include "incoming.h"
#include "postcopy-source.h"
#include "trace.h"

bool outgoing_status_is_running(MigrationStatus s)
{
    switch (s) {
    case MIGRATION_STATUS_NONE:
    case MIGRATION_STATUS_CANCELLED:
    case MIGRATION_STATUS_COMPLETED:
    case MIGRATION_STATUS_FAILED:
        return false;
    default:
        return true;
    }
}

bool outgoing_status_is_postcopy(MigrationStatus s)
{
    return s >= MIGRATION_STATUS_POSTCOPY_DEVICE && s <= MIGRATION_STATUS_POSTCOPY_RECOVER;
}

MigrationStatus outgoing_status(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    return ms->out.status;
}

bool outgoing_is_running(MigrationState *ms)
{
    return outgoing_status_is_running(outgoing_status(ms));
}

void outgoing_status_changed(MigrationState *ms, MigrationStatus to)
{
    trace_event(migration_set_state, "new state %s", gw_migration_status_name(to));
    if (ms->host.status_changed) {
        ms->host.status_changed(ms->host_opaque, false, to);
    }
}

bool outgoing_set_status(MigrationState *ms, MigrationStatus from, MigrationStatus to)
{
    bool changed;

    pthread_mutex_lock(&ms->lock);
    changed = ms->out.status == from;
    if (changed) {
        ms->out.status = to;
        pthread_cond_broadcast(&ms->out.cond);
    }
    pthread_mutex_unlock(&ms->lock);
    if (changed) {
        outgoing_status_changed(ms, to);
    }
    return changed;
}

void outgoing_set_error(MigrationState *ms, GError *err)
{
    pthread_mutex_lock(&ms->lock);
    trace_event(migration_error, "%s", err->message);
    if (!ms->out.error) {
        ms->out.error = err;
        err = NULL;
    }
    pthread_mutex_unlock(&ms->lock);
    g_clear_error(&err);
}

bool outgoing_cancel_requested(MigrationState *ms)
{
    return __atomic_load_n(&ms->out.cancel_requested, __ATOMIC_ACQUIRE);
}

bool outgoing_wait(MigrationState *ms, int64_t deadline_ns)
{
    if (deadline_ns < 0) {
        pthread_cond_wait(&ms->out.cond, &ms->lock);
        return true;
    }
    return ms->clock.wait_until(ms->clock_opaque, &ms->out.cond, &ms->lock, deadline_ns);
}

bool outgoing_wants_return_path(MigrationState *ms)
{
    return gw_capability_get(ms, MIGRATION_CAP_RETURN_PATH) ||
           gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM) || skip_zero_wants_return_path(ms);
}

static bool transport_is_one_way(const GwAddress *addr)
{
    return addr && addr->transport == GW_TRANSPORT_FILE;
}

static bool migrate_may_start(MigrationState *ms, const GwAddress *addr, GError **errp)
{
    const char *run_state = ms->host.run_state(ms->host_opaque);

    if (outgoing_is_running(ms)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "There's a migration process in progress");
    }
    if (strcmp(run_state, "inmigrate") == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Guest is waiting for an incoming migration");
    }
    if (strcmp(run_state, "postmigrate") == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Can't migrate the vm that was paused due to previous migration");
    }
    if (transport_is_one_way(addr) && outgoing_wants_return_path(ms)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Capabilities 'return-path' and 'postcopy-ram' need a transport with two "
                       "directions; a file has one: switch them off or use tcp, unix or fd");
    }
    return blockers_check(ms, errp);
}

/* Leaves the fields of an earlier migration behind. */
static void outgoing_reset(MigrationState *ms)
{
    Outgoing *out = &ms->out;

    if (out->thread) {
        g_thread_join(out->thread);
        out->thread = NULL;
    }
    pthread_mutex_lock(&ms->lock);
    g_clear_error(&out->error);
    g_clear_pointer(&out->cancel, gw_cancel_free);
    out->cancel = gw_cancel_new();
    __atomic_store_n(&out->cancel_requested, false, __ATOMIC_RELEASE);
    out->continue_requested = out->postcopy_requested = out->pause_requested = false;
    out->stopped_guest = out->sent_everything = out->was_running = false;
    out->had_postcopy = out->yanked = out->zero_target = false;
    out->start_ns = ms_now_ns(ms);
    out->setup_end_ns = out->downtime_start_ns = out->end_ns = 0;
    out->downtime_ms = 0;
    out->expected_downtime_ms = gw_param_get(ms, MIGRATION_PARAM_DOWNTIME_LIMIT);
    out->mbps = out->xbzrle_miss_rate = out->xbzrle_encoding_rate = 0;
    out->bandwidth = out->threshold_bytes = 0;
    ms->outlook = (Outlook){0};
    memset(&ms->stats, 0, sizeof(ms->stats));
    memset(&ms->postcopy_counters, 0, sizeof(ms->postcopy_counters));
    memset(&ms->out.blackout, 0, sizeof(ms->out.blackout));
    memset(&ms->background_counters, 0, sizeof(ms->background_counters));
    memset(&ms->free_page.counters, 0, sizeof(ms->free_page.counters));
    pthread_mutex_unlock(&ms->lock);
}

/* Two commands that arrive at once: only one gets from an ended status to setup. */
static bool outgoing_claim(MigrationState *ms, GError **errp)
{
    bool mine;

    pthread_mutex_lock(&ms->lock);
    mine = !outgoing_status_is_running(ms->out.status) && !ms->out.thread_running;
    if (mine) {
        ms->out.status = MIGRATION_STATUS_SETUP;
        ms->out.thread_running = true;
    }
    pthread_mutex_unlock(&ms->lock);
    return mine || gw_fail(errp, GW_ERROR_GENERIC, "There's a migration process in progress");
}

static void outgoing_thread_start(MigrationState *ms, const GwAddress *addr, GwChannel *ch)
{
    OutgoingArgs *args = g_new0(OutgoingArgs, 1);

    args->ms = ms;
    args->addr = addr ? gw_address_copy(addr) : NULL;
    args->channel = ch ? gw_channel_ref(ch) : NULL;
    ms->out.thread = g_thread_new("mig/src/main", migration_thread, args);
}

/* file, fd and exec fail at once; their errors belong to the command that asked. */
static GwChannel *connect_now(MigrationState *ms, const GwAddress *addr, GError **errp)
{
    GwChannel *ch = gw_channel_connect(addr, ms->host.resolve_fd, ms->host_opaque, NULL, errp);

    if (ch) {
        gw_channel_set_name(ch, "main");
    }
    return ch;
}

/* A paused postcopy gets a new address; its thread connects. The status changes before this
 * returns: who looks then must not take the old pause for a new one. */
static bool migrate_resume(MigrationState *ms, const GwAddress *addr, GError **errp)
{
    bool paused;

    if (gw_capability_get(ms, MIGRATION_CAP_RELEASE_RAM)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Postcopy recovery cannot work when release-ram capability is set");
    }
    pthread_mutex_lock(&ms->lock);
    paused = ms->out.status == MIGRATION_STATUS_POSTCOPY_PAUSED;
    if (paused) {
        g_clear_pointer(&ms->postcopy_source->resume_address, gw_address_free);
        ms->postcopy_source->resume_address = gw_address_copy(addr);
    }
    pthread_mutex_unlock(&ms->lock);
    return (paused && outgoing_set_status(ms, MIGRATION_STATUS_POSTCOPY_PAUSED,
                                          MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP)) ||
           gw_fail(errp, GW_ERROR_GENERIC, "Cannot resume if there is no paused migration");
}

/* Postcopy needs pages to be asked for, and preempt a second connection. */
static bool postcopy_may_start(MigrationState *ms, const GwAddress *addr, GError **errp)
{
    const bool sockets = addr && (addr->transport == GW_TRANSPORT_TCP ||
                                  addr->transport == GW_TRANSPORT_UNIX ||
                                  addr->transport == GW_TRANSPORT_VSOCK);

    if (gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT) && !sockets) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Migration requires multi-channel URIs (e.g. tcp)");
    }
    return true;
}

bool gw_migrate(MigrationState *ms, const GwAddress *addr, bool resume, GError **errp)
{
    const bool at_once = addr->transport == GW_TRANSPORT_FILE ||
                         addr->transport == GW_TRANSPORT_FD || addr->transport == GW_TRANSPORT_EXEC;
    g_autoptr(GwChannel) ch = NULL;
    GError *err = NULL;

    if (resume) {
        return migrate_resume(ms, addr, errp);
    }
    if (!migrate_may_start(ms, addr, errp) || !postcopy_may_start(ms, addr, errp) ||
        !outgoing_claim(ms, errp)) {
        return false;
    }
    outgoing_reset(ms);
    if (ms->host.status_changed) {
        ms->host.status_changed(ms->host_opaque, false, MIGRATION_STATUS_SETUP);
    }
    if (at_once) {
        ch = connect_now(ms, addr, &err);
        if (!ch) {
            g_propagate_error(errp, g_error_copy(err));
            outgoing_set_error(ms, err);
            pthread_mutex_lock(&ms->lock);
            ms->out.thread_running = false;
            pthread_mutex_unlock(&ms->lock);
            outgoing_set_status(ms, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_FAILED);
            return false;
        }
    }
    outgoing_thread_start(ms, addr, ch);
    return true;
}

bool gw_migrate_channel(MigrationState *ms, GwChannel *main_channel, GError **errp)
{
    if (!migrate_may_start(ms, NULL, errp) || !postcopy_may_start(ms, NULL, errp) ||
        !outgoing_claim(ms, errp)) {
        return false;
    }
    outgoing_reset(ms);
    if (ms->host.status_changed) {
        ms->host.status_changed(ms->host_opaque, false, MIGRATION_STATUS_SETUP);
    }
    gw_channel_set_name(main_channel, "main");
    outgoing_thread_start(ms, NULL, main_channel);
    return true;
}

bool gw_migrate_cancel(MigrationState *ms, GError **errp)
{
    Outgoing *out = &ms->out;
    g_autoptr(GwChannel) ch = NULL;
    MigrationStatus old;

    pthread_mutex_lock(&ms->lock);
    old = out->status;
    if (!outgoing_status_is_running(old) || old == MIGRATION_STATUS_CANCELLING) {
        pthread_mutex_unlock(&ms->lock);
        return true;
    }
    if (outgoing_status_is_postcopy(old)) {
        pthread_mutex_unlock(&ms->lock);
        return gw_fail(errp, GW_ERROR_GENERIC, "Postcopy migration in progress, cannot cancel.");
    }
    __atomic_store_n(&out->cancel_requested, true, __ATOMIC_RELEASE);
    out->status = MIGRATION_STATUS_CANCELLING;
    gw_cancel_trigger(out->cancel);
    ch = out->channel ? gw_channel_ref(out->channel) : NULL;
    pthread_cond_broadcast(&out->cond);
    pthread_mutex_unlock(&ms->lock);

    if (ms->host.status_changed) {
        ms->host.status_changed(ms->host_opaque, false, MIGRATION_STATUS_CANCELLING);
    }
    if (ch) {
        gw_channel_shutdown(ch); /* frees a write or read that a silent peer holds up */
    }
    return true;
}

bool gw_migrate_continue(MigrationState *ms, MigrationStatus state, GError **errp)
{
    LOCK_GUARD(&ms->lock);

    if (ms->out.status != state) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Migration not in expected state: %s",
                       gw_migration_status_name(ms->out.status));
    }
    ms->out.continue_requested = true;
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

bool gw_migrate_start_postcopy(MigrationState *ms, GError **errp)
{
    if (!gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Enable postcopy with migrate_set_capability before "
                       "the start of migration");
    }
    LOCK_GUARD(&ms->lock);

    if (ms->out.status == MIGRATION_STATUS_NONE) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Postcopy must be started after migration has been started");
    }
    __atomic_store_n(&ms->out.postcopy_requested, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

/* ms->lock held. Near the end of a migration the status is still that of a postcopy, and its state
 * is gone already. */
static void outgoing_shut_channels(MigrationState *ms)
{
    if (ms->out.channel) {
        gw_channel_shutdown(ms->out.channel);
    }
    if (ms->postcopy_source && ms->postcopy_source->preempt.channel) {
        gw_channel_shutdown(ms->postcopy_source->preempt.channel);
    }
}

/* The source's half of migrate-pause; false if it is not in postcopy. */
static bool pause_outgoing(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    if (ms->out.status != MIGRATION_STATUS_POSTCOPY_ACTIVE &&
        ms->out.status != MIGRATION_STATUS_POSTCOPY_DEVICE &&
        ms->out.status != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        return false;
    }
    ms->out.pause_requested = true;
    outgoing_shut_channels(ms);
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

bool gw_migrate_pause(MigrationState *ms, GError **errp)
{
    return pause_outgoing(ms) || incoming_pause(ms) ||
           gw_fail(errp, GW_ERROR_GENERIC, "migrate-pause is currently only supported during "
                   "postcopy-active or postcopy-recover state");
}

void outgoing_quit(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    ms->out.quit = true;
    if (ms->out.cancel) {
        gw_cancel_trigger(ms->out.cancel); /* a recovery may be connecting */
    }
    outgoing_shut_channels(ms);
    pthread_cond_broadcast(&ms->out.cond);
}

void gw_migration_wait(MigrationState *ms)
{
    pthread_mutex_lock(&ms->lock);
    while (ms->out.thread_running) {
        pthread_cond_wait(&ms->out.cond, &ms->lock);
    }
    pthread_mutex_unlock(&ms->lock);
}
