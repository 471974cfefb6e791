/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of key=value: commas, short booleans, JSON, bounds, and what the errors say. */
#include "cmdline-keyval.h"

#include <string.h>

static KeyValList *parse(const char *text, const char *implied)
{
    g_autoptr(GError) err = NULL;
    KeyValList *kv = keyval_parse(text, implied, &err);

    g_assert_no_error(err);
    return kv;
}

static void assert_done(KeyValList *kv)
{
    g_autoptr(GError) err = NULL;

    keyval_done(kv, &err);
    g_assert_no_error(err);
}

static void assert_fails(KeyValList *kv, const char *message)
{
    g_autoptr(GError) err = NULL;

    g_assert_false(keyval_done(kv, &err));
    g_assert_cmpstr(err->message, ==, message);
}

static void test_commas(void)
{
    g_autoptr(KeyValList) kv = parse("socket,path=/a,,b=c,id=x,", "backend");

    g_assert_cmpstr(keyval_str(kv, "backend"), ==, "socket");
    g_assert_cmpstr(keyval_str(kv, "path"), ==, "/a,b=c");
    g_assert_cmpstr(keyval_str(kv, "id"), ==, "x");
    g_assert_null(keyval_str(kv, "nope"));
    assert_done(kv);
}

static void test_implied(void)
{
    g_autoptr(KeyValList) plain = parse("256", "size");
    g_autoptr(KeyValList) named = parse("size=256,a=b=c", "size");
    g_autoptr(KeyValList) empty = parse("", "size");
    g_autoptr(KeyValList) comma = parse("q35,", "type");

    g_assert_cmpstr(keyval_str(plain, "size"), ==, "256");
    g_assert_cmpstr(keyval_str(named, "size"), ==, "256");
    g_assert_cmpstr(keyval_str(named, "a"), ==, "b=c");
    g_assert_null(keyval_str(empty, "size"));
    g_assert_cmpstr(keyval_str(comma, "type"), ==, "q35");
    assert_done(comma);
}

static void test_booleans(void)
{
    g_autoptr(KeyValList) kv = parse("x,server,nowait,a=yes,b=false,c=on,d=off", "backend");

    g_assert_true(keyval_bool(kv, "server", false));
    g_assert_false(keyval_bool(kv, "wait", true));
    g_assert_true(keyval_bool(kv, "a", false));
    g_assert_false(keyval_bool(kv, "b", true));
    g_assert_true(keyval_bool(kv, "c", false));
    g_assert_false(keyval_bool(kv, "d", true));
    g_assert_true(keyval_bool(kv, "e", true));
    keyval_str(kv, "backend");
    assert_done(kv);
}

static void test_bad_values(void)
{
    g_autoptr(KeyValList) b = parse("wait=maybe", NULL);
    g_autoptr(KeyValList) n = parse("n=-1", NULL);
    g_autoptr(KeyValList) s = parse("size=12x", NULL);
    g_autoptr(KeyValList) flag = parse("path", NULL);
    g_autoptr(KeyValList) big = parse("n=9", NULL);
    g_autoptr(KeyValList) missing = parse("a=b", NULL);

    keyval_bool(b, "wait", false);
    assert_fails(b, "Parameter 'wait' expects 'on' or 'off', not 'maybe'");
    keyval_u64(n, "n", 0, 10);
    assert_fails(n, "Parameter 'n' expects a number from 0 to 10, not '-1'");
    keyval_size(s, "size", 0, 1);
    assert_fails(s, "Parameter 'size' expects a size below 2^64, such as 512M or 1G, not '12x'");
    keyval_str(flag, "path");
    assert_fails(flag, "Parameter 'path' needs a value: path=...");
    keyval_u64(big, "n", 0, 8);
    assert_fails(big, "Parameter 'n' expects a number from 0 to 8, not '9'");
    keyval_str(missing, "a");
    keyval_need(missing, "id");
    assert_fails(missing, "Parameter 'id' is missing");
}

static void test_unknown(void)
{
    g_autoptr(KeyValList) near = parse("sever=on", NULL);
    g_autoptr(KeyValList) far = parse("zzzzzzzz=on", NULL);
    g_autoptr(KeyValList) ignored = parse("cache.direct=on,nodelay", NULL);

    keyval_bool(near, "server", false);
    keyval_str(near, "path");
    assert_fails(near, "Invalid parameter 'sever' (nearest: server)");
    keyval_bool(far, "server", false);
    assert_fails(far, "Invalid parameter 'zzzzzzzz'");
    keyval_ignore_prefix(ignored, "cache.");
    keyval_ignore(ignored, "delay");
    assert_done(ignored);
}

static void test_last_wins(void)
{
    g_autoptr(KeyValList) kv = parse("a=1,a=2", NULL);

    g_assert_cmpstr(keyval_str(kv, "a"), ==, "2");
    assert_done(kv);
}

