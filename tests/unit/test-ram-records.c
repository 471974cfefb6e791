/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RAM section byte by byte: what is sent is what the protocol pages show, what they show is
 * loaded, and everything that a loader must refuse is refused with a message that says where.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "dirty-bitmap.h"
#include "pagemap.h"
#include "ram-fixture.h"
#include "zero-page.h"

static void be64(GByteArray *a, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    g_byte_array_append(a, (uint8_t *)&v, 8);
}

static void bytes(GByteArray *a, const void *p, size_t n)
{
    g_byte_array_append(a, p, (guint)n);
}

static void str8(GByteArray *a, const char *s)
{
    const uint8_t n = (uint8_t)strlen(s);

    bytes(a, &n, 1);
    bytes(a, s, n);
}

/* ---- sending ---- */

static void expect_wire(StreamWriter *w, GByteArray *want)
{
    g_autoptr(GByteArray) got = stream_writer_steal(w);

    g_assert_cmpmem(got->data, got->len, want->data, want->len);
    g_byte_array_set_size(want, 0);
}

static void test_start_bytes(void)
{
    MigrationState *ms = fixture_new();
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) want = g_byte_array_new();

    /* Added in the other order: the largest comes first. */
    fixture_block(ms, "pc.bios", 16, RAM_BLOCK_ROM);
    fixture_block(ms, "microvm.ram", 0x4000000 / PAGE, 0);
    g_assert_true(ram_save_setup(ms, w, NULL));
    be64(want, 0x4010004);
    str8(want, "microvm.ram");
    be64(want, 0x4000000);
    str8(want, "pc.bios");
    be64(want, 0x10000);
    be64(want, 0x10);
    expect_wire(w, want);
    g_assert_cmpuint(ram_bytes_total(ms), ==, 0x4010000);
    g_assert_cmpuint(ram_bytes_remaining(ms), ==, 0x4010000);
    g_assert_cmpuint(ms->stats.dirty_sync_count, ==, 1);
    fixture_free(ms);
}

static void test_page_bytes(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    MigrationState *ms = fixture_new();
    RAMBlock *ram = fixture_block(ms, "ram", 5, 0);
    RAMBlock *bios = fixture_block(ms, "pc.bios", 3, 0);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) want = g_byte_array_new();
    bool done;

    fixture_fill(bios, 0, rand);
    fixture_fill(bios, 1, rand);
    fixture_fill(ram, 1, rand);
    ram_block_page(ram, 3)[0] = 0; /* touched, and zero */
    g_assert_true(ram_save_setup(ms, w, NULL));
    g_byte_array_unref(stream_writer_steal(w));
    g_assert_true(ram_save_iterate(ms, w, UINT64_MAX, &done, NULL));
    g_assert_true(done);

    be64(want, 0x0002);
    str8(want, "ram");
    bytes(want, "", 1);
    be64(want, 0x1028);
    bytes(want, ram_block_page(ram, 1), PAGE);
    be64(want, 0x2022);
    bytes(want, "", 1);
    be64(want, 0x3022);
    bytes(want, "", 1);
    be64(want, 0x4022);
    bytes(want, "", 1);
    be64(want, 0x0008);
    str8(want, "pc.bios");
    bytes(want, ram_block_page(bios, 0), PAGE);
    be64(want, 0x1028);
    bytes(want, ram_block_page(bios, 1), PAGE);
    be64(want, 0x2022);
    bytes(want, "", 1);
    be64(want, 0x10);
    expect_wire(w, want);
    g_assert_cmpuint(ms->stats.normal_pages, ==, 3);
    g_assert_cmpuint(ms->stats.zero_pages, ==, 5);
    g_assert_cmpuint(ram_bytes_remaining(ms), ==, 0);

    /* CONTINUE goes on over the sections; the END of a clean guest is EOS alone. */
    dirty_bitmap_set(bios, 1, 1);
    g_assert_true(ram_save_complete(ms, w, NULL));
    be64(want, 0x1028);
    bytes(want, ram_block_page(bios, 1), PAGE);
    be64(want, 0x10);
    expect_wire(w, want);
    g_assert_true(ram_save_complete(ms, w, NULL));
    be64(want, 0x10);
    expect_wire(w, want);
    fixture_free(ms);
}

