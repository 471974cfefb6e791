/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams: the bytes that typed puts make, gather writes without copies, holds, sticky errors on
 * both ends, look-ahead across refills, long reads.
 */
#include "stream.h"

#include <string.h>

#include "channel-mem.h"
#include "error.h"

/* A channel that keeps what is written and hands out what it was given, in small steps. */
typedef struct Tape {
    GByteArray *data;
    size_t read_pos, read_step, write_step;
    unsigned writes, reads;
    size_t max_iov;
    ssize_t fail_after; /* bytes until writes and reads fail; -1 never */
    const void *ref;    /* was a write made straight from here? */
    bool ref_seen;
} Tape;

static ssize_t tape_writev(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    Tape *t = opaque;
    size_t done = 0;

    t->writes++;
    t->max_iov = MAX(t->max_iov, (size_t)n);
    if (t->fail_after >= 0 && t->data->len >= (size_t)t->fail_after) {
        gw_fail(errp, GW_ERROR_IO, "tape: broken");
        return -1;
    }
    for (int i = 0; i < n && done < t->write_step; i++) {
        size_t len = MIN(iov[i].iov_len, t->write_step - done);

        t->ref_seen = t->ref_seen || iov[i].iov_base == t->ref;
        g_byte_array_append(t->data, iov[i].iov_base, (guint)len);
        done += len;
    }
    return (ssize_t)done;
}

static ssize_t tape_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    Tape *t = opaque;
    size_t done = 0;

    t->reads++;
    if (t->fail_after >= 0 && t->read_pos >= (size_t)t->fail_after) {
        gw_fail(errp, GW_ERROR_IO, "tape: broken");
        return -1;
    }
    for (int i = 0; i < n; i++) {
        size_t len = MIN(iov[i].iov_len, t->read_step - done);

        len = MIN(len, t->data->len - t->read_pos);
        if (len) {
            memcpy(iov[i].iov_base, t->data->data + t->read_pos, len);
        }
        t->read_pos += len;
        done += len;
    }
    return (ssize_t)done;
}

static void tape_shutdown(void *opaque)
{
}

static const GwChannelOps tape_ops = {
    .size = sizeof(GwChannelOps),
    .readv = tape_readv,
    .writev = tape_writev,
    .shutdown = tape_shutdown,
};

static GwChannel *tape_channel(Tape *t)
{
    *t = (Tape){.data = g_byte_array_new(), .read_step = SIZE_MAX, .write_step = SIZE_MAX,
                .fail_after = -1};
    return gw_channel_new(&tape_ops, t, 0, "main");
}

static void test_typed(void)
{
    static const uint8_t expected[] = {0x12, 0x12, 0x34, 0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56,
                                       0x78, 0x9a, 0xbc, 0xde, 0xf0, 'x',  'y',  3,    'r',  'a',
                                       'm'};
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(StreamReader) r = NULL;
    g_autoptr(GByteArray) bytes = NULL;
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    char name[256], two[2];

    stream_put_u8(w, 0x12);
    stream_put_be16(w, 0x1234);
    stream_put_be32(w, 0x12345678);
    stream_put_be64(w, 0x123456789abcdef0);
    stream_put_bytes(w, "xy", 2);
    stream_put_str8(w, "ram");
    g_assert_cmpuint(stream_written(w), ==, sizeof(expected));
    g_assert_null(stream_writer_channel(w));
    bytes = stream_writer_steal(w);
    g_assert_cmpmem(bytes->data, bytes->len, expected, sizeof(expected));

    r = stream_reader_new_mem(bytes->data, bytes->len, "package");
    g_assert_true(stream_get_u8(r, &v8, NULL) && v8 == 0x12);
    g_assert_true(stream_get_be16(r, &v16, NULL) && v16 == 0x1234);
    g_assert_true(stream_get_be32(r, &v32, NULL) && v32 == 0x12345678);
    g_assert_true(stream_get_be64(r, &v64, NULL) && v64 == 0x123456789abcdef0);
    g_assert_true(stream_get_bytes(r, two, 2, NULL));
    g_assert_true(stream_get_str8(r, name, NULL));
    g_assert_cmpstr(name, ==, "ram");
    g_assert_cmpuint(stream_consumed(r), ==, sizeof(expected));
    g_assert_null(stream_reader_channel(r));
}

