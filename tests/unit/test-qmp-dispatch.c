/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP dispatch: the error texts and classes that clients match on, negotiation, exec-oob, events,
 * descriptors. */
#include "monitor-fixture.h"

#include <fcntl.h>

typedef struct Case {
    const char *request;
    const char *desc;  /* NULL: succeeds */
    const char *class; /* NULL: GenericError */
} Case;

#define CMD(name, args) "{\"execute\":\"" name "\",\"arguments\":" args "}\n"
#define CAPS(list) CMD("migrate-set-capabilities", "{\"capabilities\":" list "}")
#define PARAMS(members) CMD("migrate-set-parameters", "{" members "}")
#define CHANNELS(list) CMD("migrate", "{\"channels\":" list "}")
#define SOCK(rest) "{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\"," rest "}}"

static const Case cases[] = {
    {"{\"foo\":1}\n", "QMP input member 'foo' is unexpected", NULL},
    {"{\"execute\":1}\n", "QMP input member 'execute' must be a string", NULL},
    {"{\"id\":1}\n", "QMP input lacks member 'execute'", NULL},
    {"[1]\n", "QMP input must be a JSON object", NULL},
    {CMD("query-status", "[]"), "QMP input member 'arguments' must be an object", NULL},
    {CMD("stop", "null"), "QMP input member 'arguments' must be an object", NULL},
    {"{\"exec-oob\":\"query-status\"}\n", "QMP input member 'exec-oob' is unexpected", NULL},
    {CMD("nope", "{}"), "The command nope has not been found", "CommandNotFound"},
    {CMD("qmp_capabilities", "{}"),
     "Capabilities negotiation is already complete, command ignored", "CommandNotFound"},
    {CMD("query-status", "{\"x\":1}"), "Parameter 'x' is unexpected", NULL},
    {CMD("pmemsave", "{\"val\":0,\"size\":4}"), "Parameter 'filename' is missing", NULL},
    {CMD("pmemsave", "{\"val\":\"0\",\"size\":4,\"filename\":\"\"}"),
     "Invalid parameter type for 'val', expected: integer", NULL},
    {CMD("pmemsave", "{\"val\":1.0,\"size\":4,\"filename\":\"\"}"),
     "Invalid parameter type for 'val', expected: integer", NULL},
    {CMD("pmemsave", "{\"val\":18446744073709551615,\"size\":4,\"filename\":\"\"}"),
     "Invalid parameter type for 'val', expected: integer", NULL},
    {CMD("pmemsave", "{\"val\":0,\"size\":4,\"filename\":5}"),
     "Invalid parameter type for 'filename', expected: string", NULL},
    {CMD("pmemsave", "{\"val\":0,\"size\":4,\"filename\":\"/nonexistent/x\"}"),
     "Could not open '/nonexistent/x': No such file or directory", NULL},
    {CMD("pmemsave", "{\"val\":-1,\"size\":-4,\"filename\":\"/nonexistent/x\"}"),
     "Invalid addr 0xffffffffffffffff/size -4 specified", NULL},
    {CMD("memsave", "{\"val\":0,\"size\":4,\"filename\":\"/x\",\"cpu-index\":9}"),
     "Parameter 'cpu-index' expects a CPU number", NULL},
    {CAPS("[{\"capability\":\"events\"}]"), "Parameter 'capabilities[0].state' is missing", NULL},
    {CAPS("{}"), "Invalid parameter type for 'capabilities', expected: array", NULL},
    {CAPS("[1]"), "Invalid parameter type for 'capabilities[0]', expected: object", NULL},
    {CAPS("[{\"capability\":\"events\",\"state\":true,\"x\":1}]"),
     "Parameter 'capabilities[0].x' is unexpected", NULL},
    {CAPS("[{\"capability\":5,\"state\":true}]"),
     "Invalid parameter type for 'capabilities[0].capability', expected: string", NULL},
    {CAPS("[{\"capability\":\"bogus\",\"state\":true}]"),
     "Parameter 'capability' does not accept value 'bogus'", NULL},
    {CAPS("[{\"capability\":\"events\",\"state\":\"on\"}]"),
     "Invalid parameter type for 'capabilities[0].state', expected: boolean", NULL},
    {CAPS("[{\"capability\":\"switchover-ack\",\"state\":true}]"),
     "Capability 'switchover-ack' requires capability 'return-path'", NULL},
    {CAPS("[{\"capability\":\"events\",\"state\":true}]"), NULL, NULL},
    {PARAMS("\"bogus\":1"), "Parameter 'bogus' is unexpected", NULL},
    {PARAMS("\"downtime-limit\":\"1\""), "Parameter 'downtime-limit' expects uint64", NULL},
    {PARAMS("\"downtime-limit\":1.5"), "Parameter 'downtime-limit' expects uint64", NULL},
    {PARAMS("\"downtime-limit\":2000001"),
     "Option downtime-limit expects an integer in the range of 0 to (2000 * 1000) ms", NULL},
    {PARAMS("\"announce-step\":0"), "Option announce-step expects a value between 0 and 10000",
     NULL},
    {PARAMS("\"announce-rounds\":1001"),
     "Option announce-rounds expects a value between 0 and 1000", NULL},
    {PARAMS("\"tls-creds\":1"), "Invalid parameter type for 'tls-creds', expected: StrOrNull",
     NULL},
    {PARAMS("\"tls-creds\":null,\"max-bandwidth\":-1"), NULL, NULL},
    {PARAMS("\"max-bandwidth\":9223372036853727232"), NULL, NULL},
    {CMD("migrate", "{}"), "need either 'uri' or 'channels' argument", NULL},
    {CMD("migrate", "{\"uri\":\"tcp:h:1\",\"channels\":[]}"),
     "need either 'uri' or 'channels' argument", NULL},
    {CMD("migrate", "{\"uri\":\"bogus:\"}"), "unknown migration protocol: bogus:", NULL},
    {CMD("migrate", "{\"uri\":\"127.0.0.1:1\"}"), "unknown migration protocol: 127.0.0.1:1", NULL},
    {CMD("migrate", "{\"uri\":\"tcp:\"}"), "error parsing address ''", NULL},
    {CMD("migrate", "{\"uri\":\"tcp:nohost\"}"), "error parsing address 'nohost'", NULL},
    {CMD("migrate", "{\"uri\":\"tcp:h:1\",\"resume\":true}"),
     "Cannot resume if there is no paused migration", NULL},
    {CHANNELS("[]"), "Channel list has no main entry", NULL},
    {CHANNELS("[" SOCK("\"type\":\"unix\",\"path\":\"/a\"") ","
              SOCK("\"type\":\"unix\",\"path\":\"/b\"") "]"),
     "Channel list has more than one main entry", NULL},
    {CHANNELS("[" SOCK("\"type\":\"bogus\"") "]"), "Parameter 'type' does not accept value 'bogus'",
     NULL},
    {CHANNELS("[" SOCK("\"type\":\"unix\"") "]"),
     "Parameter 'channels[0].addr.path' is missing", NULL},
    {CHANNELS("[" SOCK("\"type\":\"unix\",\"path\":\"/a\",\"host\":\"h\"") "]"),
     "Parameter 'channels[0].addr.host' is unexpected", NULL},
    {CHANNELS("[{\"channel-type\":\"main\",\"addr\":{\"transport\":\"exec\",\"args\":[]}}]"),
     "exec: 'args' is empty: give a program to run", NULL},
    {CMD("migrate-continue", "{\"state\":\"pre-switchover\"}"),
     "Migration not in expected state: none", NULL},
    {CMD("migrate-continue", "{\"state\":\"bogus\"}"),
     "Parameter 'state' does not accept value 'bogus'", NULL},
    {CMD("migrate_cancel", "{}"), NULL, NULL},
    {CMD("migrate-incoming", "{\"uri\":\"tcp:127.0.0.1:0\"}"),
     "'-incoming' was not specified on the command line", NULL},
    {CMD("migrate-start-postcopy", "{}"),
     "Enable postcopy with migrate_set_capability before the start of migration", NULL},
    {CMD("migrate-pause", "{}"), "migrate-pause is currently only supported during postcopy-active "
     "or postcopy-recover state", NULL},
    {CMD("migrate-recover", "{}"), "Parameter 'uri' is missing", NULL},
    {CMD("migrate-recover", "{\"uri\":\"tcp:127.0.0.1:0\"}"),
     "Migrate recover can only be run when postcopy is paused.", NULL},
    {CMD("yank", "{}"), "Parameter 'instances' is missing", NULL},
    {CMD("yank", "{\"instances\":[]}"), NULL, NULL},
    {CMD("yank", "{\"instances\":[{\"type\":\"bogus\"}]}"),
     "Parameter 'type' does not accept value 'bogus'", NULL},
    {CMD("yank", "{\"instances\":[{\"type\":\"chardev\"}]}"),
     "Parameter 'instances[0].id' is missing", NULL},
    {CMD("yank", "{\"instances\":[{\"type\":\"chardev\",\"id\":\"x\"}]}"), "Instance not found",
     "DeviceNotFound"},
    {CMD("yank", "{\"instances\":[{\"type\":\"migration\",\"id\":\"x\"}]}"),
     "Parameter 'instances[0].id' is unexpected", NULL},
    {CMD("yank", "{\"instances\":[{\"type\":\"migration\"}]}"), "Instance not found",
     "DeviceNotFound"},
    {CMD("set-action", "{}"), NULL, NULL},
    {CMD("set-action", "{\"panic\":\"pause\",\"watchdog\":\"none\"}"), NULL, NULL},
    {CMD("set-action", "{\"shutdown\":\"bogus\"}"),
     "Parameter 'shutdown' does not accept value 'bogus'", NULL},
    {CMD("getfd", "{\"fdname\":\"a\"}"), "No file descriptor supplied via SCM_RIGHTS", NULL},
    {CMD("add-fd", "{}"), "No file descriptor supplied via SCM_RIGHTS", NULL},
    {CMD("closefd", "{\"fdname\":\"a\"}"), "File descriptor named 'a' not found", NULL},
    {CMD("remove-fd", "{\"fdset-id\":3}"), "File descriptor named 'fdset-id:3' not found", NULL},
    {CMD("remove-fd", "{\"fdset-id\":3,\"fd\":3}"),
     "File descriptor named 'fdset-id:3, fd:3' not found", NULL},
    {CMD("remove-fd", "{\"fdset-id\":4294967299}"),
     "File descriptor named 'fdset-id:4294967299' not found", NULL},
    {CMD("qom-list", "{\"path\":\"/machine/nope\"}"), "Device '/machine/nope' not found",
     "DeviceNotFound"},
    {CMD("qom-list-properties", "{\"typename\":\"nope\"}"), "Class 'nope' not found",
     "DeviceNotFound"},
    {CMD("device-list-properties", "{\"typename\":\"virtio-blk-pci\"}"),
     "Device 'virtio-blk-pci' not found", "DeviceNotFound"},
    {CMD("device-list-properties", "{\"typename\":\"device\"}"),
     "Parameter 'typename' expects a non-abstract device type", NULL},
    {CMD("query-command-line-options", "{\"option\":\"nope\"}"), "invalid option name: nope", NULL},
    {CMD("human-monitor-command", "{\"command-line\":\"info status\",\"cpu-index\":7}"),
     "Parameter 'cpu-index' expects a CPU number", NULL},
};

