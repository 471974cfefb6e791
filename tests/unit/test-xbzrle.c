/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XBZRLE codec: known samples of the wire, random round trips, every malformed input. */
#include "xbzrle.h"

#include <string.h>

#include "migration/error.h"
#include "migration/ram.h"

#define PAGE GW_TARGET_PAGE_SIZE

static uint8_t old[PAGE], now[PAGE], out[PAGE];

static void test_samples(void)
{
    static const uint8_t first[] = {0x00, 0x01, 0x2f};
    static const uint8_t two[] = {0x64, 0x02, 0xaa, 0xbb, 0x99, 0x1f, 0x01, 0xcc};
    int n;

    memset(old, 0, PAGE);
    memset(now, 0, PAGE);
    g_assert_cmpint(xbzrle_encode(old, now, PAGE, out, PAGE), ==, 0);
    now[0] = 0x2f;
    n = xbzrle_encode(old, now, PAGE, out, PAGE);
    g_assert_cmpmem(out, n, first, sizeof(first));
    now[0] = 0;
    now[100] = 0xaa;
    now[101] = 0xbb;
    now[4095] = 0xcc;
    n = xbzrle_encode(old, now, PAGE, out, PAGE);
    g_assert_cmpmem(out, n, two, sizeof(two));
    g_assert_true(xbzrle_decode(out, (size_t)n, old, PAGE, NULL));
    g_assert_cmpmem(old, PAGE, now, PAGE);
}

static void test_overflow(void)
{
    memset(old, 0, PAGE);
    memset(now, 1, PAGE);
    g_assert_cmpint(xbzrle_encode(old, now, PAGE, out, PAGE), ==, -1);
    g_assert_cmpint(xbzrle_encode(old, now, 10, out, 12), ==, 12);
    g_assert_cmpint(xbzrle_encode(old, now, 10, out, 11), ==, -1);
}

static void test_round_trips(void)
{
    const uint32_t seed = g_test_rand_int_range(1, G_MAXINT32);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    g_test_message("seed %u", seed);
    for (unsigned round = 0; round < 3000; round++) {
        const int changes = g_rand_int_range(rand, 0, 60);
        int n;

        for (size_t i = 0; i < PAGE; i++) {
            old[i] = now[i] = (uint8_t)g_rand_int_range(rand, 0, 3);
        }
        for (int i = 0; i < changes; i++) {
            const size_t at = (size_t)g_rand_int_range(rand, 0, PAGE);
            const size_t len = (size_t)g_rand_int_range(rand, 1, 200);

            for (size_t k = at; k < at + len && k < PAGE; k++) {
                now[k] = (uint8_t)g_rand_int(rand);
            }
        }
        n = xbzrle_encode(old, now, PAGE, out, PAGE);
        if (n < 0) {
            continue;
        }
        g_assert_cmpint(n == 0, ==, memcmp(old, now, PAGE) == 0);
        g_assert_true(xbzrle_decode(out, (size_t)n, old, PAGE, NULL));
        g_assert_cmpmem(old, PAGE, now, PAGE);
    }
}

static void refuse(const char *what, const uint8_t *enc, size_t len)
{
    GError *err = NULL;

    memset(old, 0, PAGE);
    g_assert_false(xbzrle_decode(enc, len, old, PAGE, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_PROTOCOL);
    if (!strstr(err->message, what)) {
        g_error("'%s' does not say '%s'", err->message, what);
    }
    g_clear_error(&err);
}

#define REFUSE(what, ...) \
    do { \
        const uint8_t enc_[] = {__VA_ARGS__}; \
        refuse(what, enc_, sizeof(enc_)); \
    } while (0)

static void test_malformed(void)
{
    REFUSE("bad length of an unchanged run", 0x05);
    REFUSE("bad length of an unchanged run", 0x85, 0x85, 0x01, 0x00);
    REFUSE("bad length of a changed run", 0x05, 0x01);
    REFUSE("bad length of a changed run", 0x01, 0x81, 0x81);
    REFUSE("empty changed run", 0x01, 0x00, 0x00);
    REFUSE("empty unchanged run", 0x00, 0x01, 0x2f, 0x00, 0x01, 0x2f);
    REFUSE("changed run too long", 0x01, 0x03, 0x11, 0x22);
    REFUSE("changed run too long", 0xff, 0x1f, 0x02, 0x11, 0x22);
    REFUSE("past the page's end", 0x81, 0x20, 0x01, 0x22);
    g_assert_true(xbzrle_decode(NULL, 0, old, PAGE, NULL));
}

/* Random bytes never write outside the page (the sanitizers look) and never loop. */
static void test_garbage(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)g_test_rand_int());

    for (unsigned round = 0; round < 20000; round++) {
        const size_t len = (size_t)g_rand_int_range(rand, 0, 64);
        g_autofree uint8_t *enc = g_malloc(len + 1);
        g_autofree uint8_t *page = g_malloc0(PAGE);

        for (size_t i = 0; i < len; i++) {
            enc[i] = (uint8_t)(g_rand_int(rand) >> g_rand_int_range(rand, 0, 8));
        }
        xbzrle_decode(enc, len, page, PAGE, NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xbzrle/samples", test_samples);
    g_test_add_func("/xbzrle/overflow", test_overflow);
    g_test_add_func("/xbzrle/round-trips", test_round_trips);
    g_test_add_func("/xbzrle/malformed", test_malformed);
    g_test_add_func("/xbzrle/garbage", test_garbage);
    return g_test_run();
}
