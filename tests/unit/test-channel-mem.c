/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The in-memory channel pair, and the loops of channel.c on top of it. */
#include "channel-mem.h"

#include <limits.h>
#include <string.h>

#include "io-helpers.h"

typedef struct Pair {
    GwChannel *a, *b;
} Pair;

static Pair pair_new(size_t capacity)
{
    Pair p;

    g_assert_true(gw_channel_mem_pair(capacity, &p.a, &p.b));
    return p;
}

static void pair_free(Pair *p)
{
    gw_channel_unref(p->a);
    gw_channel_unref(p->b);
}

static void test_transfer(void)
{
    static const size_t capacities[] = { 1, 7, 4096, 1 << 20 };

    for (size_t i = 0; i < G_N_ELEMENTS(capacities); i++) {
        Pair p = pair_new(capacities[i]);

        check_transfer(p.a, p.b, 3000);
        check_transfer(p.b, p.a, 3001);
        pair_free(&p);
    }
}

static void test_gather(void)
{
    const int n = IOV_MAX * 2 + 3;
    g_autofree struct iovec *iov = g_new0(struct iovec, n);
    g_autofree uint8_t *src = pattern_new(3 * (size_t)n);
    g_autofree uint8_t *got = g_malloc(3 * (size_t)n);
    Pair p = pair_new(3 * (size_t)n);
    size_t total = 0;

    for (int i = 0; i < n; i++) {
        iov[i] = (struct iovec){ src + total, (size_t)(i % 4) }; /* empty ones too */
        total += (size_t)(i % 4);
    }
    g_assert_true(gw_channel_writev_all(p.a, iov, n, NULL));
    g_assert_true(gw_channel_read_all(p.b, got, total, NULL));
    pattern_check(got, total);
    pair_free(&p);
}

static void test_peek(void)
{
    Pair p = pair_new(8);
    uint8_t buf[8] = { 0 };

    g_assert_cmpint(gw_channel_wait_readable(p.b, 0, NULL), ==, 0);
    g_assert_true(gw_channel_write_all(p.a, "abcd", 4, NULL));
    g_assert_cmpint(gw_channel_wait_readable(p.b, 0, NULL), ==, 1);
    g_assert_cmpint(gw_channel_peek(p.b, buf, 3, NULL), ==, 3);
    g_assert_cmpint(memcmp(buf, "abc", 3), ==, 0);
    g_assert_cmpint(gw_channel_peek(p.b, buf, 8, NULL), ==, 4);
    g_assert_true(gw_channel_read_all(p.b, buf, 4, NULL));
    g_assert_cmpint(memcmp(buf, "abcd", 4), ==, 0);
    g_assert_cmpint(gw_channel_wait_readable(p.b, 1, NULL), ==, 0);
    pair_free(&p);
}

static void test_end(void)
{
    Pair p = pair_new(8);
    g_autoptr(GError) err = NULL;
    uint8_t buf[8];

    gw_channel_set_name(p.b, "preempt");
    g_assert_true(gw_channel_write_all(p.a, "abc", 3, NULL));
    g_assert_true(gw_channel_finish(p.a, NULL));
    g_assert_false(gw_channel_read_all(p.b, buf, 8, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
    g_assert_cmpstr(err->message, ==, "channel 'preempt': the stream ended after 3 of 8 bytes");
    /* The other direction still works. */
    check_transfer(p.b, p.a, 100);
    g_clear_pointer(&p.a, gw_channel_unref);
    g_clear_error(&err);
    g_assert_false(gw_channel_write_all(p.b, buf, 1, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);
    g_assert_true(g_str_has_prefix(err->message, "channel 'preempt': "));
    pair_free(&p);
}

static void test_shutdown(void)
{
    Pair p = pair_new(64);

    check_shutdown_wakes(p.a, NULL);
    pair_free(&p);
    p = pair_new(64);
    check_shutdown_wakes(NULL, p.a);
    g_assert_cmpint(gw_channel_wait_readable(p.a, -1, NULL), ==, 1);
    pair_free(&p);
}

static void test_unsupported(void)
{
    Pair p = pair_new(8);
    g_autoptr(GError) err = NULL;
    char byte;
    const struct iovec iov = { &byte, 1 };

    g_assert_true(gw_channel_has(p.a, GW_CHANNEL_DUPLEX));
    g_assert_false(gw_channel_has(p.a, GW_CHANNEL_SEEKABLE));
    g_assert_cmpint(gw_channel_preadv(p.a, &iov, 1, 0, &err), ==, -1);
    g_assert_error(err, GW_ERROR, GW_ERROR_UNSUPPORTED);
    g_assert_cmpint(gw_channel_fd(p.a), ==, -1);
    pair_free(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel-mem/transfer", test_transfer);
    g_test_add_func("/channel-mem/gather", test_gather);
    g_test_add_func("/channel-mem/peek", test_peek);
    g_test_add_func("/channel-mem/end", test_end);
    g_test_add_func("/channel-mem/shutdown", test_shutdown);
    g_test_add_func("/channel-mem/unsupported", test_unsupported);
    return g_test_run();
}