static void test_cases(Fixture *f, gconstpointer data)
{
    fixture_negotiate(f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        json_object *r = fixture_command(f, cases[i].request);

        g_test_message("%s", cases[i].request);
        if (cases[i].desc) {
            assert_error(r, cases[i].class ? cases[i].class : "GenericError", cases[i].desc);
        } else if (!jo_get(r, "return")) {
            g_error("%s: %s", cases[i].request, json_object_to_json_string(r));
        }
        json_object_put(r);
    }
}

static void test_negotiation(Fixture *f, gconstpointer data)
{
    json_object *list, *r;

    qmp_session_open(f->s);
    list = fixture_take(f);
    g_assert_cmpuint(json_object_array_length(list), ==, 1);
    json_object_put(list);
    r = fixture_command(f, CMD("query-status", "{}"));
    assert_error(r, "CommandNotFound",
                 "Expecting capabilities negotiation with 'qmp_capabilities'");
    json_object_put(r);
    r = fixture_command(f, CMD("qmp_capabilities", "{\"enable\":[\"bogus\"]}"));
    assert_error(r, "GenericError", "Parameter 'enable[0]' does not accept value 'bogus'");
    json_object_put(r);
    r = fixture_command(f, CMD("qmp_capabilities", "{\"enable\":[\"oob\"]}"));
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);
    r = fixture_command(f, "{\"exec-oob\":\"query-status\",\"id\":3}\n");
    assert_error(r, "GenericError", "The command query-status does not support OOB");
    json_object_put(r);
    r = fixture_command(f, "{\"exec-oob\":\"migrate-pause\",\"id\":4}\n");
    assert_error(r, "GenericError", "migrate-pause is currently only supported during "
                 "postcopy-active or postcopy-recover state");
    g_assert_cmpint(json_object_get_int(jo_get(r, "id")), ==, 4);
    json_object_put(r);
    r = fixture_command(f, "{\"exec-oob\":\"a\",\"execute\":\"b\"}\n");
    assert_error(r, "GenericError", "QMP input member 'execute' clashes with 'exec-oob'");
    json_object_put(r);
}

