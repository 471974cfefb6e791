/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Character devices: socket server and client, one client after the other, descriptors that come
 * along, files, pseudo terminals, the multiplexer, and readers who do not read. */
#include "chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd-table.h"

typedef struct Front {
    Chardev *chr;
    GString *in;
    int opened, closed;
    size_t room;  /* what can_read says */
} Front;

static size_t front_can_read(void *opaque)
{
    return ((Front *)opaque)->room;
}

static void front_read(void *opaque, const uint8_t *buf, size_t len)
{
    Front *f = opaque;

    g_string_append_len(f->in, (const char *)buf, (gssize)len);
}

static void front_event(void *opaque, ChardevEvent ev)
{
    Front *f = opaque;

    f->opened += ev == CHARDEV_OPENED;
    f->closed += ev == CHARDEV_CLOSED;
}

static const ChardevHandlers handlers = {
    .can_read = front_can_read,
    .read = front_read,
    .event = front_event,
};

static char *tmp_dir;

static char *tmp_path(const char *name)
{
    return g_build_filename(tmp_dir, name, NULL);
}

static Chardev *open_chardev(const ChardevConfig *conf)
{
    g_autoptr(GError) err = NULL;
    FdTable *fds = fd_table_new();
    Chardev *c = chardev_new(conf, fds, &err);

    g_assert_no_error(err);
    fd_table_free(fds);
    return c;
}

static Front *front_new(const ChardevConfig *conf)
{
    Front *f = g_new0(Front, 1);

    f->in = g_string_new(NULL);
    f->room = 4096;
    f->chr = open_chardev(conf);
    chardev_set_handlers(f->chr, &handlers, f);
    return f;
}

static void front_free(Front *f)
{
    chardev_free(f->chr);
    g_string_free(f->in, TRUE);
    g_free(f);
}

static gboolean ring(gpointer flag)
{
    *(bool *)flag = true;
    return G_SOURCE_REMOVE;
}

/* Runs the main loop until the condition holds; a test that waits for a minute has failed. */
#define run_until(cond) \
    do { \
        bool late_ = false; \
        guint id_ = g_timeout_add(60000, ring, &late_); \
        while (!(cond) && !late_) { \
            g_main_context_iteration(NULL, TRUE); \
        } \
        g_assert_true(cond); \
        if (!late_) { \
            g_source_remove(id_); \
        } \
    } while (0)

static void run_pending(void)
{
    for (int i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
}

static int unix_client(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return fd;
}

static void assert_reads(int fd, const char *text)
{
    char buf[64] = "";
    size_t done = 0;

    while (done < strlen(text)) {
        ssize_t n = read(fd, buf + done, strlen(text) - done);

        g_assert_cmpint(n, >, 0);
        done += (size_t)n;
    }
    g_assert_cmpstr(buf, ==, text);
}

static void test_server(void)
{
    g_autofree char *path = tmp_path("server");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .path = path,
                           .server = true };
    Front *f = front_new(&conf);
    g_autofree char *down = chardev_describe(f->chr), *up = NULL, *want = NULL;
    int a, b;

    want = g_strdup_printf("disconnected:unix:%s,server=on", path);
    g_assert_cmpstr(down, ==, want);
    g_assert_cmpint(f->opened, ==, 0);
    g_assert_cmpuint(chardev_write(f->chr, "lost", 4), ==, 4);

    a = unix_client(path);
    run_until(f->opened == 1);
    up = chardev_describe(f->chr);
    g_assert_cmpstr(up, ==, want + strlen("disconnected:"));
    g_assert_cmpint(write(a, "ping", 4), ==, 4);
    run_until(!strcmp(f->in->str, "ping"));
    chardev_write(f->chr, "pong", 4);
    assert_reads(a, "pong");

    /* The second waits until the first has gone. */
    b = unix_client(path);
    g_assert_cmpint(write(b, "two", 3), ==, 3);
    run_pending();
    g_assert_cmpint(f->opened, ==, 1);
    close(a);
    run_until(f->opened == 2);
    g_assert_cmpint(f->closed, ==, 1);
    run_until(!strcmp(f->in->str, "pingtwo"));
    chardev_write(f->chr, "yes", 3);
    assert_reads(b, "yes");
    close(b);
    run_until(f->closed == 2);
    front_free(f);
    g_assert_cmpint(access(path, F_OK), !=, 0); /* the socket is removed */
}

