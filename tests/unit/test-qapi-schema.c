/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The schema, the option table, the handlers and the replies agree. */
#include "monitor-fixture.h"

#include "monitor-info.h"
#include "qmp-handlers.h"
#include "runstate.h"

static json_object *schema; /* the reply of query-qmp-schema */

static json_object *entity(const char *name)
{
    for (size_t i = 0; i < json_object_array_length(schema); i++) {
        json_object *o = json_object_array_get_idx(schema, i);

        if (strcmp(jo_get_str(o, "name"), name) == 0) {
            return o;
        }
    }
    g_error("%s is not in the schema", name);
}

static json_object *type_of_member(json_object *object, const char *name)
{
    json_object *members = jo_get(object, "members");

    for (size_t i = 0; i < json_object_array_length(members); i++) {
        json_object *m = json_object_array_get_idx(members, i);

        if (strcmp(jo_get_str(m, "name"), name) == 0) {
            return entity(jo_get_str(m, "type"));
        }
    }
    g_error("no member %s", name);
}

static json_object *element_of(json_object *array)
{
    g_assert_cmpstr(jo_get_str(array, "meta-type"), ==, "array");
    return entity(jo_get_str(array, "element-type"));
}

static const QapiCommand *command(const char *name)
{
    return &qapi_commands[qapi_command_by_name(name)];
}

/* Sends a command without arguments and checks its reply against the schema. */
static json_object *query(Fixture *f, const char *name)
{
    g_autofree char *text = g_strdup_printf("{\"execute\":\"%s\"}\n", name);
    g_autoptr(GError) err = NULL;
    json_object *r = fixture_command(f, text), *ret = json_object_get(jo_get(r, "return"));

    if (!ret) {
        g_error("%s: %s", name, json_object_to_json_string(r));
    }
    json_object_put(r);
    if (!qapi_check(command(name)->ret, ret, name, &err)) {
        g_error("%s: %s: %s", name, err->message, json_object_to_json_string(ret));
    }
    return ret;
}

static void setup(Fixture *f, gconstpointer data)
{
    fixture_setup(f, data);
    fixture_negotiate(f);
    schema = query(f, "query-qmp-schema");
}

static void teardown(Fixture *f, gconstpointer data)
{
    json_object_put(schema);
    fixture_teardown(f, data);
}

static void check_reference(json_object *o, const char *key)
{
    if (jo_get(o, key)) {
        entity(jo_get_str(o, key));
    }
}

static void check_references(json_object *list, const char *key)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        check_reference(json_object_array_get_idx(list, i), key);
    }
}

/* Every name that is referred to is there, and only once. */
static void test_closed(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t i = 0; i < json_object_array_length(schema); i++) {
        json_object *o = json_object_array_get_idx(schema, i);

        g_assert_true(g_hash_table_add(names, (gpointer)jo_get_str(o, "name")));
        check_reference(o, "arg-type");
        check_reference(o, "ret-type");
        check_reference(o, "element-type");
        check_references(jo_get(o, "members"), "type");
        check_references(jo_get(o, "variants"), "type");
    }
}

static void test_commands(Fixture *f, gconstpointer data)
{
    json_object *list = query(f, "query-commands");
    size_t n = 0;

    for (; qapi_commands[n].name; n++) {
        g_assert_true(qmp_handlers[n]);
        g_assert_cmpstr(jo_get_str(entity(qapi_commands[n].name), "meta-type"), ==, "command");
        g_assert_cmpstr(jo_get_str(json_object_array_get_idx(list, n), "name"), ==,
                        qapi_commands[n].name);
    }
    g_assert_null(qmp_handlers[n]);
    g_assert_cmpuint(json_object_array_length(list), ==, n);
    json_object_put(list);
}

/* No source file of monitor/ defines a handler that the schema does not have. */
static void test_no_stray_handlers(Fixture *f, gconstpointer data)
{
    g_autoptr(GRegex) re = g_regex_new("^bool qmp_(\\w+)\\(QmpCall \\*call, GError \\*\\*errp\\)$",
                                       G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GDir) dir = g_dir_open(MONITOR_SOURCE_DIR, 0, NULL);
    const char *name;
    unsigned found = 0, commands = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(MONITOR_SOURCE_DIR, name, NULL), *text = NULL;
        g_autoptr(GMatchInfo) match = NULL;

        if (!g_str_has_suffix(name, ".c") || !g_file_get_contents(path, &text, NULL, NULL)) {
            continue;
        }
        for (g_regex_match(re, text, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
            g_autofree char *word = g_match_info_fetch(match, 1);
            g_autofree char *dashed = g_strdelimit(g_strdup(word), "_", '-');

            if (qapi_command_by_name(word) < 0 && qapi_command_by_name(dashed) < 0) {
                g_error("%s: qmp_%s is no command of the schema", name, word);
            }
            found++;
        }
    }
    while (qapi_commands[commands].name) {
        commands++;
    }
    g_assert_cmpuint(found, ==, commands);
}