/* Parameters are set all or none, and read back as they were set. */
static void test_parameters(Fixture *f, gconstpointer data)
{
    json_object *r, *p;

    fixture_negotiate(f);
    json_object_put(fixture_command(f, PARAMS("\"max-bandwidth\":5,\"downtime-limit\":9999999")));
    r = fixture_command(f, CMD("query-migrate-parameters", "{}"));
    g_assert_cmpint(json_object_get_int64(jo_get(jo_get(r, "return"), "max-bandwidth")), ==,
                    134217728);
    json_object_put(r);
    json_object_put(fixture_command(f, PARAMS("\"max-bandwidth\":-1,\"tls-creds\":\"x\"")));
    json_object_put(fixture_command(f, PARAMS("\"tls-hostname\":null")));
    r = fixture_command(f, CMD("query-migrate-parameters", "{}"));
    p = jo_get(r, "return");
    g_assert_true(json_object_get_uint64(jo_get(p, "max-bandwidth")) == UINT64_MAX);
    g_assert_cmpstr(jo_get_str(p, "tls-creds"), ==, "x");
    g_assert_cmpstr(jo_get_str(p, "tls-hostname"), ==, "");
    json_object_put(r);
}

static gpointer emit_events(gpointer opaque)
{
    Fixture *f = opaque;

    for (int i = 0; i < 1000; i++) {
        json_object *data = jo_new();

        jo_int(data, "pass", i);
        monitor_event(f->set, "MIGRATION_PASS", data);
    }
    return NULL;
}