static void test_client(void)
{
    g_autofree char *path = tmp_path("client");
    ChardevConfig sconf = { .id = (char *)"s", .backend = (char *)"socket", .path = path,
                            .server = true };
    ChardevConfig cconf = { .id = (char *)"c", .backend = (char *)"socket", .path = path };
    Front *server = front_new(&sconf);
    Front *client = front_new(&cconf);

    g_assert_cmpint(client->opened, ==, 1);
    run_until(server->opened == 1);
    chardev_write(client->chr, "hello", 5);
    run_until(!strcmp(server->in->str, "hello"));
    chardev_write(server->chr, "world", 5);
    run_until(!strcmp(client->in->str, "world"));
    front_free(server);
    run_until(client->closed == 1);
    g_assert_false(chardev_is_open(client->chr));
    front_free(client);
}

static void test_tcp(void)
{
    ChardevConfig sconf = { .id = (char *)"s", .backend = (char *)"socket",
                            .host = (char *)"127.0.0.1", .port = (char *)"0", .server = true };
    Front *server = front_new(&sconf);
    g_autofree char *where = chardev_describe(server->chr), *up = NULL;
    g_auto(GStrv) parts = g_strsplit_set(where, ":,", -1);
    ChardevConfig cconf = { .id = (char *)"c", .backend = (char *)"socket",
                            .host = (char *)"127.0.0.1", .port = parts[3], .nodelay = true };
    Front *client = front_new(&cconf);

    run_until(server->opened == 1);
    up = chardev_describe(server->chr);
    g_assert_nonnull(strstr(up, ",server=on <-> 127.0.0.1:"));
    chardev_write(client->chr, "tcp", 3);
    run_until(!strcmp(server->in->str, "tcp"));
    front_free(client);
    run_until(server->closed == 1);
    front_free(server);
}

static void test_no_server(void)
{
    g_autofree char *path = tmp_path("nobody");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .path = path };
    FdTable *fds = fd_table_new();
    g_autoptr(GError) err = NULL;
    g_autofree char *want = g_strdup_printf("chardev 'c': Failed to connect to '%s': No such file "
                                            "or directory", path);

    g_assert_null(chardev_new(&conf, fds, &err));
    g_assert_cmpstr(err->message, ==, want);
    fd_table_free(fds);
}

static void test_inherited(void)
{
    g_autofree char *path = tmp_path("inherited");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), client;
    g_autofree char *number = g_strdup_printf("%d", fd);
    ChardevConfig conf = { .id = (char *)"charmonitor", .backend = (char *)"socket", .fd = number,
                           .server = true };
    Front *f;

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    client = unix_client(path); /* connects before anybody serves */
    f = front_new(&conf);
    run_until(f->opened == 1);
    close(client);
    run_until(f->closed == 1);
    client = unix_client(path);
    run_until(f->opened == 2);
    close(client);
    front_free(f);
}

static void test_bad_inherited(void)
{
    int fds_pair[2];
    FdTable *fds = fd_table_new();
    g_autoptr(GError) err = NULL;
    g_autofree char *number = NULL;
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .server = true };

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds_pair), ==, 0);
    conf.fd = number = g_strdup_printf("%d", fds_pair[0]);
    g_assert_null(chardev_new(&conf, fds, &err));
    g_assert_nonnull(strstr(err->message, "does not listen"));
    close(fds_pair[1]);
    fd_table_free(fds);
}

static void send_fd(int sock, const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { (void *)text, strlen(text) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control) };
    struct cmsghdr *h;

    memset(&control, 0, sizeof(control));
    h = CMSG_FIRSTHDR(&msg);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof(int));
    g_assert_cmpint(sendmsg(sock, &msg, 0), ==, (ssize_t)strlen(text));
}

