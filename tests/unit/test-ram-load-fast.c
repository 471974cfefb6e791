/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast load of pages against every fragmentation: random mixtures of zero pages, runs of normal
 * pages, jumps and block changes come through a channel whose reads end anywhere. Afterwards memory
 * must be what the records say, byte for byte, and what follows the section must still be there.
 */
#include "ram-fixture.h"

#define PAGES 700
#define BLOCKS 3

typedef struct Choppy {
    const uint8_t *data;
    size_t len, at;
    GRand *rand;
    unsigned style; /* how reads are cut */
} Choppy;

static size_t choose(Choppy *c, size_t want)
{
    switch (c->style) {
    case 0:
        return want;
    case 1:
        return (size_t)g_rand_int_range(c->rand, 1, 20);
    case 2: /* near the borders of records */
        return RAM_PAGE_RECORD_SIZE * (size_t)g_rand_int_range(c->rand, 1, 12) +
               (size_t)g_rand_int_range(c->rand, 0, 17) - 8;
    default:
        return (size_t)g_rand_int_range(c->rand, 1, 200000);
    }
}

static ssize_t choppy_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    Choppy *c = opaque;
    size_t want = 0, got = 0, limit;

    for (int i = 0; i < n; i++) {
        want += iov[i].iov_len;
    }
    limit = choose(c, want);
    limit = MIN(limit, want);
    limit = MIN(limit, c->len - c->at);
    for (int i = 0; i < n && got < limit; i++) {
        const size_t part = MIN(iov[i].iov_len, limit - got);

        memcpy(iov[i].iov_base, c->data + c->at, part);
        c->at += part;
        got += part;
    }
    return (ssize_t)got;
}

static void choppy_destroy(void *opaque)
{
}

static const GwChannelOps choppy_ops = {
    .size = sizeof(GwChannelOps),
    .readv = choppy_readv,
    .destroy = choppy_destroy,
};

/* The source's idea of memory, and the stream that makes it. */
typedef struct Script {
    GByteArray *wire;
    uint8_t *want[BLOCKS];
    bool sent[BLOCKS][PAGES];
    const char *names[BLOCKS];
    int last;
} Script;

static void put_be64(GByteArray *a, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    g_byte_array_append(a, (uint8_t *)&v, 8);
}

static void put_record(Script *s, GRand *rand, int block, uint64_t page, bool zero)
{
    uint8_t *mem = s->want[block] + page * PAGE;
    const bool cont = s->last == block && g_rand_int_range(rand, 0, 50);

    put_be64(s->wire, page * PAGE | (zero ? RAM_FLAG_ZERO : RAM_FLAG_PAGE) |
                      (cont ? RAM_FLAG_CONTINUE : 0));
    if (!cont) {
        const uint8_t len = (uint8_t)strlen(s->names[block]);

        g_byte_array_append(s->wire, &len, 1);
        g_byte_array_append(s->wire, (const uint8_t *)s->names[block], len);
        s->last = block;
    }
    s->sent[block][page] = true;
    if (zero) {
        memset(mem, 0, PAGE);
        g_byte_array_append(s->wire, (const uint8_t *)"", 1);
        return;
    }
    for (unsigned i = 0; i < PAGE / 4; i++) {
        /* Contents that look like headers now and then. */
        ((uint32_t *)mem)[i] = g_rand_int_range(rand, 0, 8)
                                   ? g_rand_int(rand)
                                   : GUINT32_TO_BE((uint32_t)page << 12 | 0x28);
    }
    g_byte_array_append(s->wire, mem, PAGE);
}

static void make_script(Script *s, GRand *rand)
{
    const int steps = g_rand_int_range(rand, 1, 40);

    for (int i = 0; i < steps; i++) {
        const int block = g_rand_int_range(rand, 0, BLOCKS);
        uint64_t page = (uint64_t)g_rand_int_range(rand, 0, PAGES);
        int n = g_rand_int_range(rand, 1, g_rand_int_range(rand, 2, 300));
        const int zeros = g_rand_int_range(rand, 0, 3); /* 0: never, 1: all, 2: sometimes */

        for (; n > 0 && page < PAGES; n--, page++) {
            put_record(s, rand, block, page,
                       zeros == 1 || (zeros == 2 && g_rand_int_range(rand, 0, 9) == 0));
        }
        if (g_rand_int_range(rand, 0, 10) == 0) {
            put_be64(s->wire, RAM_FLAG_MULTIFD_FLUSH);
        }
    }
    put_be64(s->wire, RAM_FLAG_EOS);
}

static void check_block(const Script *s, int k, const RAMBlock *b, const uint8_t *before)
{
    for (uint64_t p = 0; p < PAGES; p++) {
        const uint8_t *want = s->sent[k][p] ? s->want[k] + p * PAGE : before + p * PAGE;

        if (memcmp(ram_block_page(b, p), want, PAGE)) {
            g_error("block %d page %" G_GUINT64_FORMAT " differs (sent: %d)", k, p, s->sent[k][p]);
        }
        g_assert_cmpint(bits_test(b->received, p), ==, s->sent[k][p]);
        if (bits_test(b->known_zero, p)) {
            g_assert_true(zero_page_portable(ram_block_page(b, p)));
        }
    }
}