/* Events of another thread arrive all, in order, stamped, and before the response that follows. */
static void test_events(Fixture *f, gconstpointer data)
{
    GThread *thread;
    json_object *list;

    fixture_negotiate(f);
    thread = g_thread_new("events", emit_events, f);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    g_thread_join(thread);
    list = fixture_send(f, CMD("query-name", "{}"));
    g_assert_cmpuint(json_object_array_length(list), >, 0);
    json_object_put(list);

    emit_events(f);
    list = fixture_send(f, CMD("query-name", "{}"));
    g_assert_cmpuint(json_object_array_length(list), ==, 1001);
    for (int i = 0; i < 1000; i++) {
        json_object *e = json_object_array_get_idx(list, i), *stamp = jo_get(e, "timestamp");

        g_assert_cmpstr(jo_get_str(e, "event"), ==, "MIGRATION_PASS");
        g_assert_cmpint(json_object_get_int(jo_get(jo_get(e, "data"), "pass")), ==, i);
        g_assert_cmpint(json_object_get_int64(jo_get(stamp, "seconds")), >, 0);
        g_assert_cmpint(json_object_get_int64(jo_get(stamp, "microseconds")), <, 1000000);
    }
    json_object_put(list);
}

static void test_run_state(Fixture *f, gconstpointer data)
{
    json_object *list, *r;

    fixture_negotiate(f);
    list = fixture_send(f, CMD("cont", "{}") CMD("stop", "{}") CMD("stop", "{}")
                        CMD("query-status", "{}"));
    g_assert_cmpuint(json_object_array_length(list), ==, 6);
    g_assert_cmpstr(jo_get_str(json_object_array_get_idx(list, 0), "event"), ==, "RESUME");
    g_assert_cmpstr(jo_get_str(json_object_array_get_idx(list, 2), "event"), ==, "STOP");
    r = jo_get(json_object_array_get_idx(list, 5), "return");
    g_assert_cmpstr(jo_get_str(r, "status"), ==, "paused");
    g_assert_false(json_object_get_boolean(jo_get(r, "running")));
    json_object_put(list);

    /* stop does not lift the reason for which the guest is stopped */
    runstate_set(f->m.run_state, RUN_STATE_POSTMIGRATE, NULL);
    json_object_put(fixture_send(f, CMD("stop", "{}")));
    r = fixture_command(f, CMD("query-status", "{}"));
    g_assert_cmpstr(jo_get_str(jo_get(r, "return"), "status"), ==, "postmigrate");
    json_object_put(r);
}