static void test_fd_passing(void)
{
    g_autofree char *path = tmp_path("scm");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .path = path,
                           .server = true };
    Front *f = front_new(&conf);
    int client = unix_client(path), pipe_fds[2], got;

    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    run_until(f->opened == 1);
    send_fd(client, "getfd", pipe_fds[1]);
    close(pipe_fds[1]);
    run_until(!strcmp(f->in->str, "getfd"));
    got = chardev_take_fd(f->chr);
    g_assert_cmpint(got, >=, 0);
    g_assert_cmpint(chardev_take_fd(f->chr), ==, -1);
    g_assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(write(got, "x", 1), ==, 1);
    assert_reads(pipe_fds[0], "x");
    close(got);
    /* What nobody takes is closed with the connection. */
    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    send_fd(client, "again", pipe_fds[1]);
    close(pipe_fds[1]);
    run_until(strstr(f->in->str, "again"));
    close(client);
    run_until(f->closed == 1);
    g_assert_cmpint(read(pipe_fds[0], (char[1]){ 0 }, 1), ==, 0);
    close(pipe_fds[0]);
    front_free(f);
}

static void test_flow_control(void)
{
    g_autofree char *path = tmp_path("flow");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .path = path,
                           .server = true };
    Front *f = front_new(&conf);
    int client = unix_client(path);

    run_until(f->opened == 1);
    f->room = 0;
    g_assert_cmpint(write(client, "abcdef", 6), ==, 6);
    run_pending();
    g_assert_cmpstr(f->in->str, ==, "");
    f->room = 2;
    chardev_accept_input(f->chr);
    run_until(f->in->len >= 2);
    f->room = 4096;
    run_until(!strcmp(f->in->str, "abcdef"));
    close(client);
    front_free(f);
}

/* A megabyte from another thread to a reader who comes late: nothing is lost, nobody blocks. */
static gpointer write_much(gpointer chr)
{
    for (int i = 0; i < 1024; i++) {
        char block[1024];

        memset(block, 'a' + i % 26, sizeof(block));
        chardev_write(chr, block, sizeof(block));
    }
    return NULL;
}

static void test_slow_reader(void)
{
    g_autofree char *path = tmp_path("slow");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .path = path,
                           .server = true };
    Front *f = front_new(&conf);
    int client = unix_client(path);
    size_t got = 0;

    run_until(f->opened == 1);
    g_thread_join(g_thread_new("writer", write_much, f->chr));
    fcntl(client, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 100000 && got < 1024 * 1024; i++) {
        char buf[8192];
        ssize_t n = read(client, buf, sizeof(buf));

        for (ssize_t k = 0; k < n; k++) {
            g_assert_cmpint(buf[k], ==, 'a' + (int)((got + (size_t)k) / 1024 % 26));
        }
        got += n > 0 ? (size_t)n : 0;
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmpuint(got, ==, 1024 * 1024);
    close(client);
    front_free(f);
}

static void test_file(void)
{
    g_autofree char *path = tmp_path("file"), *text = NULL, *what = NULL;
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"file", .path = path };
    Front *f;

    g_assert_true(g_file_set_contents(path, "old", -1, NULL));
    f = front_new(&conf);
    g_assert_cmpint(f->opened, ==, 1);
    what = chardev_describe(f->chr);
    g_assert_cmpstr(what, ==, "file");
    chardev_write(f->chr, "AB", 2);
    front_free(f);
    conf.append = true;
    f = front_new(&conf);
    chardev_write(f->chr, "C", 1);
    front_free(f);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "ABC");
    unlink(path);
}

static void test_fdset_file(void)
{
    g_autofree char *path = tmp_path("fdset"), *text = NULL;
    ChardevConfig conf = { .id = (char *)"charserial0", .backend = (char *)"file",
                           .path = (char *)"/dev/fdset/0", .append = true };
    FdTable *fds = fd_table_new();
    g_autoptr(GError) err = NULL;
    Chardev *c;

    fd_table_set_add(fds, 0, open(path, O_WRONLY | O_CREAT, 0600), "serial0-source", NULL);
    c = chardev_new(&conf, fds, &err);
    g_assert_no_error(err);
    chardev_write(c, "AB", 2);
    chardev_free(c);
    fd_table_free(fds);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "AB");
    unlink(path);
}

static void test_log(void)
{
    g_autofree char *path = tmp_path("log"), *text = NULL;
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"null", .logfile = path };
    Front *f = front_new(&conf);

    chardev_write(f->chr, "logged", 6);
    front_free(f);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "logged");
    unlink(path);
}

