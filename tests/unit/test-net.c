/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network backends with a card of the test's: frames of all sizes both ways, in order; a card
 * without room, a peer that does not read, lengths that no frame has, peers that come and go, the
 * link, and requests of other threads. Nothing runs but what the test polls. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "machine-fixture.h"
#include "net-announce.h"
#include "net.h"

#define FRAMES 300

typedef struct Card {
    NetBackend *nb;
    unsigned got, ready, links, announced;
    bool full;
    uint32_t sizes[FRAMES];
    bool wrong;
} Card;

static char *dir;

/* The bytes of the i-th frame. */
static uint32_t frame_len(unsigned i)
{
    return i % 7 == 0 ? NET_FRAME_MAX : 1 + (i * 7919) % 3000;
}

static void fill(uint8_t *buf, unsigned i)
{
    for (uint32_t k = 0; k < frame_len(i); k++) {
        buf[k] = i * 31 + k;
    }
}

static bool card_receive(void *dev, unsigned queue, const uint8_t *frame, size_t len)
{
    Card *c = dev;
    g_autofree uint8_t *expected = g_malloc(NET_FRAME_MAX);

    if (c->full) {
        return false;
    }
    fill(expected, c->got);
    c->wrong |= queue != 0 || len != frame_len(c->got) || memcmp(frame, expected, len) != 0;
    c->got++;
    return true;
}

static void card_send_ready(void *dev, unsigned queue)
{
    ((Card *)dev)->ready++;
}

static void card_link(void *dev)
{
    ((Card *)dev)->links++;
}

static void card_announce(void *dev)
{
    ((Card *)dev)->announced++;
}

static const NetDeviceOps card_ops = {
    .receive = card_receive,
    .send_ready = card_send_ready,
    .link_changed = card_link,
    .announce = card_announce,
};

/* Polls until there is nothing more to do. */
static void settle(const Card *c)
{
    struct pollfd p = { .fd = net_poll_fd(c->nb), .events = POLLIN };

    while (poll(&p, 1, 0) > 0) {
        net_poll(c->nb);
    }
}

static NetdevConfig *add_netdev(MachineConfig *c, const char *id, const char *kind)
{
    NetdevConfig *n = g_new0(NetdevConfig, 1);

    n->id = g_strdup(id);
    n->type = g_strdup(kind);
    n->kind = kind;
    n->fds = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(c->netdevs, n);
    return n;
}

static Card attach(Machine *m, const char *id)
{
    return (Card){ .nb = net_find(m, id) };
}

static void plug(Card *c)
{
    GError *err = NULL;

    g_assert_nonnull(c->nb);
    g_assert_true(net_attach(c->nb, "card", &card_ops, c, &err));
    g_assert_no_error(err);
}

static bool send_frame(Card *c, unsigned i)
{
    g_autofree uint8_t *buf = g_malloc(NET_FRAME_MAX);
    uint32_t len = frame_len(i), half = len / 2;
    struct iovec iov[] = { { buf, half }, { buf + half, len - half } };

    fill(buf, i);
    return net_send(c->nb, 0, iov, 2);
}

/* Sends all frames from a to b, each waiting for the other where it has to. */
static void transfer(Card *a, Card *b)
{
    unsigned sent = 0, refused = 0;

    b->got = 0;
    for (unsigned round = 0; b->got < FRAMES; round++) {
        g_assert_cmpuint(round, <, 100000);
        while (sent < FRAMES && send_frame(a, sent)) {
            sent++;
        }
        refused += sent < FRAMES;
        /* Now and then the card has no room for a while. */
        b->full = round % 3 == 0;
        settle(b);
        b->full = false;
        net_receive_ready(b->nb, 0);
        settle(b);
        settle(a);
    }
    g_assert_false(b->wrong);
    g_assert_cmpuint(b->got, ==, FRAMES);
    g_assert_cmpuint(a->ready > 0, ==, refused > 0);
}

static void stream_pair(MachineConfig *c, const char *path)
{
    NetdevConfig *server = add_netdev(c, "server", "stream");
    NetdevConfig *client = add_netdev(c, "client", "stream");

    server->server = true;
    server->local.path = g_strdup(path);
    client->remote.path = g_strdup(path);
}

