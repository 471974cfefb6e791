/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Channels that are opened, not connected: fd: (pipes, sockets), exec: and file:. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io-helpers.h"

static GwChannel *open_fd(int fd, bool incoming, GError **errp)
{
    g_autofree char *name = g_strdup_printf("%d", fd);
    GwAddress a = { .transport = GW_TRANSPORT_FD, .fd = name };
    GwListener *l;
    GwChannel *ch;

    if (!incoming) {
        return gw_channel_connect(&a, NULL, NULL, NULL, errp);
    }
    l = gw_listener_new(&a, 1, NULL, NULL, errp);
    ch = l ? gw_listener_accept(l, errp) : NULL;
    gw_listener_free(l);
    return ch;
}

static void pipe_pair(GwChannel **out, GwChannel **in)
{
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    *in = open_fd(fds[0], true, NULL);
    *out = open_fd(fds[1], false, NULL);
    g_assert_nonnull(*in);
    g_assert_nonnull(*out);
}

static void test_fd_pipe(void)
{
    GwChannel *out, *in;
    g_autoptr(GError) err = NULL;
    uint8_t byte;

    pipe_pair(&out, &in);
    g_assert_false(gw_channel_has(out, GW_CHANNEL_DUPLEX));
    check_transfer(out, in, 1 << 20);
    g_assert_cmpint(gw_channel_wait_readable(in, 0, NULL), ==, 0);
    g_assert_true(gw_channel_finish(out, NULL));
    gw_channel_unref(out);
    g_assert_cmpint(gw_channel_wait_readable(in, -1, NULL), ==, 1);
    g_assert_false(gw_channel_read_all(in, &byte, 1, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
    gw_channel_unref(in);
}

static void test_fd_shutdown(void)
{
    GwChannel *out, *in;

    pipe_pair(&out, &in);
    check_shutdown_wakes(in, NULL);
    check_shutdown_wakes(NULL, out);
    gw_channel_unref(out);
    gw_channel_unref(in);
}

/* The default action of SIGPIPE would end the test. */
static void test_fd_sigpipe(void)
{
    GwChannel *out, *in;
    g_autoptr(GError) err = NULL;
    sigset_t pending;

    signal(SIGPIPE, SIG_DFL);
    pipe_pair(&out, &in);
    gw_channel_unref(in);
    g_assert_false(gw_channel_write_all(out, "x", 1, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);
    g_assert_cmpstr(err->message, ==,
                    "channel 'main': Unable to write to file descriptor: Broken pipe");
    sigpending(&pending);
    g_assert_false(sigismember(&pending, SIGPIPE));
    gw_channel_unref(out);
}

static void test_fd_socket(void)
{
    GwChannel *out, *in;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                    0);
    in = open_fd(fds[0], true, NULL);
    out = open_fd(fds[1], false, NULL);
    g_assert_true(gw_channel_has(in, GW_CHANNEL_DUPLEX));
    g_assert_false(gw_channel_has(in, GW_CHANNEL_MULTI));
    check_transfer(out, in, 1 << 20);
    check_transfer(in, out, 1 << 20);
    check_shutdown_wakes(in, NULL);
    gw_channel_unref(out);
    gw_channel_unref(in);
}

static void check_fd_refused(int fd, bool incoming, const char *text)
{
    g_autoptr(GError) err = NULL;

    g_assert_null(open_fd(fd, incoming, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(err->message, ==, text);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1); /* taken over, so closed */
}

static void test_fd_refused(void)
{
    g_autofree char *text = NULL;
    int fds[2];
    FILE *f = tmpfile();
    const int file = dup(fileno(f));

    fclose(f);
    check_fd_refused(file, false,
                     "fd: migration to a file is not supported. Use file: instead.");
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    text = g_strdup_printf("fd: '%d' is not open for writing", fds[0]);
    check_fd_refused(fds[0], false, text);
    close(fds[1]);
    check_fd_refused(12345, false, "File descriptor named '12345' has not been found");
}

static int resolve_name(void *opaque, const char *name, int flags, GError **errp)
{
    g_assert_cmpstr(name, ==, "mig");
    return *(int *)opaque;
}

static void test_fd_name(void)
{
    GwAddress a = { .transport = GW_TRANSPORT_FD, .fd = "mig" };
    g_autoptr(GError) err = NULL;
    GwChannel *ch;
    int fds[2];

    g_assert_null(gw_channel_connect(&a, NULL, NULL, NULL, &err));
    g_assert_cmpstr(err->message, ==, "Invalid file descriptor number 'mig'");
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    ch = gw_channel_connect(&a, resolve_name, &fds[1], NULL, NULL);
    g_assert_nonnull(ch);
    g_assert_cmpint(gw_channel_fd(ch), ==, fds[1]);
    gw_channel_unref(ch);
    close(fds[0]);
}

static GwChannel *open_uri(const char *uri, bool incoming, GError **errp)
{
    g_autoptr(GwAddress) a = gw_address_parse_uri(uri, NULL);
    GwListener *l;
    GwChannel *ch;

    g_assert_nonnull(a);
    if (!incoming) {
        return gw_channel_connect(a, NULL, NULL, NULL, errp);
    }
    l = gw_listener_new(a, 1, NULL, NULL, errp);
    ch = l ? gw_listener_accept(l, errp) : NULL;
    gw_listener_free(l);
    return ch;
}

static void check_no_zombie(void)
{
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
}

static void test_exec_out(void)
{
    g_autofree char *dir = g_dir_make_tmp("godwit-io-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autofree char *uri = g_strdup_printf("exec:tee %s", path);
    g_autofree char *got = NULL;
    g_autofree uint8_t *buf = pattern_new(100000);
    g_autoptr(GError) err = NULL;
    gsize len = 0;
    GwChannel *ch = open_uri(uri, false, &err);

    g_assert_no_error(err);
    g_assert_true(gw_channel_has(ch, GW_CHANNEL_DUPLEX));
    g_assert_true(gw_channel_write_all(ch, buf, 100000, NULL));
    gw_channel_finish(ch, &err); /* tee's own output is thrown away */
    g_assert_no_error(err);
    gw_channel_unref(ch);
    check_no_zombie();
    g_assert_true(g_file_get_contents(path, &got, &len, NULL));
    g_assert_cmpuint(len, ==, 100000);
    pattern_check((uint8_t *)got, len);
    unlink(path);
    g_rmdir(dir);
}

static void test_exec_duplex(void)
{
    GwChannel *ch = open_uri("exec:cat", false, NULL);

    /* cat gives back what it gets: the return path is its standard output. */
    check_transfer(ch, ch, 3 << 20);
    g_assert_true(gw_channel_finish(ch, NULL));
    gw_channel_unref(ch);
    check_no_zombie();
}

static void test_exec_in(void)
{
    GwChannel *ch = open_uri("exec:printf abc; cat >&2 2>/dev/null; printf tail", true, NULL);
    char buf[3];

    g_assert_true(gw_channel_read_all(ch, buf, 3, NULL));
    g_assert_cmpint(memcmp(buf, "abc", 3), ==, 0);
    g_assert_true(gw_channel_finish(ch, NULL)); /* unread "tail" does not hold the command up */
    gw_channel_unref(ch);
    check_no_zombie();
}

static void test_exec_fails(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree uint8_t *big = g_malloc0(4 << 20);
    GwChannel *ch = open_uri("exec:cat >/dev/null; exit 3", false, NULL);

    g_assert_true(gw_channel_write_all(ch, "x", 1, NULL));
    g_assert_false(gw_channel_finish(ch, &err));
    g_assert_cmpstr(err->message, ==, "channel 'main': exec: command 'cat >/dev/null; exit 3' "
                                      "exited with status 3");
    gw_channel_unref(ch);
    g_clear_error(&err);

    ch = open_uri("exec:exit 4", false, NULL);
    g_assert_false(gw_channel_write_all(ch, big, 4 << 20, &err));
    g_assert_cmpstr(err->message, ==,
                    "channel 'main': exec: command 'exit 4' exited with status 4");
    gw_channel_unref(ch);
    g_clear_error(&err);

    ch = open_uri("exec:kill -9 $$", true, NULL);
    g_assert_false(gw_channel_read_all(ch, big, 1, &err));
    g_assert_true(strstr(err->message, "was killed by signal 9") != NULL);
    gw_channel_unref(ch);
    check_no_zombie();
}

static void test_exec_missing(void)
{
    char *argv[] = { "/no/such/command", NULL };
    GwAddress a = { .transport = GW_TRANSPORT_EXEC, .argv = argv };
    g_autoptr(GError) err = NULL;

    g_assert_null(gw_channel_connect(&a, NULL, NULL, NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "exec: cannot run '/no/such/command': No such file or directory");
    check_no_zombie();
}

static void test_exec_shutdown(void)
{
    GwChannel *ch = open_uri("exec:exec sleep 1000", false, NULL);
    g_autoptr(GError) err = NULL;

    check_shutdown_wakes(NULL, ch);
    g_assert_false(gw_channel_finish(ch, &err));
    g_assert_nonnull(err);
    gw_channel_unref(ch); /* ends the sleep */
    check_no_zombie();
    ch = open_uri("exec:exec sleep 1000", true, NULL);
    check_shutdown_wakes(ch, NULL);
    gw_channel_unref(ch);
    check_no_zombie();
}

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("godwit-io-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "f", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s,offset=0x10", path);
    g_autofree char *got = NULL;
    g_autoptr(GError) err = NULL;
    struct stat st;
    char buf[8] = { 0 };
    struct iovec iov = { buf, 2 };
    gsize len = 0;
    GwChannel *ch;

    g_assert_true(g_file_set_contents(path, "0123456789abcdefGHIJKLMNOPQRSTUVW", 33, NULL));
    ch = open_uri(uri, false, &err);
    g_assert_no_error(err);
    g_assert_true(gw_channel_has(ch, GW_CHANNEL_SEEKABLE));
    g_assert_false(gw_channel_has(ch, GW_CHANNEL_DUPLEX));
    g_assert_true(gw_channel_write_all(ch, "one", 3, NULL));
    iov.iov_base = "!!";
    g_assert_cmpint(gw_channel_pwritev(ch, &iov, 1, 0x20, NULL), ==, 2);
    g_assert_true(gw_channel_write_all(ch, "two", 3, NULL)); /* the position has not moved */
    g_assert_true(gw_channel_finish(ch, NULL));
    g_assert_cmpint(gw_channel_readv(ch, &iov, 1, &err), ==, -1);
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);
    gw_channel_unref(ch);
    g_assert_true(g_file_get_contents(path, &got, &len, NULL));
    g_assert_cmpuint(len, ==, 0x22);
    g_assert_cmpint(memcmp(got, "0123456789abcdefonetwo\0\0\0\0\0\0\0\0\0\0!!", len), ==, 0);

    ch = open_uri(uri, true, NULL);
    iov.iov_base = buf;
    g_assert_cmpint(gw_channel_preadv(ch, &iov, 1, 0x20, NULL), ==, 2);
    g_assert_cmpint(memcmp(buf, "!!", 2), ==, 0);
    g_assert_true(gw_channel_read_all(ch, buf, 6, NULL));
    g_assert_cmpint(memcmp(buf, "onetwo", 6), ==, 0);
    g_assert_cmpint(gw_channel_readv(ch, &iov, 1, NULL), ==, 2);
    gw_channel_shutdown(ch);
    g_assert_cmpint(gw_channel_readv(ch, &iov, 1, NULL), ==, 0);
    gw_channel_unref(ch);

    unlink(path);
    gw_channel_unref(open_uri(uri, false, NULL));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    unlink(path);
    g_rmdir(dir);
}

static void test_file_refused(void)
{
    g_autofree char *dir = g_dir_make_tmp("godwit-io-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "f", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    g_autofree char *text = g_strdup_printf("Unable to open '%s': No such file or directory", path);
    g_autofree char *fifo = g_strdup_printf(
        "file: '%s' is a pipe: use exec:cat or fd: instead", path);
    g_autoptr(GError) err = NULL;

    g_assert_null(open_uri(uri, true, &err));
    g_assert_cmpstr(err->message, ==, text);
    g_clear_error(&err);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_null(open_uri(uri, true, &err)); /* and does not wait for a writer */
    g_assert_cmpstr(err->message, ==, fifo);
    unlink(path);
    g_rmdir(dir);
}

static void test_file_full(void)
{
    g_autoptr(GError) err = NULL;
    GwChannel *ch = open_uri("file:/dev/full", false, NULL);

    g_assert_nonnull(ch);
    g_assert_false(gw_channel_write_all(ch, "x", 1, &err));
    g_assert_cmpstr(err->message, ==,
                    "channel 'main': Unable to write to file: No space left on device");
    gw_channel_unref(ch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel-fd/pipe", test_fd_pipe);
    g_test_add_func("/channel-fd/shutdown", test_fd_shutdown);
    g_test_add_func("/channel-fd/sigpipe", test_fd_sigpipe);
    g_test_add_func("/channel-fd/socket", test_fd_socket);
    g_test_add_func("/channel-fd/refused", test_fd_refused);
    g_test_add_func("/channel-fd/name", test_fd_name);
    g_test_add_func("/channel-exec/out", test_exec_out);
    g_test_add_func("/channel-exec/duplex", test_exec_duplex);
    g_test_add_func("/channel-exec/in", test_exec_in);
    g_test_add_func("/channel-exec/fails", test_exec_fails);
    g_test_add_func("/channel-exec/missing", test_exec_missing);
    g_test_add_func("/channel-exec/shutdown", test_exec_shutdown);
    g_test_add_func("/channel-file/read-write", test_file);
    g_test_add_func("/channel-file/refused", test_file_refused);
    g_test_add_func("/channel-file/full", test_file_full);
    return g_test_run();
}