/* With an agreement nothing is put for the zero pages of the first pass; a page that becomes zero
 * later has to be said. */
static void test_skipped_bytes(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    MigrationState *ms = fixture_new();
    RAMBlock *ram = fixture_block(ms, "ram", 100, 0);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) want = g_byte_array_new();
    bool done;

    fixture_fill(ram, 66, rand);
    ram_block_page(ram, 67)[0] = 0; /* touched, and zero */
    g_assert_true(ram_save_setup(ms, w, NULL));
    ms->ram_save->skip_zero = true;
    g_byte_array_unref(stream_writer_steal(w));
    g_assert_true(ram_save_iterate(ms, w, UINT64_MAX, &done, NULL));
    be64(want, 66 * PAGE | 0x08);
    str8(want, "ram");
    bytes(want, ram_block_page(ram, 66), PAGE);
    be64(want, 0x10);
    expect_wire(w, want);
    g_assert_cmpuint(ms->stats.skipped_pages, ==, 99);
    g_assert_cmpuint(ms->stats.zero_pages, ==, 0);

    memset(ram_block_page(ram, 66), 0, PAGE);
    dirty_bitmap_set(ram, 66, 1);
    g_assert_true(ram_save_iterate(ms, w, UINT64_MAX, &done, NULL));
    be64(want, 66 * PAGE | 0x22);
    bytes(want, "", 1);
    be64(want, 0x10);
    expect_wire(w, want);
    g_assert_cmpuint(ms->stats.zero_pages, ==, 1);
    fixture_free(ms);
}

/* zero-page-detection=none: a zero page is a page. */
static void test_no_detection(void)
{
    MigrationState *ms = fixture_new();
    RAMBlock *ram = fixture_block(ms, "ram", 1, 0);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) want = g_byte_array_new();
    bool done;

    ms->options.params[MIGRATION_PARAM_ZERO_PAGE_DETECTION].num = ZERO_PAGE_DETECTION_NONE;
    g_assert_true(ram_save_setup(ms, w, NULL));
    g_byte_array_unref(stream_writer_steal(w));
    g_assert_true(ram_save_iterate(ms, w, UINT64_MAX, &done, NULL));
    be64(want, 0x08);
    str8(want, "ram");
    bytes(want, ram_block_page(ram, 0), PAGE);
    be64(want, 0x10);
    expect_wire(w, want);
    fixture_free(ms);
}

/* x-ignore-shared: every block is listed, with its guest physical address; a shared file's pages
 * are not sent, and must not come. */