static void test_stream(void)
{
    g_autofree char *path = g_build_filename(dir, "stream", NULL);
    g_autoptr(MachineConfig) conf = fixture_config(1);

    stream_pair(conf, path);

    Machine *m = fixture_machine(conf);
    Card a = attach(m, "server"), b = attach(m, "client");

    plug(&a);
    plug(&b);
    settle(&a); /* accepts */
    transfer(&a, &b);
    transfer(&b, &a);
    machine_free(m);
    g_assert_cmpint(g_access(path, F_OK), !=, 0);
}

static int raw_client(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return fd;
}

/* A peer that sends nonsense is cut off, and the next one is served. */
static void test_bad_lengths(void)
{
    static const uint8_t bad[][4] = { { 0, 0, 0, 0 }, { 0xff, 0xff, 0xff, 0xff }, { 0, 1, 0, 65 } };
    g_autofree char *path = g_build_filename(dir, "bad", NULL);
    g_autoptr(MachineConfig) conf = fixture_config(1);
    NetdevConfig *server = add_netdev(conf, "server", "stream");

    server->server = true;
    server->local.path = g_strdup(path);

    Machine *m = fixture_machine(conf);
    Card a = attach(m, "server");

    plug(&a);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = raw_client(path);
        char byte;

        settle(&a);
        g_assert_cmpint(write(fd, bad[i], 4), ==, 4);
        settle(&a);
        g_assert_cmpint(read(fd, &byte, 1), ==, 0);
        close(fd);
    }
    g_assert_cmpuint(a.got, ==, 0);

    /* Byte by byte, two frames in one go, one that never ends. */
    static const uint8_t good[] = { 0, 0, 0, 1, 'x' };
    int fd = raw_client(path);

    settle(&a);
    a.full = true;
    for (size_t i = 0; i < sizeof(good); i++) {
        g_assert_cmpint(write(fd, good + i, 1), ==, 1);
        settle(&a);
    }
    g_assert_cmpuint(a.got, ==, 0);
    a.full = false;
    net_receive_ready(a.nb, 0);
    g_assert_cmpuint(a.got, ==, 1);
    close(fd);
    settle(&a);
    g_assert_true(send_frame(&a, 0)); /* to nobody */
    machine_free(m);
}

/* The peer reads nothing: the sender is told, and goes on when the peer has gone. */
static void test_peer_does_not_read(void)
{
    g_autofree char *path = g_build_filename(dir, "deaf", NULL);
    g_autoptr(MachineConfig) conf = fixture_config(1);

    stream_pair(conf, path);

    Machine *m = fixture_machine(conf);
    Card a = attach(m, "server"), b = attach(m, "client");
    unsigned sent = 0;

    plug(&a);
    plug(&b);
    settle(&a);
    b.full = true;
    while (send_frame(&a, sent)) {
        g_assert_cmpuint(++sent, <, 100000);
    }
    settle(&a);
    g_assert_cmpuint(a.ready, ==, 0);
    net_detach(b.nb);
    for (unsigned i = 0; i < 100 && !a.ready; i++) {
        settle(&b);
        net_receive_ready(b.nb, 0); /* without a card frames are dropped */
        settle(&a);
    }
    g_assert_cmpuint(a.ready, >, 0);
    machine_free(m);
}

static void test_dgram(void)
{
    g_autofree char *one = g_build_filename(dir, "one", NULL);
    g_autofree char *two = g_build_filename(dir, "two", NULL);
    g_autoptr(MachineConfig) conf = fixture_config(1);
    NetdevConfig *x = add_netdev(conf, "x", "dgram"), *y = add_netdev(conf, "y", "dgram");

    x->local.path = g_strdup(one);
    x->remote.path = g_strdup(two);
    y->local.path = g_strdup(two);
    y->remote.path = g_strdup(one);

    Machine *m = fixture_machine(conf);
    Card a = attach(m, "x"), b = attach(m, "y");

    plug(&a);
    plug(&b);
    transfer(&a, &b);
    transfer(&b, &a);
    machine_free(m);
}

