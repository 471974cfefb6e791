/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP sessions: whatever bytes come, in whatever pieces, every request and every piece of garbage
 * gets its answer in order, and the session goes on. */
#include "monitor-fixture.h"

typedef struct Case {
    const char *input;
    const char *output; /* one word per response: r, e, or the error class's first letter */
} Case;

static const Case cases[] = {
    {"{\"execute\":\"query-name\"}\r\n", "r"},
    {"{'execute':'query-name'}\n", "r"},
    {"{\"execute\":\"query-name\"}{\"execute\":\"query-uuid\"}\n", "rr"},
    {"{\n \"execute\":\n\"query-name\"\r\n}\n", "r"},
    {"garbage {\"execute\":\"query-name\"}\n", "er"},
    {"]}}} {\"execute\":\"query-name\"}\n", "er"},
    {"{\"execute\":\"query-name\"\n{\"execute\":\"query-uuid\"}\n", "er"},
    {"{\"a\":1 \"b\" {\"execute\":\"quit\"}}\n{\"execute\":\"query-name\"}\n", "er"},
    {"\xff{\"execute\":\"query-name\"}\n", "er"},
    {"{\"execute\":\"\xff\"}\n{\"execute\":\"query-name\"}\n", "er"},
    {"{\"execute\":\"query-name\",\"id\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6\"}\n", "r"},
    {"{\"execute\":\"query-name\",\"id\":NaN}\n", "e"},
    {"{\"execute\":\"query-name\",\"id\":1e999}\n", "e"},
    {"5 \n", "e"},
    {"null\n", "e"},
    {"\"abc\"\n", "e"},
    {"[1,2]\n{\"execute\":\"query-name\"}\n", "er"},
    {"{}\n", "e"},
    {"\"abc\n{\"execute\":\"query-name\"}\n", "er"},
    {"{\"execute\":\"quer\n{\"execute\":\"query-name\"}\n", "er"},
    {"/* {\"execute\":\"query-name\"}\n", "er"},
    {"{\"execute\":\"query-name\",\"id\":\"/\\\"'\"}\n", "r"},
    {"\n\r\n  \n", ""},
    {"{\"execute\":\"nope\"}\n", "C"},
};

static void check(const Case *c, json_object *list)
{
    g_autoptr(GString) got = g_string_new(NULL);

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *r = json_object_array_get_idx(list, i), *e = jo_get(r, "error");

        if (!e) {
            g_assert_nonnull(jo_get(r, "return"));
        }
        g_string_append_c(got, !e ? 'r' : strcmp(jo_get_str(e, "class"), "GenericError") == 0
                                              ? 'e' : jo_get_str(e, "class")[0]);
    }
    if (strcmp(got->str, c->output) != 0) {
        g_error("%s: expected %s, got %s", c->input, c->output, got->str);
    }
    json_object_put(list);
}

static void test_whole(Fixture *f, gconstpointer data)
{
    fixture_negotiate(f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check(&cases[i], fixture_send(f, cases[i].input));
    }
}

static void test_bytewise(Fixture *f, gconstpointer data)
{
    fixture_negotiate(f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (const char *p = cases[i].input; *p; p++) {
            qmp_session_input(f->s, p, 1);
        }
        check(&cases[i], fixture_take(f));
    }
}

/* Cuts and changes good input at random: never a crash, and a good command after it is answered. */
static void test_mutated(Fixture *f, gconstpointer data)
{
    const char *good = "\n{\"execute\":\"query-name\",\"id\":\"last\"}\n";

    fixture_negotiate(f);
    for (int round = 0; round < 2000; round++) {
        const char *src = cases[g_test_rand_int_range(0, G_N_ELEMENTS(cases))].input;
        size_t len = strlen(src), n = (size_t)g_test_rand_int_range(0, (int)len + 1);
        g_autofree char *text = g_strndup(src, len);
        json_object *list, *last;

        for (int i = 0; i < 3 && len; i++) {
            text[g_test_rand_int_range(0, (int)len)] = (char)g_test_rand_int_range(0, 256);
        }
        qmp_session_input(f->s, text, n);
        /* the first one may be taken for a part of an object that is open, the second cannot */
        json_object_put(fixture_send(f, good));
        list = fixture_send(f, good);
        g_assert_cmpuint(json_object_array_length(list), >, 0);
        last = json_object_array_get_idx(list, json_object_array_length(list) - 1);
        g_assert_cmpstr(jo_get_str(last, "id"), ==, "last");
        json_object_put(list);
    }
}