static void test_ignore_shared(void)
{
    static const char *const good = "\0\0\0\0\xff\xff\0\0";
    MigrationState *ms = fixture_new();
    RAMBlock *file = fixture_block(ms, "file", 4, RAM_BLOCK_SHARED | RAM_BLOCK_NAMED_FILE);
    RAMBlock *ram = fixture_block(ms, "ram", 1, RAM_BLOCK_SHARED);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) want = g_byte_array_new();
    GError *err = NULL;
    bool done;

    file->info.gpa = 0xffff0000;
    ms->options.caps[MIGRATION_CAP_X_IGNORE_SHARED] = true;
    g_assert_true(ram_save_setup(ms, w, NULL));
    g_assert_true(ram_save_iterate(ms, w, UINT64_MAX, &done, NULL));
    be64(want, 5 * PAGE | 4);
    str8(want, "file");
    be64(want, 4 * PAGE);
    bytes(want, good, 8);
    str8(want, "ram");
    be64(want, PAGE);
    be64(want, 0);
    be64(want, 0x10);
    be64(want, 0x02);
    str8(want, "ram");
    bytes(want, "", 1);
    be64(want, 0x10);
    expect_wire(w, want);
    g_assert_cmpuint(ram_bytes_total(ms), ==, PAGE);
    g_assert_false(ram->ignored);

    for (int wrong = 0; wrong < 2; wrong++) {
        g_autoptr(StreamReader) r = NULL;

        be64(want, 4 * PAGE | 4);
        str8(want, "file");
        be64(want, 4 * PAGE);
        be64(want, wrong ? 0 : 0xffff0000);
        be64(want, 0x02);
        str8(want, "file");
        bytes(want, "", 1);
        be64(want, 0x10);
        r = stream_reader_new_mem(want->data, want->len, "wire");
        g_assert_true(ram_load_setup(ms, NULL));
        g_assert_false(ram_load_state(ms, r, 4, &err));
        assert_error(err, wrong ? "Mismatched GPAs for block file" : "x-ignore-shared");
        g_byte_array_set_size(want, 0);
    }
    fixture_free(ms);
}

/* A PART ends near its budget and the next one goes on. */
static void test_budget(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    MigrationState *ms = fixture_new();
    RAMBlock *b = fixture_block(ms, "ram", 2000, 0);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    unsigned parts = 0;
    uint64_t bytes_left;
    bool done = false;

    for (uint64_t p = 0; p < 2000; p++) {
        fixture_fill(b, p, rand);
    }
    g_assert_true(ram_save_setup(ms, w, NULL));
    while (!done) {
        const uint64_t at = stream_written(w);

        g_assert_true(ram_save_iterate(ms, w, 1 << 20, &done, NULL));
        g_assert_cmpuint(stream_written(w) - at, <, (1 << 20) + 70 * RAM_PAGE_RECORD_SIZE);
        parts++;
    }
    g_assert_cmpuint(parts, >=, 7);
    g_assert_true(ram_save_pending(ms, true, &bytes_left, NULL));
    g_assert_cmpuint(bytes_left, ==, 0);
    g_assert_cmpuint(ms->stats.dirty_sync_count, ==, 2);
    fixture_free(ms);
}

static uint64_t populated_pages(const RAMBlock *b)
{
    g_autofree uint64_t *map = bits_new(ram_block_pages(b));
    Pagemap pm;
    bool known;

    pagemap_init(&pm);
    known = pagemap_populated(&pm, b->info.host, ram_block_pages(b), map);
    pagemap_clear(&pm);
    return known ? bits_count(map, 0, ram_block_pages(b)) : UINT64_MAX;
}

/* Memory that nobody touched is neither read at the source nor allocated at the target. */
static void test_untouched(void)
{
    MigrationState *src = fixture_new(), *dst = fixture_new();
    RAMBlock *from = fixture_block(src, "ram", 5000, 0), *to = fixture_block(dst, "ram", 5000, 0);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(StreamReader) r = NULL;
    g_autoptr(GByteArray) wire = NULL;
    Pagemap pm;
    bool done;

    pagemap_init(&pm);
    if (!pm.scan) {
        pagemap_clear(&pm);
        fixture_free(src);
        fixture_free(dst);
        g_test_skip("this kernel has no PAGEMAP_SCAN");
        return;
    }
    pagemap_clear(&pm);
    madvise(from->info.host, from->info.used_length, MADV_NOHUGEPAGE);
    *(volatile uint8_t *)ram_block_page(from, 4000); /* read: the kernel's zero page */
    ram_block_page(from, 4321)[77] = 1;
    g_assert_true(ram_save_setup(src, w, NULL));
    g_assert_true(ram_save_iterate(src, w, UINT64_MAX, &done, NULL));
    g_assert_cmpuint(src->stats.normal_pages, ==, 1);
    g_assert_cmpuint(populated_pages(from), ==, 1);

    wire = stream_writer_steal(w);
    r = stream_reader_new_mem(wire->data, wire->len, "wire");
    g_assert_true(ram_load_setup(dst, NULL));
    madvise(to->info.host, to->info.used_length, MADV_NOHUGEPAGE);
    g_assert_true(ram_load_state(dst, r, 4, NULL));
    g_assert_true(ram_load_state(dst, r, 4, NULL));
    g_assert_cmpuint(populated_pages(to), ==, 1);
    g_assert_cmpuint(bits_count(to->received, 0, 5000), ==, 5000);
    g_assert_cmpmem(from->info.host, from->info.used_length, to->info.host, to->info.used_length);
    fixture_free(src);
    fixture_free(dst);
}