static void test_pty(void)
{
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"pty" };
    Front *f = front_new(&conf);
    g_autofree char *what = chardev_describe(f->chr);
    int fd;

    g_assert_true(g_str_has_prefix(what, "pty:/dev/pts/"));
    for (int i = 0; i < 2; i++) { /* users come and go */
        g_string_truncate(f->in, 0);
        fd = open(what + strlen("pty:"), O_RDWR | O_NOCTTY);
        g_assert_cmpint(fd, >=, 0);
        chardev_write(f->chr, "A\r\n", 3);
        assert_reads(fd, "A\r\n");
        g_assert_cmpint(write(fd, "x\n", 2), ==, 2);
        run_until(!strcmp(f->in->str, "x\n"));
        close(fd);
    }
    front_free(f);
}

static void test_mux(void)
{
    g_autofree char *path = tmp_path("mux");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"socket", .path = path,
                           .server = true, .mux = true };
    Front *serial = front_new(&conf);
    Front monitor = { .chr = serial->chr, .in = g_string_new(NULL), .room = 4096 };
    int client = unix_client(path);

    chardev_set_handlers(serial->chr, &handlers, &monitor);
    run_until(serial->opened == 1);
    g_assert_cmpint(monitor.opened, ==, 0);
    g_assert_cmpint(write(client, "s\001cm\001\001", 6), ==, 6);
    run_until(monitor.in->len == 2);
    g_assert_cmpstr(serial->in->str, ==, "s");
    g_assert_cmpstr(monitor.in->str, ==, "m\001");
    g_assert_cmpint(monitor.opened, ==, 1);
    g_assert_cmpint(write(client, "\001cs", 3), ==, 3);
    run_until(!strcmp(serial->in->str, "ss"));
    g_assert_cmpint(serial->opened, ==, 1);
    chardev_set_handlers(serial->chr, NULL, &monitor);
    close(client);
    run_until(serial->closed == 1);
    g_assert_cmpint(monitor.closed, ==, 0);
    g_string_free(monitor.in, TRUE);
    front_free(serial);
}

static void test_pipe(void)
{
    g_autofree char *base = tmp_path("fifo"), *in = tmp_path("fifo.in");
    g_autofree char *out = tmp_path("fifo.out");
    ChardevConfig conf = { .id = (char *)"c", .backend = (char *)"pipe", .path = base };
    Front *f;
    int w, r;

    g_assert_cmpint(mkfifo(in, 0600), ==, 0);
    g_assert_cmpint(mkfifo(out, 0600), ==, 0);
    f = front_new(&conf);
    w = open(in, O_WRONLY);
    r = open(out, O_RDONLY);
    g_assert_cmpint(write(w, "in", 2), ==, 2);
    run_until(!strcmp(f->in->str, "in"));
    chardev_write(f->chr, "out", 3);
    assert_reads(r, "out");
    close(w);
    close(r);
    front_free(f);
    unlink(in);
    unlink(out);
}

int main(int argc, char **argv)
{
    int rc;

    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
    g_test_add_func("/chardev/server", test_server);
    g_test_add_func("/chardev/client", test_client);
    g_test_add_func("/chardev/tcp", test_tcp);
    g_test_add_func("/chardev/no-server", test_no_server);
    g_test_add_func("/chardev/inherited", test_inherited);
    g_test_add_func("/chardev/bad-inherited", test_bad_inherited);
    g_test_add_func("/chardev/fd-passing", test_fd_passing);
    g_test_add_func("/chardev/flow-control", test_flow_control);
    g_test_add_func("/chardev/slow-reader", test_slow_reader);
    g_test_add_func("/chardev/file", test_file);
    g_test_add_func("/chardev/fdset-file", test_fdset_file);
    g_test_add_func("/chardev/log", test_log);
    g_test_add_func("/chardev/pty", test_pty);
    g_test_add_func("/chardev/mux", test_mux);
    g_test_add_func("/chardev/pipe", test_pipe);
    rc = g_test_run();
    rmdir(tmp_dir);
    g_free(tmp_dir);
    return rc;
}
