/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migration URIs: what each form means, what is printed for it, and the text of each refusal. */
#include "migration/channel.h"
#include "migration/error.h"

static GwAddress *parse(const char *uri)
{
    g_autoptr(GError) err = NULL;
    GwAddress *a = gw_address_parse_uri(uri, &err);

    g_assert_no_error(err);
    g_assert_nonnull(a);
    return a;
}

static void check_refused(const char *uri, const char *text)
{
    g_autoptr(GError) err = NULL;

    g_assert_null(gw_address_parse_uri(uri, &err));
    g_assert_nonnull(err);
    g_assert_true(err->domain == GW_ERROR);
    g_assert_cmpstr(err->message, ==, text);
}

static void check_tcp(const char *uri, const char *host, const char *port, int family)
{
    g_autoptr(GwAddress) a = parse(uri);
    g_autofree char *printed = gw_address_to_uri(a);
    g_autoptr(GwAddress) again = parse(printed);

    g_assert_cmpint(a->transport, ==, GW_TRANSPORT_TCP);
    g_assert_cmpstr(a->host, ==, host);
    g_assert_cmpstr(a->port, ==, port);
    g_assert_cmpint(a->family, ==, family);
    g_assert_cmpstr(again->host, ==, host);
    g_assert_cmpstr(again->port, ==, port);
    g_assert_cmpint(again->family, ==, g_hostname_is_ip_address(host) ? 0 : family);
}

static void test_tcp(void)
{
    check_tcp("tcp:localhost:4444", "localhost", "4444", 0);
    check_tcp("tcp:[::1]:4444", "::1", "4444", 0);
    check_tcp("tcp:[::]:0", "::", "0", 0);
    check_tcp("tcp::4444", "", "4444", 0);
    check_tcp("tcp:0:4444", "0", "4444", 0);
    check_tcp("tcp:host:http", "host", "http", 0);
    check_tcp("tcp:host:1,ipv4", "host", "1", 4);
    check_tcp("tcp:host:1,ipv4=off", "host", "1", 6);
    check_tcp("tcp:[::1]:1,ipv6=on", "::1", "1", 6);
    check_refused("tcp:", "error parsing address ''");
    check_refused("tcp:1", "error parsing address '1'");
    check_refused("tcp:[::1:1", "error parsing IPv6 address '[::1:1'");
    check_refused("tcp:host:", "error parsing address 'host:': the port is missing");
    check_refused("tcp:::1:1", "error parsing address '::1:1': an IPv6 host goes in brackets, "
                               "[HOST]:PORT");
    check_refused("tcp:host:1,foo=1",
                  "address option 'foo=1' is not supported; use ipv4 or ipv6");
    check_refused("tcp:host:1,ipv4=maybe", "error parsing 'ipv4=maybe': expected on or off");
}

static void check_file(const char *uri, const char *path, uint64_t offset)
{
    g_autoptr(GwAddress) a = parse(uri);
    g_autofree char *printed = gw_address_to_uri(a);
    g_autoptr(GwAddress) again = parse(printed);

    g_assert_cmpint(a->transport, ==, GW_TRANSPORT_FILE);
    g_assert_cmpstr(a->path, ==, path);
    g_assert_cmpuint(a->offset, ==, offset);
    g_assert_cmpstr(again->path, ==, path);
    g_assert_cmpuint(again->offset, ==, offset);
}

static void test_file(void)
{
    check_file("file:/a/b", "/a/b", 0);
    check_file("file:/a,b", "/a,b", 0);
    check_file("file:/a,offset=4096", "/a", 4096);
    check_file("file:/a,offset=010", "/a", 10);
    check_file("file:/a,offset=0x1000", "/a", 0x1000);
    check_file("file:/a,offset=1M", "/a", 1 << 20);
    check_file("file:/a,offset=2g", "/a", 2ULL << 30);
    check_file("file:/a,offset=7E", "/a", 7ULL << 60);
    check_refused("file:", "file: the path is missing");
    for (unsigned i = 0; i < 9; i++) {
        static const char *const bad[] = { "",    "-1",  " 1", "x",  "1MB", "8E",
                                           "0x", "1Q", "9223372036854775808" };
        g_autofree char *uri = g_strdup_printf("file:/a,offset=%s", bad[i]);
        g_autofree char *text = g_strdup_printf(
            "file: bad offset '%s': give bytes, 0x... or a number with K, M, G or T", bad[i]);

        check_refused(uri, text);
    }
}

static void test_others(void)
{
    g_autoptr(GwAddress) u = parse("unix:/run/x,y");
    g_autoptr(GwAddress) f = parse("fd:name");
    g_autoptr(GwAddress) e = parse("exec:cat >\"/tmp/a b\"");
    g_autoptr(GwAddress) v = parse("vsock:3:1234");
    g_autoptr(GwAddress) copy = gw_address_copy(e);
    g_autofree char *uri = gw_address_to_uri(copy);

    g_assert_cmpstr(u->path, ==, "/run/x,y");
    g_assert_cmpstr(f->fd, ==, "name");
    g_assert_cmpstr(e->argv[0], ==, "/bin/sh");
    g_assert_cmpstr(e->argv[1], ==, "-c");
    g_assert_cmpstr(e->argv[2], ==, "cat >\"/tmp/a b\"");
    g_assert_null(e->argv[3]);
    g_assert_cmpstr(uri, ==, "exec:cat >\"/tmp/a b\"");
    g_assert_cmpuint(v->cid, ==, 3);
    g_assert_cmpstr(v->port, ==, "1234");

    check_refused("unix:", "invalid Unix socket address");
    check_refused("vsock:1", "error parsing address '1'");
    check_refused("vsock:a:1", "Failed to parse cid 'a'");
    check_refused("vsock:1:b", "Failed to parse port 'b'");
    check_refused("fd:", "fd: the name or number is missing");
    check_refused("exec:", "exec: the command is missing");
    check_refused("foo:1", "unknown migration protocol: foo:1");
    check_refused("", "unknown migration protocol: ");
    check_refused("tcp", "unknown migration protocol: tcp");
}

static void test_exec_words(void)
{
    char *argv[] = { "tee", "it's", NULL };
    GwAddress a = { .transport = GW_TRANSPORT_EXEC, .argv = argv };
    g_autofree char *uri = gw_address_to_uri(&a);
    g_autofree char *quoted = g_shell_quote("it's");
    g_autofree char *expected = g_strdup_printf("exec:'tee' %s", quoted);

    g_assert_cmpstr(uri, ==, expected);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/address/tcp", test_tcp);
    g_test_add_func("/address/file", test_file);
    g_test_add_func("/address/others", test_others);
    g_test_add_func("/address/exec-words", test_exec_words);
    return g_test_run();
}