static void test_capabilities(Fixture *f, gconstpointer data)
{
    json_object *reply = query(f, "query-migrate-capabilities");
    json_object *args = entity(jo_get_str(entity("migrate-set-capabilities"), "arg-type"));
    json_object *words = jo_get(type_of_member(element_of(type_of_member(args, "capabilities")),
                                               "capability"), "values");

    g_assert_cmpuint(json_object_array_length(words), ==, MIGRATION_CAP__COUNT);
    g_assert_cmpuint(json_object_array_length(reply), ==, MIGRATION_CAP__COUNT);
    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        const char *name = gw_capability_desc(i)->name;
        json_object *o = json_object_array_get_idx(reply, i);

        g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(words, i)), ==, name);
        g_assert_cmpstr(jo_get_str(o, "capability"), ==, name);
        g_assert_false(json_object_get_boolean(jo_get(o, "state")));
    }
    json_object_put(reply);
}

/* One parameter: in the schema with the right type, in the reply with the default. */
static void check_parameter(const MigrationParamDesc *d, json_object *members, int i,
                            json_object *reply)
{
    json_object *m = json_object_array_get_idx(members, i), *v = jo_get(reply, d->name);
    json_object *type = entity(jo_get_str(m, "type"));

    g_assert_cmpstr(jo_get_str(m, "name"), ==, d->name);
    g_assert_true(json_object_object_get_ex(m, "default", NULL));
    g_assert_nonnull(v);
    switch (d->type) {
    case PARAM_STR:
        g_assert_cmpstr(jo_get_str(type, "meta-type"), ==, "alternate");
        g_assert_cmpstr(json_object_get_string(v), ==, "");
        break;
    case PARAM_ENUM:
        g_assert_cmpstr(json_object_get_string(v), ==, d->words[d->def]);
        for (int w = 0; d->words[w]; w++) {
            g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(
                                jo_get(type, "values"), w)), ==, d->words[w]);
        }
        break;
    case PARAM_BOOL:
        g_assert_cmpstr(jo_get_str(type, "name"), ==, "bool");
        g_assert_cmpint(json_object_get_boolean(v), ==, d->def);
        break;
    default:
        g_assert_cmpstr(jo_get_str(type, "name"), ==, "int");
        g_assert_cmpuint(json_object_get_uint64(v), ==, d->def);
    }
}

static void test_parameters(Fixture *f, gconstpointer data)
{
    json_object *reply = query(f, "query-migrate-parameters");
    const char *set = jo_get_str(entity("migrate-set-parameters"), "arg-type");
    json_object *members = jo_get(entity(set), "members");

    g_assert_cmpstr(set, ==, jo_get_str(entity("query-migrate-parameters"), "ret-type"));
    g_assert_cmpuint(json_object_array_length(members), ==, MIGRATION_PARAM__COUNT);
    g_assert_cmpint(json_object_object_length(reply), ==, MIGRATION_PARAM__COUNT);
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        check_parameter(gw_param_desc(i), members, i, reply);
    }
    json_object_put(reply);
}

/* Whatever a reply says can be set: management tools put it back after a migration. */
static void test_round_trip(Fixture *f, gconstpointer data)
{
    json_object *reply = query(f, "query-migrate-parameters"), *r;
    g_autofree char *text = g_strdup_printf(
        "{\"execute\":\"migrate-set-parameters\",\"arguments\":%s}\n",
        json_object_to_json_string(reply));

    r = fixture_command(f, text);
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);
    json_object_put(reply);
}

static void test_words(Fixture *f, gconstpointer data)
{
    json_object *status = type_of_member(entity(jo_get_str(entity("query-status"), "ret-type")),
                                         "status");
    json_object *migration = type_of_member(entity(jo_get_str(entity("MIGRATION"), "arg-type")),
                                            "status");
    json_object *words = jo_get(status, "values");

    g_assert_cmpuint(json_object_array_length(words), ==, RUN_STATE__COUNT);
    for (int i = 0; i < RUN_STATE__COUNT; i++) {
        g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(words, i)), ==,
                        runstate_name(i));
    }
    words = jo_get(migration, "values");
    g_assert_cmpuint(json_object_array_length(words), ==, MIGRATION_STATUS__COUNT);
    for (int i = 0; i < MIGRATION_STATUS__COUNT; i++) {
        g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(words, i)), ==,
                        gw_migration_status_name(i));
    }
}

static uint64_t fake_actual(void *opaque)
{
    return 1 << 20;
}

/* Every command that changes nothing answers what the schema says. */
static void test_replies(Fixture *f, gconstpointer data)
{
    MachineBalloon balloon = { .actual = fake_actual };

    f->m.balloon = &balloon;
    for (const QapiCommand *c = qapi_commands; c->name; c++) {
        if (g_str_has_prefix(c->name, "query-") || strcmp(c->name, "qom-list-types") == 0) {
            json_object_put(query(f, c->name));
        }
    }
    f->m.balloon = NULL;
}

static json_object *checked_reply(const MigrationInfo *in, const MigrationInfo *out)
{
    g_autoptr(GError) err = NULL;
    json_object *r = monitor_migration_reply(in, out);

    qapi_check(command("query-migrate")->ret, r, "query-migrate", &err);
    g_assert_no_error(err);
    return r;
}