static void test_link(void)
{
    g_autofree char *path = g_build_filename(dir, "link", NULL);
    g_autoptr(MachineConfig) conf = fixture_config(1);
    g_autoptr(GError) err = NULL;

    stream_pair(conf, path);

    Machine *m = fixture_machine(conf);
    Card a = attach(m, "server"), b = attach(m, "client");

    plug(&a);
    plug(&b);
    settle(&a);
    g_assert_true(net_set_link(m, "server", false, &err));
    g_assert_cmpuint(a.links, ==, 0); /* on the card's own thread only */
    settle(&a);
    g_assert_cmpuint(a.links, ==, 1);
    g_assert_false(net_link_up(a.nb));
    g_assert_true(send_frame(&a, 0));
    g_assert_true(send_frame(&b, 0));
    settle(&a);
    settle(&b);
    g_assert_cmpuint(a.got + b.got, ==, 0);
    g_assert_true(net_set_link(m, "server", true, &err));
    g_assert_true(send_frame(&a, 0));
    settle(&b);
    g_assert_cmpuint(b.got, ==, 1);
    g_assert_no_error(err);
    g_assert_false(net_set_link(m, "nope", true, &err));
    g_assert_nonnull(strstr(err->message, "'nope' not found"));
    machine_free(m);
}

/* As many rounds as asked for, to the cards that are meant; a new series ends the old one. */
static void test_announce(void)
{
    g_autofree char *path = g_build_filename(dir, "announce", NULL);
    g_autoptr(MachineConfig) conf = fixture_config(1);
    static const char *const names[] = { "client", NULL };
    NetAnnounceParams p = { .rounds = 4 };

    stream_pair(conf, path);

    Machine *m = fixture_machine(conf);
    Card a = attach(m, "server"), b = attach(m, "client");

    plug(&a);
    plug(&b);
    net_announce(m, &(NetAnnounceParams){ .initial = 3600000, .rounds = 9 }, NULL, "x");
    net_announce(m, &p, names, "x");
    while (b.announced < 4) {
        g_main_context_iteration(NULL, TRUE);
        settle(&a);
        settle(&b);
    }
    while (g_main_context_iteration(NULL, FALSE)) {
        settle(&b);
    }
    g_assert_cmpuint(b.announced, ==, 4);
    g_assert_cmpuint(a.announced, ==, 0);
    net_announce(m, &(NetAnnounceParams){ .initial = 3600000, .rounds = 1 }, NULL, NULL);
    machine_free(m); /* with one that is under way */
}

static void test_errors(void)
{
    static const struct {
        const char *kind, *path, *fd, *error;
    } cases[] = {
        { "stream", "/nonexistent/x", NULL, "can't connect to /nonexistent/x" },
        { "dgram", NULL, "no-such-fd", "no-such-fd" },
        { "stream", NULL, "0", "stream socket" },
        { "tap", NULL, "0", "tap interface" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(MachineConfig) conf = fixture_config(1);
        g_autoptr(GError) err = NULL;
        NetdevConfig *n = add_netdev(conf, "n0", cases[i].kind);
        int null = open("/dev/null", O_RDONLY);
        g_autofree char *number = g_strdup_printf("%d", null);

        n->queues = 1;
        n->remote.path = g_strdup(cases[i].path);
        if (cases[i].fd) {
            const char *fd = *cases[i].fd == '0' ? number : cases[i].fd;

            n->local.fd = g_strdup(fd);
            g_ptr_array_add(n->fds, g_strdup(fd));
        }
        g_assert_null(machine_new(conf, &err));
        g_assert_nonnull(err);
        if (!strstr(err->message, cases[i].error) || !strstr(err->message, "id=n0")) {
            g_error("case %zu: %s", i, err->message);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-net-XXXXXX", NULL);
    g_test_add_func("/net/stream", test_stream);
    g_test_add_func("/net/bad-lengths", test_bad_lengths);
    g_test_add_func("/net/peer-does-not-read", test_peer_does_not_read);
    g_test_add_func("/net/dgram", test_dgram);
    g_test_add_func("/net/link", test_link);
    g_test_add_func("/net/announce", test_announce);
    g_test_add_func("/net/errors", test_errors);

    int rc = g_test_run();

    g_rmdir(dir);
    g_free(dir);
    return rc;
}
