/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes and frees a MigrationState; the real clock. Main thread of the embedding program.
 */
#include "state.h"

#include <string.h>
#include <time.h>

#include "dirty-rate.h"
#include "dirty-share.h"
#include "dirty-limit.h"
#include "error.h"
#include "free-page.h"
#include "migration/fault.h"
#include "outgoing.h"

static int64_t real_now_ns(void *opaque)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool real_wait_until(void *opaque, pthread_cond_t *cond, pthread_mutex_t *mutex,
                            int64_t deadline_ns)
{
    return cond_wait_until(cond, mutex, deadline_ns);
}

static const MigrationClockOps real_clock = {
    .size = sizeof(MigrationClockOps),
    .now_ns = real_now_ns,
    .wait_until = real_wait_until,
};

static bool settings_check(const MigrationSettings *s, GError **errp)
{
    const MigrationHostOps *h = s->host;

    if (s->size != sizeof(*s) || !h || h->size != sizeof(*h)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "gw_migration_new: settings or host ops have an unknown size; rebuild "
                       "against the installed headers");
    }
    if (!h->lock || !h->unlock || !h->stop_guest || !h->start_guest || !h->run_state ||
        !h->set_run_state || !h->is_running) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "gw_migration_new: a needed host operation is missing (lock, unlock, "
                       "stop_guest, start_guest, run_state, set_run_state, is_running)");
    }
    if (!s->machine_name || strlen(s->machine_name) > 255) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "gw_migration_new: machine_name must have 0 to 255 bytes");
    }
    return true;
}

MigrationState *gw_migration_new(const MigrationSettings *s, GError **errp)
{
    MigrationState *ms;

    if (!settings_check(s, errp)) {
        return NULL;
    }
    ms = g_new0(MigrationState, 1);
    ms->machine_name = g_strdup(s->machine_name);
    memcpy(ms->uuid, s->uuid, sizeof(ms->uuid));
    ms->has_uuid = s->has_uuid;
    ms->host = *s->host;
    ms->host_opaque = s->host_opaque;
    ms->nr_vcpus = s->nr_vcpus;
    if (s->dirty_log) {
        ms->dirty_share = dirty_share_new(s->dirty_log, s->dirty_log_opaque);
        ms->dirty_log_opaque =
            dirty_share_ops(ms->dirty_share, DIRTY_USER_MIGRATION, &ms->dirty_log);
        ms->has_dirty_log = true;
    }
    ms->clock = s->clock ? *s->clock : real_clock;
    ms->clock_opaque = s->clock_opaque;
    ms->fault_ops = gw_fault_source_userfaultfd();
    pthread_mutex_init(&ms->lock, NULL);
    pthread_mutex_init(&ms->in.rp_lock, NULL);
    cond_init_monotonic(&ms->out.cond);
    cond_init_monotonic(&ms->in.cond);
    option_values_init(&ms->options);
    free_page_init(ms);
    save_registry_init(&ms->registry);
    ms->blockers = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    ram_register(ms);
    global_state_register(ms, NULL);
    ms->dirty_rate = dirty_rate_new(ms);
    ms->dirty_limit = dirty_limit_new(ms);
    return ms;
}

void gw_migration_stop(MigrationState *ms)
{
    gw_migrate_cancel(ms, NULL);
    outgoing_quit(ms);
    incoming_abort(ms);
    gw_migration_wait(ms);
    gw_incoming_wait(ms);
    g_clear_pointer(&ms->out.thread, g_thread_join);
    g_clear_pointer(&ms->in.thread, g_thread_join);
    dirty_rate_stop(ms->dirty_rate);
    dirty_limit_stop(ms->dirty_limit);
}

void gw_migration_free(MigrationState *ms)
{
    if (!ms) {
        return;
    }
    gw_migration_stop(ms);
    dirty_rate_free(ms->dirty_rate);
    dirty_limit_free(ms->dirty_limit);
    dirty_share_free(ms->dirty_share);
    ram_unregister(ms);
    save_registry_clear(&ms->registry);
    option_values_clear(&ms->options);
    free_page_destroy(ms);
    g_clear_error(&ms->out.error);
    g_clear_error(&ms->in.error);
    g_clear_pointer(&ms->out.cancel, gw_cancel_free);
    g_clear_pointer(&ms->in.addresses, g_ptr_array_unref);
    g_hash_table_unref(ms->blockers);
    pthread_mutex_destroy(&ms->lock);
    pthread_mutex_destroy(&ms->in.rp_lock);
    pthread_cond_destroy(&ms->out.cond);
    pthread_cond_destroy(&ms->in.cond);
    g_free(ms->global_state);
    g_free(ms->machine_name);
    g_free(ms);
}
