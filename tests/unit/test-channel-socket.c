/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket channels and listeners over real sockets of this host: tcp (IPv4, IPv6) and unix. */
#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io-helpers.h"

static GwAddress *parse(const char *uri)
{
    GwAddress *a = gw_address_parse_uri(uri, NULL);

    g_assert_nonnull(a);
    return a;
}

/* NULL if this host has no such address. */
static GwListener *listen_on(const char *uri, GError **errp)
{
    g_autoptr(GwAddress) a = parse(uri);

    return gw_listener_new(a, 4, NULL, NULL, errp);
}

static char *listener_uri(const GwListener *l)
{
    g_autoptr(GPtrArray) list = gw_listener_addresses(l);

    g_assert_cmpuint(list->len, >=, 1);
    return gw_address_to_uri(g_ptr_array_index(list, 0));
}

static GwChannel *connect_to(const char *uri, GError **errp)
{
    g_autoptr(GwAddress) a = parse(uri);

    return gw_channel_connect(a, NULL, NULL, NULL, errp);
}

static void connected_pair(GwListener *l, GwChannel **client, GwChannel **server)
{
    g_autofree char *uri = listener_uri(l);
    g_autoptr(GError) err = NULL;

    *client = connect_to(uri, &err);
    g_assert_no_error(err);
    *server = gw_listener_accept(l, &err);
    g_assert_no_error(err);
}

static void check_nodelay(GwChannel *ch)
{
    int on = 0;
    socklen_t len = sizeof(on);

    g_assert_cmpint(getsockopt(gw_channel_fd(ch), IPPROTO_TCP, TCP_NODELAY, &on, &len), ==, 0);
    g_assert_true(on);
}