/* What is not named stays. */
static void test_actions(Fixture *f, gconstpointer data)
{
    fixture_negotiate(f);
    json_object_put(fixture_send(f, CMD("set-action", "{\"shutdown\":\"pause\"}")));
    g_assert_true(f->m.no_shutdown);
    g_assert_false(f->m.no_reboot);
    json_object_put(fixture_send(f, CMD("set-action", "{\"reboot\":\"shutdown\"}")));
    g_assert_true(f->m.no_shutdown);
    g_assert_true(f->m.no_reboot);
    json_object_put(fixture_send(f, CMD("set-action", "{\"reboot\":\"reset\","
                                                      "\"shutdown\":\"poweroff\"}")));
    g_assert_false(f->m.no_shutdown);
    g_assert_false(f->m.no_reboot);
}

static void test_descriptors(Fixture *f, gconstpointer data)
{
    json_object *r, *sets;

    fixture_negotiate(f);
    f->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = fixture_command(f, CMD("getfd", "{\"fdname\":\"1a\"}"));
    assert_error(r, "GenericError", "Parameter 'fdname' expects a name not starting with a digit");
    json_object_put(r);
    f->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = fixture_command(f, CMD("getfd", "{\"fdname\":\"a\"}"));
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);
    r = fixture_command(f, CMD("closefd", "{\"fdname\":\"a\"}"));
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);

    f->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = fixture_command(f, CMD("add-fd", "{\"fdset-id\":1,\"opaque\":\"note\"}"));
    g_assert_cmpint(json_object_get_int(jo_get(jo_get(r, "return"), "fdset-id")), ==, 1);
    json_object_put(r);
    r = fixture_command(f, CMD("query-fdsets", "{}"));
    sets = jo_get(r, "return");
    g_assert_cmpuint(json_object_array_length(sets), ==, 1);
    json_object_put(r);
    r = fixture_command(f, CMD("remove-fd", "{\"fdset-id\":1}"));
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);
    r = fixture_command(f, CMD("query-fdsets", "{}"));
    g_assert_cmpuint(json_object_array_length(jo_get(r, "return")), ==, 0);
    json_object_put(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) \
    g_test_add("/qmp-dispatch/" name, Fixture, NULL, fixture_setup, fn, fixture_teardown)
    ADD("cases", test_cases);
    ADD("negotiation", test_negotiation);
    ADD("parameters", test_parameters);
    ADD("events", test_events);
    ADD("run-state", test_run_state);
    ADD("actions", test_actions);
    ADD("descriptors", test_descriptors);
    return g_test_run();
}