static void test_json(void)
{
    g_autoptr(KeyValList) kv = parse("{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\","
                                     "\"size\":268435456,\"share\":true,"
                                     "\"file\":{\"driver\":\"file\",\"list\":[1,\"b,c\"]}}",
                                     "qom-type");

    g_assert_cmpstr(keyval_str(kv, "qom-type"), ==, "memory-backend-ram");
    g_assert_cmpuint(keyval_size(kv, "size", 0, 1), ==, 268435456);
    g_assert_true(keyval_bool(kv, "share", false));
    g_assert_cmpstr(keyval_str(kv, "file.driver"), ==, "file");
    g_assert_cmpstr(keyval_str(kv, "file.list.0"), ==, "1");
    g_assert_cmpstr(keyval_str(kv, "file.list.1"), ==, "b,c");
    keyval_str(kv, "id");
    assert_done(kv);
}

static void test_malformed(void)
{
    static const char *const bad[] = {
        "{", "{\"a\":1", "{\"a\":1}x", "{\"a\":null}", "{\"\":1}", "{\"a\":\"\\u0000\"}",
        "=x", "a b=1", ",=", "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":1}}}}}}}}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;

        g_test_message("%s", bad[i]);
        g_assert_null(keyval_parse(bad[i], NULL, &err));
        g_assert_nonnull(err);
    }
}

static void test_bounds(void)
{
    g_autoptr(GString) many = g_string_new(NULL);
    g_autofree char *longest = g_strnfill(KEYVAL_MAX_LENGTH, 'a');
    g_autofree char *too_long = g_strnfill(KEYVAL_MAX_LENGTH + 1, 'a');
    g_autoptr(KeyValList) ok = parse(longest, "x");
    g_autoptr(GError) err = NULL;

    g_assert_null(keyval_parse(too_long, "x", &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    for (int i = 0; i <= KEYVAL_MAX_PAIRS; i++) {
        g_string_append_printf(many, "k%d=v,", i);
    }
    g_assert_null(keyval_parse(many->str, NULL, &err));
    g_assert_cmpstr(err->message, ==, "more than 64 parameters");
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t unit, value;
        bool ok;
    } cases[] = {
        { "256", 1 << 20, 256 << 20, true },
        { "1G", 1 << 20, 1 << 30, true },
        { "262144k", 1 << 20, 256 << 20, true },
        { "1.5M", 1, 1536 * 1024, true },
        { "0x20", 1, 32, true },
        { "0x2b", 1, 0x2b, true },
        { "512b", 1 << 20, 512, true },
        { "16E", 1, 0, false },
        { "15E", 1, UINT64_C(15) << 60, true },
        { "18446744073709551615", 1, UINT64_MAX, true },
        { "18446744073709551616", 1, 0, false },
        { "", 1, 0, false },
        { "k", 1, 0, false },
        { " 1", 1, 0, false },
        { "-1", 1, 0, false },
        { "+1", 1, 0, false },
        { "1x", 1, 0, false },
        { "1.M", 1, 0, false },
        { "1.-1M", 1, 0, false },
        { "0x", 1, 0, false },
        { "0x 1", 1, 0, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t value = 0;

        g_test_message("'%s'", cases[i].text);
        g_assert_cmpint(keyval_parse_size(cases[i].text, cases[i].unit, &value), ==, cases[i].ok);
        if (cases[i].ok) {
            g_assert_cmpuint(value, ==, cases[i].value);
        }
    }
}

static void test_nearest(void)
{
    static const char *const words[] = { "serial", "smp", "machine", "monitor", "m" };
    const size_t n = G_N_ELEMENTS(words);

    g_assert_cmpstr(cmdline_nearest("serail", words, n), ==, "serial");
    g_assert_cmpstr(cmdline_nearest("machin", words, n), ==, "machine");
    g_assert_cmpstr(cmdline_nearest("sm", words, n), ==, "smp");
    g_assert_null(cmdline_nearest("qwertyuiop", words, n));
    g_assert_null(cmdline_nearest("serial", words, 0));
}

static void test_ids(void)
{
    g_assert_true(keyval_id_ok("pc.ram"));
    g_assert_true(keyval_id_ok("a-b_c.9"));
    g_assert_false(keyval_id_ok(""));
    g_assert_false(keyval_id_ok("9a"));
    g_assert_false(keyval_id_ok("a b"));
    g_assert_false(keyval_id_ok("a/b"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/commas", test_commas);
    g_test_add_func("/keyval/implied", test_implied);
    g_test_add_func("/keyval/booleans", test_booleans);
    g_test_add_func("/keyval/bad-values", test_bad_values);
    g_test_add_func("/keyval/unknown", test_unknown);
    g_test_add_func("/keyval/last-wins", test_last_wins);
    g_test_add_func("/keyval/json", test_json);
    g_test_add_func("/keyval/malformed", test_malformed);
    g_test_add_func("/keyval/bounds", test_bounds);
    g_test_add_func("/keyval/sizes", test_sizes);
    g_test_add_func("/keyval/nearest", test_nearest);
    g_test_add_func("/keyval/ids", test_ids);
    return g_test_run();
}