static void check_stream(const char *uri, bool tcp)
{
    g_autoptr(GError) err = NULL;
    GwListener *l = listen_on(uri, &err);
    GwChannel *c, *s;
    uint8_t buf[4];

    if (!l) {
        g_test_skip(err->message);
        return;
    }
    connected_pair(l, &c, &s);
    g_assert_true(gw_channel_has(c, GW_CHANNEL_DUPLEX));
    g_assert_true(gw_channel_has(s, GW_CHANNEL_PEEK));
    g_assert_true(gw_channel_has(s, GW_CHANNEL_MULTI));
    if (tcp) {
        check_nodelay(c);
        check_nodelay(s);
    }
    check_transfer(c, s, 5 << 20);
    check_transfer(s, c, 1 << 20);
    g_assert_cmpint(gw_channel_wait_readable(s, 0, NULL), ==, 0);
    g_assert_true(gw_channel_write_all(c, "QEVM", 4, NULL));
    g_assert_cmpint(gw_channel_wait_readable(s, -1, NULL), ==, 1);
    g_assert_cmpint(gw_channel_peek(s, buf, 4, NULL), ==, 4);
    g_assert_true(gw_channel_read_all(s, buf, 4, NULL));
    g_assert_cmpint(memcmp(buf, "QEVM", 4), ==, 0);
    g_assert_true(gw_channel_finish(c, NULL));
    g_assert_false(gw_channel_read_all(s, buf, 1, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
    gw_channel_unref(c);
    gw_channel_unref(s);
    gw_listener_free(l);
}

static void test_tcp4(void)
{
    check_stream("tcp:127.0.0.1:0", true);
}

static void test_tcp6(void)
{
    check_stream("tcp:[::1]:0", true);
}

static void test_tcp_name(void)
{
    check_stream("tcp:localhost:0,ipv4", true);
}

static void test_vsock(void)
{
    check_stream("vsock:1:4294967295", false); /* this host by loopback, any free port */
}

static char *temp_path(const char *name)
{
    g_autofree char *dir = g_dir_make_tmp("godwit-io-XXXXXX", NULL);

    g_assert_nonnull(dir);
    return g_build_filename(dir, name, NULL);
}

static void temp_remove(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    unlink(path);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void test_unix(void)
{
    g_autofree char *path = temp_path("sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);

    check_stream(uri, false);
    /* The listener took its path away. */
    g_assert_cmpint(g_access(path, F_OK), ==, -1);
    temp_remove(path);
}

static void test_unix_stale(void)
{
    g_autofree char *path = temp_path("sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    close(fd);
    g_assert_cmpint(g_access(path, F_OK), ==, 0);
    check_stream(uri, false);
    temp_remove(path);
}

static void test_unix_in_use(void)
{
    g_autofree char *path = temp_path("sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    g_autofree char *text =
        g_strdup_printf("Failed to bind socket to '%s': Address already in use", path);
    g_autoptr(GError) err = NULL;
    GwListener *l = listen_on(uri, NULL);
    GwChannel *c, *s;

    g_assert_nonnull(l);
    g_assert_null(listen_on(uri, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(err->message, ==, text);
    connected_pair(l, &c, &s); /* the live one was left alone */
    gw_channel_unref(c);
    gw_channel_unref(s);
    gw_listener_free(l);
    temp_remove(path);
}

static void test_wildcard(void)
{
    g_autoptr(GPtrArray) list = NULL;
    GwListener *l = listen_on("tcp::0", NULL);
    const char *port = NULL;

    g_assert_nonnull(l);
    list = gw_listener_addresses(l);
    for (guint i = 0; i < list->len; i++) {
        const GwAddress *a = g_ptr_array_index(list, i);

        /* One port on all: a user who is told one number can use either protocol. */
        g_assert_cmpstr(a->port, !=, "0");
        g_assert_true(!port || strcmp(port, a->port) == 0);
        port = a->port;
    }
    for (guint i = 0; i < list->len; i++) {
        const GwAddress *a = g_ptr_array_index(list, i);
        g_autofree char *uri =
            g_strdup_printf(a->family == 6 ? "tcp:[::1]:%s" : "tcp:127.0.0.1:%s", a->port);
        g_autoptr(GError) err = NULL;
        g_autoptr(GwChannel) c = connect_to(uri, &err);
        g_autoptr(GwChannel) s = NULL;

        g_assert_no_error(err);
        s = gw_listener_accept(l, &err);
        g_assert_no_error(err);
        g_assert_nonnull(s);
    }
    gw_listener_free(l);
}

static void test_in_use(void)
{
    GwListener *l = listen_on("tcp:127.0.0.1:0", NULL);
    g_autofree char *uri = listener_uri(l);
    g_autoptr(GError) err = NULL;
    g_autofree char *text = g_strdup_printf(
        "Failed to bind socket to '%s': Address already in use", uri + strlen("tcp:"));

    g_assert_null(listen_on(uri, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(err->message, ==, text);
    gw_listener_free(l);
}

static void check_connect_error(const char *uri, const char *text)
{
    g_autoptr(GError) err = NULL;

    g_assert_null(connect_to(uri, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(err->message, ==, text);
}

static void test_refused(void)
{
    GwListener *l = listen_on("tcp:127.0.0.1:0", NULL);
    g_autofree char *uri = listener_uri(l);
    g_autofree char *text = g_strdup_printf("Failed to connect to '%s': Connection refused",
                                            uri + strlen("tcp:"));

    gw_listener_free(l); /* now nobody listens there */
    check_connect_error(uri, text);
    check_connect_error("unix:/nonexist",
                        "Failed to connect to '/nonexist': No such file or directory");
    check_connect_error("tcp:127.0.0.1:65536", "port '65536' is not in 0..65535");
    check_connect_error("tcp:127.0.0.1:no-such-service",
                        "address resolution failed for 127.0.0.1:no-such-service: "
                        "Servname not supported for ai_socktype");
}

typedef struct CancelThread {
    GwCancel *cancel;
    GwListener *listener;
} CancelThread;

static void *cancel_soon(void *opaque)
{
    const CancelThread *t = opaque;

    g_usleep(5000);
    if (t->cancel) {
        gw_cancel_trigger(t->cancel);
    } else {
        gw_listener_cancel(t->listener);
    }
    return NULL;
}

static void test_cancel_accept(void)
{
    GwListener *l = listen_on("tcp:127.0.0.1:0", NULL);
    CancelThread t = { .listener = l };
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, cancel_soon, &t), ==, 0);
    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) err = NULL;

        g_assert_null(gw_listener_accept(l, &err));
        g_assert_error(err, GW_ERROR, GW_ERROR_CANCELLED);
    }
    pthread_join(thread, NULL);
    gw_listener_free(l);
}

/* A unix listener whose queue is full keeps connect() waiting without any network. */
static void test_cancel_connect(void)
{
    g_autofree char *path = temp_path("sock");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GwAddress a = { .transport = GW_TRANSPORT_UNIX, .path = path };
    CancelThread t = { .cancel = gw_cancel_new() };
    g_autoptr(GError) err = NULL;
    g_autoptr(GwChannel) queued = NULL;
    pthread_t thread;

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    queued = gw_channel_connect(&a, NULL, NULL, NULL, &err);
    g_assert_no_error(err);
    g_assert_cmpint(pthread_create(&thread, NULL, cancel_soon, &t), ==, 0);
    g_assert_null(gw_channel_connect(&a, NULL, NULL, t.cancel, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_CANCELLED);
    pthread_join(thread, NULL);
    gw_cancel_free(t.cancel);
    close(fd);
    temp_remove(path);
}

/* The same for TCP, whose connect() waits in a poll: a listener that drops what it cannot queue. */
static void test_cancel_connect_tcp(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(in);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_autofree char *uri = NULL;
    g_autoptr(GwAddress) a = NULL;
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) queued = g_ptr_array_new_with_free_func((GDestroyNotify)gw_channel_unref);
    CancelThread t = { .cancel = gw_cancel_new() };
    pthread_t thread;
    GwChannel *ch;

    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, sizeof(in)), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&in, &len), ==, 0);
    uri = g_strdup_printf("tcp:127.0.0.1:%u", ntohs(in.sin_port));
    a = parse(uri);
    g_assert_cmpint(pthread_create(&thread, NULL, cancel_soon, &t), ==, 0);
    while ((ch = gw_channel_connect(a, NULL, NULL, t.cancel, &err))) {
        g_ptr_array_add(queued, ch);
    }
    g_assert_error(err, GW_ERROR, GW_ERROR_CANCELLED);
    pthread_join(thread, NULL);
    gw_cancel_free(t.cancel);
    close(fd);
}

static void test_shutdown(void)
{
    GwListener *l = listen_on("tcp:127.0.0.1:0", NULL);

    for (int i = 0; i < 2; i++) {
        GwChannel *c, *s;

        connected_pair(l, &c, &s);
        check_shutdown_wakes(i ? NULL : c, i ? c : NULL);
        gw_channel_unref(c);
        gw_channel_unref(s);
    }
    gw_listener_free(l);
}

/* Writing to a peer that is gone is an error, not a SIGPIPE. */
static void test_peer_gone(void)
{
    GwListener *l = listen_on("tcp:127.0.0.1:0", NULL);
    g_autoptr(GError) err = NULL;
    g_autofree uint8_t *buf = g_malloc0(8 << 20);
    GwChannel *c, *s;

    connected_pair(l, &c, &s);
    gw_channel_unref(s);
    g_assert_false(gw_channel_write_all(c, buf, 8 << 20, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);
    gw_channel_unref(c);
    gw_listener_free(l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel-socket/tcp4", test_tcp4);
    g_test_add_func("/channel-socket/tcp6", test_tcp6);
    g_test_add_func("/channel-socket/tcp-name", test_tcp_name);
    g_test_add_func("/channel-socket/vsock", test_vsock);
    g_test_add_func("/channel-socket/unix", test_unix);
    g_test_add_func("/channel-socket/unix-stale", test_unix_stale);
    g_test_add_func("/channel-socket/unix-in-use", test_unix_in_use);
    g_test_add_func("/channel-socket/wildcard", test_wildcard);
    g_test_add_func("/channel-socket/in-use", test_in_use);
    g_test_add_func("/channel-socket/refused", test_refused);
    g_test_add_func("/channel-socket/cancel-accept", test_cancel_accept);
    g_test_add_func("/channel-socket/cancel-connect", test_cancel_connect);
    g_test_add_func("/channel-socket/cancel-connect-tcp", test_cancel_connect_tcp);
    g_test_add_func("/channel-socket/shutdown", test_shutdown);
    g_test_add_func("/channel-socket/peer-gone", test_peer_gone);
    return g_test_run();
}