static void test_nul(Fixture *f, gconstpointer data)
{
    json_object *list;

    fixture_negotiate(f);
    qmp_session_input(f->s, "\0{\"execute\":\"query-name\"}\n", 26);
    list = fixture_take(f);
    g_assert_cmpuint(json_object_array_length(list), ==, 2);
    json_object_put(list);
}

static void test_depth(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) s = g_string_new("{\"execute\":\"query-name\",\"id\":");
    json_object *r;

    fixture_negotiate(f);
    for (int i = 0; i < 100000; i++) {
        g_string_append_c(s, '[');
    }
    g_string_append_c(s, '\n');
    r = fixture_command(f, s->str);
    assert_error(r, "GenericError", "JSON parse error, nesting too deep");
    json_object_put(r);
    r = fixture_command(f, "{\"execute\":\"query-name\"}\n");
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);
}

static void test_size(Fixture *f, gconstpointer data)
{
    g_autofree char *chunk = g_strnfill(65536, 'a');
    json_object *list, *r;

    fixture_negotiate(f);
    list = fixture_send(f, "{\"execute\":\"query-name\",\"id\":\"");
    json_object_put(list);
    for (int i = 0; i < 40; i++) {
        qmp_session_input(f->s, chunk, 65536);
    }
    list = fixture_send(f, "\"}\n");
    g_assert_cmpuint(json_object_array_length(list), ==, 1);
    assert_error(json_object_array_get_idx(list, 0), "GenericError",
                 "JSON parse error, value is longer than 1 MiB");
    json_object_put(list);
    r = fixture_command(f, "{\"execute\":\"query-name\"}\n");
    g_assert_nonnull(jo_get(r, "return"));
    json_object_put(r);
}

static void test_ids(Fixture *f, gconstpointer data)
{
    static const char *const ids[] = {
        "null", "0", "-1", "1.5", "\"x\"", "[1,{\"a\":null}]", "{}", "true",
        "18446744073709551615", "9007199254740993",
    };

    fixture_negotiate(f);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        for (int bad = 0; bad < 2; bad++) {
            g_autofree char *text = g_strdup_printf("{\"execute\":\"%s\",\"id\":%s}\n",
                                                    bad ? "nope" : "query-name", ids[i]);
            json_object *r = fixture_command(f, text), *id;

            g_assert_true(json_object_object_get_ex(r, "id", &id));
            g_assert_cmpstr(id ? json_object_to_json_string_ext(id, JSON_C_TO_STRING_PLAIN)
                               : "null", ==, ids[i]);
            json_object_put(r);
        }
    }
}

/* A second client gets its own greeting and none of the first one's state or half a command. */
static void test_reconnect(Fixture *f, gconstpointer data)
{
    json_object *list, *r;

    fixture_negotiate(f);
    list = fixture_send(f, "{\"execute\":\"query-na");
    g_assert_cmpuint(json_object_array_length(list), ==, 0);
    json_object_put(list);
    qmp_session_close(f->s);
    monitor_event(f->set, "STOP", NULL);
    monitor_events_flush(f->set);
    qmp_session_open(f->s);
    list = fixture_take(f);
    g_assert_cmpuint(json_object_array_length(list), ==, 1);
    g_assert_nonnull(jo_get(json_object_array_get_idx(list, 0), "QMP"));
    json_object_put(list);
    r = fixture_command(f, "{\"execute\":\"query-name\"}\n");
    assert_error(r, "CommandNotFound",
                 "Expecting capabilities negotiation with 'qmp_capabilities'");
    json_object_put(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) \
    g_test_add("/qmp-parse/" name, Fixture, NULL, fixture_setup, fn, fixture_teardown)
    ADD("whole", test_whole);
    ADD("bytewise", test_bytewise);
    ADD("mutated", test_mutated);
    ADD("nul", test_nul);
    ADD("depth", test_depth);
    ADD("size", test_size);
    ADD("ids", test_ids);
    ADD("reconnect", test_reconnect);
    return g_test_run();
}