/* Pages of a guest leave without being copied, many in one call, merged where they touch. */
static void test_gather(void)
{
    enum { PAGES = 3000 };
    g_autofree uint8_t *ram = g_malloc(PAGES * 4096);
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamWriter) w = NULL;
    Tape t;

    ch = tape_channel(&t);
    w = stream_writer_new(ch);
    t.ref = ram + 4096;
    for (size_t i = 0; i < PAGES * 4096; i++) {
        ram[i] = (uint8_t)(i * 7 + i / 4096);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        stream_put_be64(w, i);
        stream_put_ref(w, ram + i * 4096, 4096);
    }
    g_assert_true(stream_flush(w, NULL));
    g_assert_cmpuint(stream_written(w), ==, PAGES * 4104);
    g_assert_cmpuint(t.data->len, ==, PAGES * 4104);
    g_assert_true(t.ref_seen);
    g_assert_cmpuint(t.writes, <=, PAGES / 64 + 1);
    g_assert_cmpuint(t.max_iov, <=, 1024);
    for (unsigned i = 0; i < PAGES; i++) {
        const uint8_t *p = t.data->data + (size_t)i * 4104;
        uint64_t head;

        memcpy(&head, p, 8);
        g_assert_cmpuint(GUINT64_FROM_BE(head), ==, i);
        g_assert_cmpmem(p + 8, 4096, ram + i * 4096, 4096);
    }
    t.max_iov = 0;
    for (unsigned i = 0; i < 100; i++) {
        stream_put_ref(w, ram + i * 4096, 4096);
    }
    g_assert_true(stream_flush(w, NULL));
    g_assert_cmpuint(t.max_iov, ==, 1);
    g_byte_array_unref(t.data);
}

/* Rows of zeros are not copied, and there may be more than the writer has at hand. */
static void test_zeros(void)
{
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamWriter) w = NULL;
    const uint64_t n = 100000;
    Tape t;

    ch = tape_channel(&t);
    w = stream_writer_new(ch);
    stream_put_u8(w, 1);
    stream_put_zeros(w, n);
    stream_put_zeros(w, 0);
    stream_put_u8(w, 2);
    g_assert_cmpuint(stream_written(w), ==, n + 2);
    g_assert_true(stream_flush(w, NULL));
    g_assert_cmpuint(t.data->len, ==, n + 2);
    g_assert_cmpuint(t.data->data[0], ==, 1);
    g_assert_cmpuint(t.data->data[n + 1], ==, 2);
    for (uint64_t i = 1; i <= n; i++) {
        g_assert_cmpuint(t.data->data[i], ==, 0);
    }
    g_assert_cmpuint(t.max_iov, ==, 2 + n / (16 * 1024) + 1);
    g_byte_array_unref(t.data);
}

/* References are read at the flush, staged bytes at the put; short writes lose nothing. */
static void test_when_read(void)
{
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamWriter) w = NULL;
    char ref[4] = "abc", copy[4] = "abc";
    Tape t;

    ch = tape_channel(&t);
    t.write_step = 1;
    w = stream_writer_new(ch);
    stream_put_bytes(w, copy, 3);
    stream_put_ref(w, ref, 3);
    memcpy(ref, "xyz", 3);
    memcpy(copy, "xyz", 3);
    g_assert_cmpuint(t.data->len, ==, 0);
    g_assert_true(stream_flush(w, NULL));
    g_assert_cmpmem(t.data->data, t.data->len, "abcxyz", 6);
    g_byte_array_unref(t.data);
}

/* On hold nothing leaves, whatever the amount; afterwards everything does, in order. */
static void test_hold(void)
{
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamWriter) w = NULL;
    uint8_t page[64];
    Tape t;

    ch = tape_channel(&t);
    w = stream_writer_new(ch);
    memset(page, 0x55, sizeof(page));
    stream_put_u8(w, 1);
    stream_hold(w);
    stream_hold(w);
    for (unsigned i = 0; i < 40000; i++) {
        stream_put_be64(w, i);
        if (i % 4 == 0) {
            stream_put_ref(w, page, sizeof(page));
        }
    }
    stream_release(w);
    g_assert_cmpuint(t.writes, ==, 0);
    stream_release(w);
    g_assert_cmpuint(stream_written(w), ==, 1 + 40000 * 8 + 10000 * 64);
    g_assert_true(stream_flush(w, NULL));
    g_assert_cmpuint(t.data->len, ==, 1 + 40000 * 8 + 10000 * 64);
    g_assert_cmpuint(t.max_iov, <=, 1024);
    for (unsigned i = 0, at = 1; i < 40000; i++) {
        uint64_t v;

        memcpy(&v, t.data->data + at, 8);
        g_assert_cmpuint(GUINT64_FROM_BE(v), ==, i);
        at += i % 4 == 0 ? 8 + 64 : 8;
    }
    g_byte_array_unref(t.data);
}