/* The same for shared memory, where a read would allocate: holes of a memfd. */
static void test_untouched_memfd(void)
{
    MigrationState *ms = fixture_new();
    RAMBlockInfo info = {.idstr = "memfd", .used_length = 2000 * PAGE, .max_length = 2000 * PAGE,
                         .page_size = PAGE, .flags = RAM_BLOCK_SHARED, .fd_offset = 4 * PAGE};
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    struct stat st;
    bool done;

    info.fd = memfd_create("test", MFD_CLOEXEC);
    g_assert_cmpint(info.fd, >=, 0);
    g_assert_cmpint(ftruncate(info.fd, 2004 * PAGE), ==, 0);
    info.host = mmap(NULL, info.used_length, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd, 4 * PAGE);
    g_assert_true(info.host != MAP_FAILED);
    g_assert_nonnull(gw_ram_block_add(ms, &info, NULL));
    info.host[7 * PAGE + 5] = 1;
    info.host[1999 * PAGE] = 1;
    g_assert_true(ram_save_setup(ms, w, NULL));
    g_assert_true(ram_save_iterate(ms, w, UINT64_MAX, &done, NULL));
    g_assert_cmpuint(ms->stats.normal_pages, ==, 2);
    g_assert_cmpuint(ms->stats.zero_pages, ==, 1998);
    g_assert_cmpint(fstat(info.fd, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, ==, 2 * PAGE);
    fixture_free(ms);
    close(info.fd);
}

/* Both ways of asking the kernel agree, but for the zero page, which only the newer one tells. */
static void test_pagemap(void)
{
    uint8_t *mem = mmap(NULL, 300 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
    uint64_t map[5], old[5];
    Pagemap pm;

    g_assert_true(mem != MAP_FAILED);
    madvise(mem, 300 * PAGE, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < 300; i += 7) {
        mem[i * PAGE] = 1;
    }
    pagemap_init(&pm);
    if (pm.fd < 0) {
        g_test_skip("/proc/self/pagemap cannot be read");
        return;
    }
    g_assert_true(pagemap_populated(&pm, mem, 300, map));
    pm.scan = false;
    g_assert_true(pagemap_populated(&pm, mem, 300, old));
    for (unsigned i = 0; i < 300; i++) {
        g_assert_cmpint(bits_test(map, i), ==, i % 7 == 0);
        g_assert_cmpint(bits_test(old, i), ==, i % 7 == 0);
    }
    pagemap_clear(&pm);
    g_assert_false(pagemap_populated(&pm, mem, 300, map));
    munmap(mem, 300 * PAGE);
}

/* ---- loading ---- */

typedef struct Loader {
    MigrationState *ms;
    RAMBlock *ram, *rom;
    GByteArray *wire;
} Loader;

static Loader *loader_new(void)
{
    Loader *l = g_new0(Loader, 1);
    RAMBlockInfo info = {.idstr = "/rom@acpi", .used_length = 2 * PAGE, .max_length = 8 * PAGE,
                         .page_size = PAGE, .fd = -1, .flags = RAM_BLOCK_RESIZABLE};

    l->ms = fixture_new();
    l->ram = fixture_block(l->ms, "ram", 16, 0);
    info.host = mmap(NULL, info.max_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
    l->rom = gw_ram_block_add(l->ms, &info, NULL);
    g_assert_nonnull(l->rom);
    l->wire = g_byte_array_new();
    g_assert_true(ram_load_setup(l->ms, NULL));
    return l;
}

static void loader_free(Loader *l)
{
    g_byte_array_unref(l->wire);
    fixture_free(l->ms);
    g_free(l);
}

static bool load(Loader *l, GError **errp)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem(l->wire->data, l->wire->len, "wire");
    const bool ok = ram_load_state(l->ms, r, 4, errp);

    if (ok) {
        g_assert_cmpuint(stream_consumed(r), ==, l->wire->len);
    }
    g_byte_array_set_size(l->wire, 0);
    return ok;
}

static void refuse(Loader *l, const char *part)
{
    GError *err = NULL;

    g_assert_false(load(l, &err));
    assert_error(err, part);
    loader_free(l);
}

static void test_load(void)
{
    Loader *l = loader_new();
    uint8_t page[PAGE];
    GError *err = NULL;

    memset(page, 0x5a, PAGE);
    be64(l->wire, 0x8);
    str8(l->wire, "ram");
    bytes(l->wire, page, PAGE);
    be64(l->wire, 0x1028);
    bytes(l->wire, page, PAGE);
    be64(l->wire, 0x2022);
    bytes(l->wire, "", 1);
    be64(l->wire, 0x200);
    be64(l->wire, 0x60); /* page 0 again: byte 0 becomes 0x2f */
    bytes(l->wire, "\x01\x00\x03\x00\x01\x2f", 6);
    be64(l->wire, 0x1022); /* page 1 becomes zero */
    bytes(l->wire, "", 1);
    be64(l->wire, 0x10);
    g_assert_true(load(l, &err));
    g_assert_no_error(err);
    page[0] = 0x2f;
    g_assert_cmpmem(ram_block_page(l->ram, 0), PAGE, page, PAGE);
    g_assert_true(zero_page_portable(ram_block_page(l->ram, 1)));
    g_assert_cmphex(l->ram->received[0], ==, 7);
    /* The next section may continue the block of this one. */
    be64(l->wire, 0xf028);
    bytes(l->wire, page, PAGE);
    be64(l->wire, 0x10);
    g_assert_true(load(l, &err));
    g_assert_cmpmem(ram_block_page(l->ram, 15), PAGE, page, PAGE);
    loader_free(l);
}

static void list_entry(Loader *l, const char *id, uint64_t len)
{
    str8(l->wire, id);
    be64(l->wire, len);
}

static void test_block_list(void)
{
    Loader *l = loader_new();

    be64(l->wire, (16 + 5) * PAGE | 4);
    list_entry(l, "ram", 16 * PAGE);
    list_entry(l, "/rom@acpi", 5 * PAGE);
    be64(l->wire, 0x10);
    g_assert_true(load(l, NULL));
    g_assert_cmpuint(l->rom->info.used_length, ==, 5 * PAGE);
    /* A local block may be missing. */
    be64(l->wire, 16 * PAGE | 4);
    list_entry(l, "ram", 16 * PAGE);
    be64(l->wire, 0x10);
    g_assert_true(load(l, NULL));
    loader_free(l);
}

/* A stream without zero pages: each listed block is cleared before its first page, firmware too;
 * what came before such a list would be lost. */
static void test_zero_promise(void)
{
    MigrationState *ms = fixture_new();
    RAMBlock *ram = fixture_block(ms, "ram", 100, 0);
    RAMBlock *bios = fixture_block(ms, "pc.bios", 3, RAM_BLOCK_ROM);
    RAMBlock *own = fixture_block(ms, "own", 2, 0); /* the source does not have it */
    g_autoptr(GByteArray) wire = g_byte_array_new();
    g_autoptr(StreamReader) r = NULL;
    GError *err = NULL;

    ram_block_page(ram, 70)[1] = ram_block_page(bios, 2)[PAGE - 1] = ram_block_page(own, 0)[0] = 1;
    for (unsigned i = 0; i < 2; i++) {
        be64(wire, (103 * PAGE) | 4);
        str8(wire, "ram");
        be64(wire, 100 * PAGE);
        str8(wire, "pc.bios");
        be64(wire, 3 * PAGE);
        be64(wire, 0x10);
    }
    ms->in.zero_promised = true;
    g_assert_true(ram_load_setup(ms, NULL));
    r = stream_reader_new_mem(wire->data, wire->len, "wire");
    ram_load_state(ms, r, 4, &err);
    g_assert_no_error(err);
    g_assert_true(zero_page_portable(ram_block_page(ram, 70)));
    g_assert_true(zero_page_portable(ram_block_page(bios, 2)));
    g_assert_cmpuint(ram_block_page(own, 0)[0], ==, 1);
    g_assert_cmpuint(ms->in.zero_target.cleared_pages, ==, 2);
    g_assert_cmpuint(bits_count(ram->received, 0, 100), ==, 100);
    g_assert_cmpuint(bits_count(own->received, 0, 2), ==, 0);
    g_assert_false(ram_load_state(ms, r, 4, &err));
    assert_error(err, "after pages had come");
    fixture_free(ms);
}

static void test_block_list_errors(void)
{
    static const struct {
        const char *id, *error;
        uint64_t total, len;
    } cases[] = {
        {"foo", "Unknown ramblock \"foo\", cannot accept migration", 16 * PAGE, 16 * PAGE},
        {"ram", "Size mismatch: ram: 0x8000 != 0x10000", 8 * PAGE, 8 * PAGE},
        {"ram", "Size mismatch: ram: 0x20000 != 0x10000", 32 * PAGE, 32 * PAGE},
        {"/rom@acpi", "maximum 0x8000", 9 * PAGE, 9 * PAGE},
        {"/rom@acpi", "block '/rom@acpi': length 0x7001", 16 * PAGE, 7 * PAGE + 1},
        {"ram", "block 'ram': length 0x10000", PAGE, 16 * PAGE},
        {"ram", "block 'ram': length 0xfffffffffffff000", 16 * PAGE, UINT64_MAX - PAGE + 1},
        {"a\0b", "RAM block list", 16 * PAGE, 16 * PAGE},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Loader *l = loader_new();

        be64(l->wire, cases[i].total | 4);
        if (i == G_N_ELEMENTS(cases) - 1) {
            bytes(l->wire, "\x03" "a\0b", 4);
            be64(l->wire, cases[i].len);
        } else {
            list_entry(l, cases[i].id, cases[i].len);
        }
        be64(l->wire, 0x10);
        refuse(l, cases[i].error);
    }
    Loader *l = loader_new();

    be64(l->wire, 32 * PAGE | 4);
    list_entry(l, "ram", 16 * PAGE);
    list_entry(l, "ram", 16 * PAGE);
    refuse(l, "'ram' is listed twice");
    l = loader_new();
    be64(l->wire, 32 * PAGE | 4);
    list_entry(l, "ram", 16 * PAGE);
    refuse(l, "RAM block list");
}

static void test_record_errors(void)
{
    static const struct {
        uint64_t word;
        const char *name; /* NULL: none is put */
        const char *rest;
        size_t rest_len;
        const char *error;
    } cases[] = {
        {0x22, NULL, "", 1, "none was named before"},
        {0x28, NULL, "", 1, "none was named before"},
        {0x02, "foo", "", 1, "Can't find block 'foo' of the page at 0x0"},
        {0x10002, "ram", "", 1, "Illegal RAM offset 10000 of block 'ram'"},
        {UINT64_MAX << 12 | 0x08, "ram", "", 1, "Illegal RAM offset fffffffffffff000"},
        {0x2008, "/rom@acpi", "", 1, "Illegal RAM offset 2000 of block '/rom@acpi'"},
        {0x3002, "ram", "\x01", 1, "zero page with value 1: block 'ram', offset 0x3000"},
        {0x40, "ram", "\x02\x00\x03\x00\x01\x2f", 6, "encoding 2 with 3 bytes"},
        {0x1040, "ram", "\x01\x10\x01", 3, "block 'ram' at 0x1000: encoding 1 with 4097 bytes"},
        {0x1040, "ram", "\x01\x00\x03\x00\x00\x2f", 6, "block 'ram', offset 0x1000: XBZRLE data"},
        {0x100, NULL, "", 0, "Unknown combination of migration flags: 0x100: switch"},
        {0x80, NULL, "", 0, "Unknown combination of migration flags: 0x80"},
        {0x0a, "ram", "", 0, "Unknown combination of migration flags: 0xa"},
        {0x20, NULL, "", 0, "Unknown combination of migration flags: 0x20"},
        {0x1000, NULL, "", 0, "Unknown combination of migration flags: 0x0"},
        {0x400, NULL, "", 0, "Unknown combination of migration flags: 0x400"},
        {0x08, "ram", "short", 5, "ended"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Loader *l = loader_new();

        be64(l->wire, cases[i].word);
        if (cases[i].name) {
            str8(l->wire, cases[i].name);
        }
        bytes(l->wire, cases[i].rest, cases[i].rest_len);
        refuse(l, cases[i].error);
    }
}

static void test_version(void)
{
    Loader *l = loader_new();
    g_autoptr(StreamReader) r = stream_reader_new_mem("", 0, "wire");
    GError *err = NULL;

    g_assert_false(ram_load_state(l->ms, r, 3, &err));
    assert_error(err, "version 3");
    loader_free(l);
}

/* ---- blocks ---- */

static void test_block_errors(void)
{
    MigrationState *ms = fixture_new();
    RAMBlock *b = fixture_block(ms, "ram", 4, 0);
    RAMBlockInfo info = b->info;
    GError *err = NULL;

    g_assert_null(gw_ram_block_add(ms, &info, &err));
    assert_error(err, "'ram' exists already");
    info.idstr = "";
    g_assert_null(gw_ram_block_add(ms, &info, &err));
    assert_error(err, "1 to 255");
    info.idstr = "x";
    info.used_length = 100;
    g_assert_null(gw_ram_block_add(ms, &info, &err));
    assert_error(err, "multiples");
    info.used_length = PAGE;
    g_assert_null(gw_ram_block_add(ms, &info, &err));
    assert_error(err, "does not fit");
    g_assert_true(gw_ram_block_find(ms, "ram") == b);
    g_assert_null(gw_ram_block_find(ms, "x"));
    fixture_free(ms);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ram-records/start-bytes", test_start_bytes);
    g_test_add_func("/ram-records/page-bytes", test_page_bytes);
    g_test_add_func("/ram-records/skipped-bytes", test_skipped_bytes);
    g_test_add_func("/ram-records/no-detection", test_no_detection);
    g_test_add_func("/ram-records/ignore-shared", test_ignore_shared);
    g_test_add_func("/ram-records/budget", test_budget);
    g_test_add_func("/ram-records/untouched", test_untouched);
    g_test_add_func("/ram-records/untouched-memfd", test_untouched_memfd);
    g_test_add_func("/ram-records/pagemap", test_pagemap);
    g_test_add_func("/ram-records/load", test_load);
    g_test_add_func("/ram-records/block-list", test_block_list);
    g_test_add_func("/ram-records/zero-promise", test_zero_promise);
    g_test_add_func("/ram-records/block-list-errors", test_block_list_errors);
    g_test_add_func("/ram-records/record-errors", test_record_errors);
    g_test_add_func("/ram-records/version", test_version);
    g_test_add_func("/ram-records/block-errors", test_block_errors);
    return g_test_run();
}