static uint64_t number(json_object *o, const char *key)
{
    json_object *v = jo_get(o, key);

    g_assert_nonnull(v);
    return json_object_get_uint64(v);
}

static uint64_t nth(json_object *o, const char *key, size_t i)
{
    return json_object_get_uint64(json_object_array_get_idx(jo_get(o, key), i));
}

/* What the destination of a postcopy shows, and what only when it has completed. */
static void test_postcopy_latency(Fixture *f, gconstpointer data)
{
    const MigrationInfo none = {.status = MIGRATION_STATUS_NONE};
    MigrationInfo in = {
        .status = MIGRATION_STATUS_POSTCOPY_ACTIVE,
        .has_latency = true,
        .latency = {.faults = 3, .mean_ns = 5000, .dist = {0, 1, 2}, .nr_vcpus = 2,
                    .vcpu_mean_ns = {4000, 7000}, .vcpu_blocktime_ms = {12, 34},
                    .non_vcpu_mean_ns = 9, .blocktime_ms = 11, .request_ns = 1000,
                    .transfer_ns = 3000, .place_ns = UINT64_MAX},
    };
    json_object *r = checked_reply(&none, &none), *split;

    g_assert_cmpint(json_object_object_length(r), ==, 0);
    json_object_put(r);

    r = checked_reply(&in, &none);
    g_assert_cmpuint(number(r, "postcopy-latency"), ==, 5000);
    g_assert_cmpuint(number(r, "postcopy-non-vcpu-latency"), ==, 9);
    g_assert_cmpuint(json_object_array_length(jo_get(r, "postcopy-latency-dist")), ==, 24);
    g_assert_cmpuint(nth(r, "postcopy-latency-dist", 2), ==, 2);
    g_assert_cmpuint(json_object_array_length(jo_get(r, "postcopy-vcpu-latency")), ==, 2);
    g_assert_cmpuint(nth(r, "postcopy-vcpu-latency", 1), ==, 7000);
    split = jo_get(r, "postcopy-latency-split");
    g_assert_cmpuint(number(split, "request"), ==, 1000);
    g_assert_cmpuint(number(split, "transfer"), ==, 3000);
    g_assert_true(number(split, "place") == UINT64_MAX);
    g_assert_null(jo_get(r, "postcopy-blocktime"));
    json_object_put(r);

    in.status = MIGRATION_STATUS_COMPLETED;
    in.has_blocktime = true;
    r = checked_reply(&in, &none);
    g_assert_cmpuint(number(r, "postcopy-blocktime"), ==, 11);
    g_assert_cmpuint(nth(r, "postcopy-vcpu-blocktime", 1), ==, 34);
    g_assert_null(jo_get(r, "postcopy-preempt"));
    json_object_put(r);
}

static void test_postcopy_preempt(Fixture *f, gconstpointer data)
{
    const MigrationInfo none = {.status = MIGRATION_STATUS_NONE};
    const MigrationInfo out = {
        .status = MIGRATION_STATUS_COMPLETED, .has_ram = true, .has_times = true,
        .has_preempt = true, .preempt = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
    };
    static const char *const keys[] = {
        "urgent-pages", "hints-offered", "hints-consumed", "hints-hit", "hints-dropped",
        "prefetch-offered", "prefetch-sent", "prefetch-hit", "prefetch-useless",
        "prefetch-ahead",
    };
    json_object *r = checked_reply(&none, &out), *p = jo_get(r, "postcopy-preempt");

    g_assert_cmpint(json_object_object_length(p), ==, G_N_ELEMENTS(keys));
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_assert_cmpuint(number(p, keys[i]), ==, i + 1);
    }
    g_assert_null(jo_get(r, "postcopy-latency"));
    json_object_put(r);
}

/* Out-of-band are the commands that free what hangs, and no other. */
static void test_oob(Fixture *f, gconstpointer data)
{
    static const char *const oob[] = {
        "migrate-pause", "migrate-recover", "yank", "query-yank", NULL,
    };
    unsigned n = 0;

    for (const QapiCommand *c = qapi_commands; c->name; c++) {
        g_assert_cmpint(c->oob, ==, g_strv_contains(oob, c->name));
        g_assert_cmpint(c->oob, ==, jo_get(entity(c->name), "allow-oob") != NULL);
        n += c->oob;
    }
    g_assert_cmpuint(n, ==, g_strv_length((char **)oob));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/qapi-schema/" name, Fixture, NULL, setup, fn, teardown)
    ADD("closed", test_closed);
    ADD("commands", test_commands);
    ADD("no-stray-handlers", test_no_stray_handlers);
    ADD("capabilities", test_capabilities);
    ADD("parameters", test_parameters);
    ADD("round-trip", test_round_trip);
    ADD("words", test_words);
    ADD("replies", test_replies);
    ADD("postcopy-latency", test_postcopy_latency);
    ADD("postcopy-preempt", test_postcopy_preempt);
    ADD("oob", test_oob);
    return g_test_run();
}
