/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A MigrationState without RAM, guest or channels, for tests of sections: the machine's operations
 * only write down that they were called. Sections of RAM and run state are taken out, so that
 * a test registers exactly what it wants to see in the stream.
 */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include <string.h>

#include "savevm.h"
#include "state.h"

typedef struct Engine {
    MigrationState *ms;
    bool locked;   /* the machine lock; one thread uses a fixture */
    bool open;     /* a transaction is open */
    bool batched;  /* devices are applied inside one */
    bool decoding; /* reads of the memory map are forbidden */
    bool fail_commit;
    GString *log;  /* "begin commit " and what devices add; NULL: nobody looks */
} Engine;

static inline void engine_log(Engine *e, const char *what)
{
    if (e->log) {
        g_string_append_printf(e->log, "%s ", what);
    }
}

static inline void engine_lock(void *opaque)
{
    Engine *e = opaque;

    g_assert_false(e->locked);
    e->locked = true;
}

static inline void engine_unlock(void *opaque)
{
    Engine *e = opaque;

    g_assert_true(e->locked);
    g_assert_false(e->open);
    e->locked = false;
}

static inline void engine_begin(void *opaque)
{
    Engine *e = opaque;

    g_assert_true(e->locked);
    e->open = true;
    engine_log(e, "begin");
}

static inline bool engine_commit(void *opaque, GError **errp)
{
    Engine *e = opaque;

    g_assert_true(e->open);
    e->open = false;
    engine_log(e, "commit");
    if (e->fail_commit) {
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "no memory slot is left");
    }
    return !e->fail_commit;
}

static inline void engine_abort(void *opaque)
{
    Engine *e = opaque;

    g_assert_true(e->open);
    e->open = false;
    engine_log(e, "abort");
}

static inline void engine_forbid(void *opaque, bool on)
{
    Engine *e = opaque;

    g_assert_true(e->locked);
    e->decoding = on;
}

static inline bool engine_stop(void *opaque, const char *run_state, GError **errp)
{
    return true;
}

static inline bool engine_start(void *opaque, GError **errp)
{
    return true;
}

static inline const char *engine_run_state(void *opaque)
{
    return "running";
}

static inline bool engine_set_run_state(void *opaque, const char *run_state, GError **errp)
{
    return true;
}

static inline bool engine_is_running(void *opaque)
{
    return false;
}

/* `machine` is what the configuration section says. */
static inline Engine *engine_new(const char *machine, const uint8_t *uuid)
{
    static const MigrationHostOps ops = {
        .size = sizeof(ops),
        .lock = engine_lock,
        .unlock = engine_unlock,
        .stop_guest = engine_stop,
        .start_guest = engine_start,
        .run_state = engine_run_state,
        .set_run_state = engine_set_run_state,
        .is_running = engine_is_running,
        .transaction_begin = engine_begin,
        .transaction_commit = engine_commit,
        .transaction_abort = engine_abort,
        .forbid_map_reads = engine_forbid,
    };
    Engine *e = g_new0(Engine, 1);
    MigrationSettings settings = {
        .size = sizeof(settings),
        .machine_name = machine,
        .has_uuid = uuid != NULL,
        .host = &ops,
        .host_opaque = e,
    };
    GError *err = NULL;

    if (uuid) {
        memcpy(settings.uuid, uuid, sizeof(settings.uuid));
    }
    e->ms = gw_migration_new(&settings, &err);
    g_assert_no_error(err);
    save_registry_clear(&e->ms->registry);
    save_registry_init(&e->ms->registry);
    return e;
}

static inline void engine_free(Engine *e)
{
    gw_migration_free(e->ms);
    if (e->log) {
        g_string_free(e->log, TRUE);
    }
    g_free(e);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Engine, engine_free)

#endif