static void run_one(uint32_t seed, uint64_t *direct, uint64_t *misses)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    MigrationState *ms = fixture_new();
    Script s = {.wire = g_byte_array_new(), .names = {"a", "rom", "block-c"}, .last = -1};
    RAMBlock *b[BLOCKS];
    uint8_t *before[BLOCKS];
    Choppy c = {.rand = rand, .style = (unsigned)g_rand_int_range(rand, 0, 4)};
    g_autoptr(GError) err = NULL;
    uint8_t tail[5];

    for (int k = 0; k < BLOCKS; k++) {
        b[k] = fixture_block(ms, s.names[k], PAGES, k == 1 ? RAM_BLOCK_ROM : 0);
        s.want[k] = g_malloc0(PAGES * PAGE);
        /* The target may hold something before: firmware, or zeros that were touched. */
        for (int i = g_rand_int_range(rand, 0, 30); i > 0; i--) {
            const uint64_t p = (uint64_t)g_rand_int_range(rand, 0, PAGES);

            memset(ram_block_page(b[k], p), g_rand_boolean(rand) ? 0 : 0xa5, PAGE);
        }
        before[k] = g_memdup2(b[k]->info.host, PAGES * PAGE);
    }
    make_script(&s, rand);
    g_byte_array_append(s.wire, (const uint8_t *)"tail!", 5);
    c.data = s.wire->data;
    c.len = s.wire->len;

    GwChannel *ch = gw_channel_new(&choppy_ops, &c, 0, "choppy");
    StreamReader *r = stream_reader_new(ch);

    g_assert_true(ram_load_setup(ms, &err));
    g_assert_true(ram_load_state(ms, r, RAM_SECTION_VERSION, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(stream_consumed(r), ==, s.wire->len - 5);
    g_assert_true(stream_get_bytes(r, tail, 5, &err));
    g_assert_cmpmem(tail, 5, "tail!", 5);
    *direct += ms->ram_load->direct_reads;
    *misses += ms->ram_load->misses;
    for (int k = 0; k < BLOCKS; k++) {
        check_block(&s, k, b[k], before[k]);
        g_free(s.want[k]);
        g_free(before[k]);
    }
    stream_reader_free(r);
    gw_channel_unref(ch);
    g_byte_array_unref(s.wire);
    fixture_free(ms);
}

static void test_random(void)
{
    const uint32_t seed = g_test_rand_int_range(1, G_MAXINT32);
    const unsigned rounds = g_test_slow() ? 2000 : 40;
    uint64_t direct = 0, misses = 0;

    for (unsigned i = 0; i < rounds; i++) {
        g_test_message("seed %u", seed + i);
        run_one(seed + i, &direct, &misses);
    }
    g_test_message("%" G_GUINT64_FORMAT " direct reads, %" G_GUINT64_FORMAT " misses", direct,
                   misses);
    /* The guesses were made, and some were wrong: otherwise this test tested nothing. */
    g_assert_cmpuint(direct, >, rounds);
    g_assert_cmpuint(misses, >, rounds / 4);
}

/* A stream that breaks off anywhere in a run is an end-of-file error, and pages that were only
 * guessed at are as before. */
static void test_truncated(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    Script s = {.wire = g_byte_array_new(), .names = {"a"}, .last = -1};

    s.want[0] = g_malloc0(PAGES * PAGE);
    for (uint64_t p = 0; p < 60; p++) {
        put_record(&s, rand, 0, p, false);
    }
    for (unsigned i = 0; i < 60; i++) {
        MigrationState *ms = fixture_new();
        RAMBlock *b = fixture_block(ms, "a", PAGES, 0);
        /* Around the borders of the records, and elsewhere. */
        Choppy c = {.rand = rand, .style = i % 4, .data = s.wire->data,
                    .len = i < 30 ? s.wire->len - i
                                  : (size_t)g_rand_int_range(rand, 1, (int)s.wire->len)};
        GwChannel *ch = gw_channel_new(&choppy_ops, &c, 0, "choppy");
        StreamReader *r = stream_reader_new(ch);
        GError *err = NULL;

        g_assert_true(ram_load_setup(ms, &err));
        g_test_message("case %u: %zu of %u bytes", i, c.len, s.wire->len);
        g_assert_false(ram_load_state(ms, r, RAM_SECTION_VERSION, &err));
        g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
        g_clear_error(&err);
        for (uint64_t p = 60; p < PAGES; p++) {
            g_assert_true(zero_page_portable(ram_block_page(b, p)));
        }
        stream_reader_free(r);
        gw_channel_unref(ch);
        fixture_free(ms);
    }
    g_free(s.want[0]);
    g_byte_array_unref(s.wire);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ram-load-fast/random", test_random);
    g_test_add_func("/ram-load-fast/truncated", test_truncated);
    return g_test_run();
}
