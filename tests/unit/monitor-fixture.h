/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine without vCPUs and a QMP session in memory, for tests of the monitors: what the session
 * writes is kept as JSON values. Real engine, real run state; nothing listens anywhere.
 */
#ifndef TESTS_MONITOR_FIXTURE_H
#define TESTS_MONITOR_FIXTURE_H

#include <string.h>
#include <unistd.h>

#include "boards.h"
#include "fd-table.h"
#include "hmp.h"
#include "machine.h"
#include "migration-host.h"
#include "monitor-set.h"
#include "qapi.h"
#include "qmp.h"

typedef struct Fixture {
    Machine m;
    MachineConfig *config;
    MonitorSet *set;
    QmpSession *s;
    GString *out;
    int fd; /* what take_fd() gives next, -1: none */
} Fixture;

static inline void fixture_write(void *opaque, const char *buf, size_t len)
{
    g_string_append_len(((Fixture *)opaque)->out, buf, (gssize)len);
}

static inline int fixture_take_fd(void *opaque)
{
    Fixture *f = opaque;
    int fd = f->fd;

    f->fd = -1;
    return fd;
}

static const QmpSink fixture_sink = {fixture_write, fixture_take_fd};

static inline void fixture_setup(Fixture *f, gconstpointer data)
{
    MigrationSettings settings = {.size = sizeof(settings), .machine_name = "none",
                                  .host = &machine_migration_host_ops, .host_opaque = &f->m};
    g_autoptr(GError) err = NULL;

    machine_set_boards(hw_boards);
    f->config = machine_config_new();
    f->config->name = g_strdup("tester");
    f->m.config = f->config;
    f->m.loop = g_main_loop_new(NULL, FALSE);
    pthread_mutex_init(&f->m.lock, NULL);
    pthread_mutex_init(&f->m.clock_lock, NULL);
    f->m.devices = g_ptr_array_new_with_free_func(g_free);
    f->m.fds = fd_table_new();
    f->m.memory = memory_map_new();
    f->m.run_state = runstate_new(&f->m, RUN_STATE_PRELAUNCH);
    machine_listeners_init(&f->m);
    f->m.migration = gw_migration_new(&settings, &err);
    g_assert_no_error(err);
    f->set = monitor_set_new(&f->m);
    monitor_set_attach(f->set);
    f->out = g_string_new(NULL);
    f->fd = -1;
    f->s = qmp_session_new(f->set, &fixture_sink, f, false);
}

static inline void fixture_teardown(Fixture *f, gconstpointer data)
{
    qmp_session_free(f->s);
    gw_migration_free(f->m.migration);
    monitor_set_free(f->set);
    g_string_free(f->out, TRUE);
    machine_listeners_clear(&f->m);
    runstate_free(f->m.run_state);
    memory_map_free(f->m.memory);
    fd_table_free(f->m.fds);
    g_ptr_array_unref(f->m.devices);
    pthread_mutex_destroy(&f->m.lock);
    pthread_mutex_destroy(&f->m.clock_lock);
    g_main_loop_unref(f->m.loop);
    machine_config_free(f->config);
}

/* What was written since the last call, as an array of JSON values; caller puts. */
static inline json_object *fixture_take(Fixture *f)
{
    json_object *list = jo_array();
    g_auto(GStrv) lines = g_strsplit(f->out->str, "\r\n", -1);

    for (char **l = lines; *l && **l; l++) {
        json_object *o = json_tokener_parse(*l);

        g_assert_nonnull(o);
        json_object_array_add(list, o);
    }
    g_string_truncate(f->out, 0);
    return list;
}

/* Sends raw bytes and returns everything that came back. */
static inline json_object *fixture_send(Fixture *f, const char *text)
{
    qmp_session_input(f->s, text, strlen(text));
    return fixture_take(f);
}

/* Greeting and negotiation. */
static inline void fixture_negotiate(Fixture *f)
{
    qmp_session_open(f->s);
    json_object_put(fixture_send(f, "{\"execute\":\"qmp_capabilities\"}\n"));
    g_assert_true(f->s->negotiated);
}

/* Sends one command and returns its response (events before it are dropped); caller puts. */
static inline json_object *fixture_command(Fixture *f, const char *text)
{
    json_object *list = fixture_send(f, text), *last;
    size_t n = json_object_array_length(list);

    g_assert_cmpuint(n, >, 0);
    last = json_object_get(json_object_array_get_idx(list, n - 1));
    json_object_put(list);
    return last;
}

static inline void assert_error(json_object *response, const char *class, const char *desc)
{
    json_object *e = jo_get(response, "error");

    if (!e) {
        g_error("no error in %s", json_object_to_json_string(response));
    }
    g_assert_cmpstr(jo_get_str(e, "class"), ==, class);
    g_assert_cmpstr(jo_get_str(e, "desc"), ==, desc);
}

#endif