static void test_writer_errors(void)
{
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamWriter) w = NULL;
    g_autoptr(StreamWriter) mem = stream_writer_new(NULL);
    g_autoptr(GError) err = NULL;
    g_autofree char *longer = g_strnfill(256, 'x');
    uint8_t page[4096] = {0};
    uint64_t before;
    Tape t;

    ch = tape_channel(&t);
    w = stream_writer_new(ch);
    t.fail_after = 0;
    stream_put_be64(w, 1);
    g_assert_null(stream_writer_error(w));
    g_assert_false(stream_flush(w, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);
    g_assert_nonnull(stream_writer_error(w));
    before = stream_written(w);
    t.writes = 0;
    for (unsigned i = 0; i < 5000; i++) {
        stream_put_u8(w, 1);
        stream_put_be64(w, i);
        stream_put_ref(w, page, sizeof(page));
        stream_put_bytes(w, page, sizeof(page));
    }
    g_assert_cmpuint(stream_written(w), ==, before);
    g_assert_cmpuint(t.writes, ==, 0);
    g_clear_error(&err);
    g_assert_false(stream_flush(w, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);

    stream_put_str8(mem, longer);
    g_assert_nonnull(stream_writer_error(mem));
    g_assert_cmpuint(stream_written(mem), ==, 0);
    g_byte_array_unref(t.data);
}

/* Every way to split the bytes gives the same fields; peeks reach across refills. */
static void test_reader_steps(void)
{
    for (size_t step = 1; step <= 40; step++) {
        g_autoptr(GwChannel) ch = NULL;
        g_autoptr(StreamReader) r = NULL;
        const uint8_t *p;
        uint8_t page[100];
        uint64_t v64;
        uint16_t v16;
        Tape t;

        ch = tape_channel(&t);
        for (unsigned i = 0; i < 300; i++) {
            uint8_t b = (uint8_t)i;

            g_byte_array_append(t.data, &b, 1);
        }
        t.read_step = step;
        r = stream_reader_new(ch);
        g_assert_true(stream_get_be16(r, &v16, NULL) && v16 == 0x0001);
        p = stream_peek(r, 50, NULL);
        g_assert_nonnull(p);
        g_assert_cmpuint(p[0], ==, 2);
        g_assert_cmpuint(p[49], ==, 51);
        g_assert_cmpuint(stream_consumed(r), ==, 2);
        g_assert_true(stream_get_be64(r, &v64, NULL) && v64 == 0x0203040506070809);
        g_assert_true(stream_skip(r, 90, NULL));
        g_assert_true(stream_get_bytes(r, page, 100, NULL));
        g_assert_cmpuint(page[0], ==, 100);
        g_assert_cmpuint(page[99], ==, 199);
        g_assert_cmpuint(stream_consumed(r), ==, 200);
        g_assert_true(stream_skip(r, 100, NULL));
        g_assert_false(stream_get_be16(r, &v16, NULL));
        g_byte_array_unref(t.data);
    }
}

static void test_reader_end(void)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem("\x05\x10zz", 4, "package");
    g_autoptr(GError) err = NULL;
    uint16_t v16;
    uint32_t v32;
    uint8_t v8;

    g_assert_null(stream_peek(r, 18, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
    g_clear_error(&err);
    g_assert_null(stream_peek(r, STREAM_PEEK_MAX + 1, &err));
    g_clear_error(&err);
    /* A failed look-ahead leaves what there is. */
    g_assert_true(stream_get_be16(r, &v16, NULL) && v16 == 0x0510);
    g_assert_false(stream_get_be32(r, &v32, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
    g_assert_nonnull(strstr(err->message, "package: stream ended"));
    g_clear_error(&err);
    /* A failed get does not: nothing can be out of step after it. */
    g_assert_false(stream_get_u8(r, &v8, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
    g_assert_false(stream_get_bytes(r, &v8, 1, NULL));
    g_assert_false(stream_skip(r, 1, NULL));
    g_assert_null(stream_peek(r, 1, NULL));
}

static void test_reader_broken(void)
{
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamReader) r = NULL;
    g_autoptr(GError) err = NULL;
    uint8_t v8;
    Tape t;

    ch = tape_channel(&t);
    g_byte_array_append(t.data, (const uint8_t *)"abcd", 4);
    t.fail_after = 4;
    r = stream_reader_new(ch);
    g_assert_true(stream_get_u8(r, &v8, NULL));
    g_assert_null(stream_peek(r, 20, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_IO);
    g_assert_false(stream_get_u8(r, &v8, NULL));
    g_byte_array_unref(t.data);
}

static void test_str8(void)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem("\0\3a\0b", 5, "main");
    g_autoptr(GError) err = NULL;
    char name[256];

    g_assert_true(stream_get_str8(r, name, NULL));
    g_assert_cmpstr(name, ==, "");
    g_assert_false(stream_get_str8(r, name, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_PROTOCOL);
}

/* Large reads land in the caller's memory together with what follows in the buffer. */
static void test_long_and_direct(void)
{
    g_autofree uint8_t *want = g_malloc(1 << 20);
    g_autofree uint8_t *got = g_malloc(1 << 20);
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamReader) r = NULL;
    const uint8_t *bytes;
    struct iovec iov;
    uint64_t v64;
    size_t n;
    Tape t;

    ch = tape_channel(&t);
    for (size_t i = 0; i < 1 << 20; i++) {
        want[i] = (uint8_t)(i * 31 + i / 257);
    }
    g_byte_array_append(t.data, (const uint8_t *)"headhead", 8);
    g_byte_array_append(t.data, want, 1 << 20);
    g_byte_array_append(t.data, want, 1 << 20);
    r = stream_reader_new(ch);
    g_assert_true(stream_get_be64(r, &v64, NULL));
    g_assert_true(stream_get_bytes(r, got, 1 << 20, NULL));
    g_assert_cmpmem(got, 1 << 20, want, 1 << 20);
    g_assert_cmpuint(t.reads, ==, 2);
    n = stream_buffered(r, &bytes);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpmem(bytes, n, want, n);
    iov = (struct iovec){got, 1 << 20};
    g_assert_cmpint(stream_readv_direct(r, &iov, 1, NULL), ==, -1);
    stream_consume(r, n);
    iov.iov_len = (1 << 20) - n;
    g_assert_cmpint(stream_readv_direct(r, &iov, 1, NULL), ==, (1 << 20) - n);
    g_assert_cmpmem(got, (1 << 20) - n, want + n, (1 << 20) - n);
    g_assert_cmpuint(stream_consumed(r), ==, 8 + (2 << 20));
    g_assert_cmpint(stream_readv_direct(r, &iov, 1, NULL), ==, 0);
    g_byte_array_unref(t.data);
}

static void count(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* The hooks frame every wait for the peer and nothing else. */
static void test_wait_hooks(void)
{
    g_autoptr(GwChannel) ch = NULL;
    g_autoptr(StreamReader) r = NULL;
    unsigned calls = 0;
    uint8_t v8;
    Tape t;

    ch = tape_channel(&t);
    g_byte_array_append(t.data, (const uint8_t *)"abcd", 4);
    t.read_step = 2;
    r = stream_reader_new(ch);
    stream_reader_set_wait_hooks(r, count, count, &calls);
    g_assert_true(stream_get_u8(r, &v8, NULL));
    g_assert_cmpuint(calls, ==, 2);
    g_assert_true(stream_get_u8(r, &v8, NULL));
    g_assert_cmpuint(calls, ==, 2);
    g_assert_true(stream_get_u8(r, &v8, NULL));
    g_assert_cmpuint(calls, ==, 4);
    g_byte_array_unref(t.data);
}

static gpointer send_pages(gpointer opaque)
{
    g_autoptr(StreamWriter) w = stream_writer_new(opaque);
    static uint8_t page[4096];

    for (unsigned i = 0; i < 2000; i++) {
        stream_put_be64(w, i);
        stream_put_ref(w, page, sizeof(page));
    }
    g_assert_true(stream_flush(w, NULL));
    return NULL;
}

/* Two threads, one channel. */
static void test_pair(void)
{
    g_autoptr(GwChannel) a = NULL;
    g_autoptr(GwChannel) b = NULL;
    g_autoptr(StreamReader) r = NULL;
    GThread *sender;

    g_assert_true(gw_channel_mem_pair(10000, &a, &b));
    sender = g_thread_new("sender", send_pages, a);
    r = stream_reader_new(b);
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t page[4096];
        uint64_t v64;

        g_assert_true(stream_get_be64(r, &v64, NULL) && v64 == i);
        g_assert_true(stream_get_bytes(r, page, sizeof(page), NULL));
    }
    g_thread_join(sender);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/typed", test_typed);
    g_test_add_func("/stream/gather", test_gather);
    g_test_add_func("/stream/zeros", test_zeros);
    g_test_add_func("/stream/when-read", test_when_read);
    g_test_add_func("/stream/hold", test_hold);
    g_test_add_func("/stream/writer-errors", test_writer_errors);
    g_test_add_func("/stream/reader-steps", test_reader_steps);
    g_test_add_func("/stream/reader-end", test_reader_end);
    g_test_add_func("/stream/reader-broken", test_reader_broken);
    g_test_add_func("/stream/str8", test_str8);
    g_test_add_func("/stream/long-and-direct", test_long_and_direct);
    g_test_add_func("/stream/wait-hooks", test_wait_hooks);
    g_test_add_func("/stream/pair", test_pair);
    return g_test_run();
}
