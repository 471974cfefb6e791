/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Malformed device state, over every section that a microvm with all its devices has: cut short at
 * every length, every byte changed, doubled; and for the fields of virtio, values that no source
 * could send. What is refused is refused with the section's and the field's name; what is accepted
 * can be saved again. A field's place is found by its bytes, from the layout in
 * docs/devel/migration/virtio.
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "state.h"
#include "virtio-fixture.h"
#include "vmstate-helpers.h"

#define DENSE 400 /* bytes of a section that are all tried; of the rest, one in SPARSE */
#define SPARSE 997

static char *image;

static void all_devices(Bench *b, gconstpointer modern)
{
    DriveConfig *d = g_new0(DriveConfig, 1);

    bench_config(b, GPOINTER_TO_INT(modern));
    g_hash_table_insert(b->config->machine_props, g_strdup("rtc"), g_strdup("on"));
    d->id = g_strdup("disk");
    d->file = g_strdup(image);
    d->iface = g_strdup("none");
    g_ptr_array_add(b->config->drives, d);
    bench_device(b, "virtio-blk-device", "drive", "disk", "num-queues", "2", NULL);
    bench_device(b, "virtio-rng-device", NULL);
    bench_device(b, "virtio-balloon-device", NULL);
    bench_device(b, "virtio-serial-device", "max_ports", "4", NULL);
    bench_device(b, "virtconsole", NULL);
    bench_start(b);
    drive(b, UINT64_MAX & ~(1ull << 40), 2); /* the disk: the first device */
    runstate_stop(b->m->run_state, RUN_STATE_PAUSED);
}

static GByteArray *save(const SaveStateEntry *se)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    GError *err = NULL;

    vmstate_save(w, se->vmsd, se->opaque, NULL, &err);
    g_assert_no_error(err);
    return stream_writer_steal(w);
}

/* All phases, as a migration does; how many bytes were left over, -1 with *errp. */
static gssize load(Bench *b, const SaveStateEntry *se, const GByteArray *bytes, GError **errp)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "test");
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    const guint8 *rest;
    gssize left = -1;

    machine_lock(b->m);
    memory_transaction_begin(b->m->memory);
    if (vmstate_load(r, se->vmsd, se->opaque, se->vmsd->version_id, loaded, errp) &&
        vmstate_apply(loaded, errp)) {
        left = (gssize)stream_buffered(r, &rest);
    }
    if (!memory_transaction_commit(b->m->memory, left < 0 ? NULL : errp)) {
        left = -1;
    } else if (left >= 0 && !vmstate_post_commit(loaded, errp)) {
        left = -1;
        g_prefix_error(errp, "section '%s': ", se->idstr); /* as the engine does */
    }
    machine_unlock(b->m);
    return left;
}

static void assert_names(const SaveStateEntry *se, const GError *err, const char *field)
{
    g_assert_nonnull(err);
    if (!strstr(err->message, se->vmsd->name) || (field && !strstr(err->message, field))) {
        g_error("'%s' does not name the section %s and the field %s", err->message,
                se->vmsd->name, field ? field : "(any)");
    }
}

static void assert_good(Bench *b, const SaveStateEntry *se, const GByteArray *good)
{
    g_autoptr(GByteArray) again = NULL;
    GError *err = NULL;
    gssize left = load(b, se, good, &err);

    g_assert_no_error(err);
    g_assert_cmpint(left, ==, 0);
    again = save(se);
    g_assert_cmpuint(again->len, ==, good->len);
    if (g_str_has_prefix(se->idstr, "virtio-")) { /* others have clocks in them */
        g_assert_cmpmem(again->data, again->len, good->data, good->len);
    }
}

static bool dense(guint i)
{
    return i < DENSE || i % SPARSE == 0;
}

/* A cut within the fields is an error; one between two subsections leaves a section that is right,
 * but is not the one that was sent. */
static void try_cuts(Bench *b, const SaveStateEntry *se, const GByteArray *good)
{
    for (guint len = 0; len < good->len; len++) {
        g_autoptr(GByteArray) cut = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        if (!dense(len)) {
            continue;
        }
        g_byte_array_append(cut, good->data, len);

        gssize left = load(b, se, cut, &err);

        if (left < 0) {
            assert_names(se, err, NULL);
        } else if (left == 0) {
            g_assert_cmpint(good->data[len], ==, 0x05); /* a subsection would begin */
        } /* else what is left of a subsection's head, which the section's frame does not allow */
    }
}

static void try_changes(Bench *b, const SaveStateEntry *se, const GByteArray *good)
{
    static const guint8 changes[] = { 0x01, 0x80, 0xff };

    for (guint i = 0; i < good->len; i++) {
        for (size_t k = 0; dense(i) && k < G_N_ELEMENTS(changes); k++) {
            g_autoptr(GByteArray) bad = g_byte_array_new();
            g_autoptr(GError) err = NULL;

            g_byte_array_append(bad, good->data, good->len);
            bad->data[i] ^= changes[k];
            if (load(b, se, bad, &err) < 0) {
                assert_names(se, err, NULL);
            } else {
                g_autoptr(GByteArray) again = save(se);

                g_assert_cmpuint(again->len, >, 0);
            }
        }
    }
}

static void try_doubled(Bench *b, const SaveStateEntry *se, const GByteArray *good)
{
    g_autoptr(GByteArray) bad = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    gssize left;

    g_byte_array_append(bad, good->data, good->len);
    g_byte_array_append(bad, good->data, good->len);
    left = load(b, se, bad, &err);
    if (left < 0) {
        assert_names(se, err, NULL);
    } else {
        g_assert_cmpint(left, >, 0); /* which the frame of the section does not allow */
    }
}

static void test_all_sections(gconstpointer modern)
{
    Bench b;
    unsigned n = 0;

    all_devices(&b, modern);
    for (guint i = 0; i < b.m->migration->registry.entries->len; i++) {
        const SaveStateEntry *se = b.m->migration->registry.entries->pdata[i];
        g_autoptr(GByteArray) good = NULL;

        /* globalstate is the engine's own, and filled when a migration begins. */
        if (!se->vmsd || !strcmp(se->idstr, "globalstate") ||
            (se->vmsd->needed && !se->vmsd->needed(se->opaque))) {
            continue;
        }
        good = save(se);
        assert_good(&b, se, good);
        try_cuts(&b, se, good);
        try_changes(&b, se, good);
        try_doubled(&b, se, good);
        assert_good(&b, se, good);
        n++;
    }
    g_assert_cmpuint(n, >=, 6);
    bench_end(&b);
}

/* ---- virtio's fields by name; offsets in a virtio-blk section with two queues ---- */

#define CONFIG_BYTES 57
#define QUEUES_AT (24 + CONFIG_BYTES)      /* be32 count */
#define QUEUE_AT(i) (QUEUES_AT + 4 + 18 * (i)) /* be32 num, be32 align, be64 desc, be16 index */
#define REQUESTS_AT QUEUE_AT(2)
#define TAIL_AT (REQUESTS_AT + 1)

typedef struct Field {
    guint at;
    const char *hex, *message;
} Field;

static const Field fields[] = {
    { 8, "00000020", "guest_page_shift 32" },
    { 12, "ff", "status: 0xff" },
    { 13, "04", "isr: 0x4" },
    { 14, "0400", "queue_sel 1024" },
    { 16, "ffffffff", "64bit_features: " },
    { 20, "00000101", "config: the stream claims 257 elements" },
    { 20, "ffffffff", "config: the stream claims 4294967295 elements" },
    { QUEUES_AT, "00000001", "nr_queues: the source has 1 queues, this device 2" },
    { QUEUES_AT, "00000401", "queues: the stream claims 1025 elements" },
    { QUEUE_AT(0), "00000000", "num: queue 0 has 0 entries" },
    { QUEUE_AT(0), "00000007", "num: queue 0 has 7 entries" },
    { QUEUE_AT(1), "00000800", "num: queue 1 has 2048 entries" },
    { QUEUE_AT(0) + 4, "00000000", "align: queue 0 has alignment 0" },
    { QUEUE_AT(1) + 4, "00001001", "align: queue 1 has alignment 4097" },
    { QUEUE_AT(0) + 8, "0000000000100001", "queue 0: rings at 0x100001" },
    { QUEUE_AT(0) + 8, "0000000080000000", "queue 0: " },
    { QUEUE_AT(1) + 8, "fffffffffffffff0", "queue 1: " },
    { QUEUE_AT(1) + 8, "0000000000000000", NULL },
    { QUEUE_AT(0) + 16, "0009", "last_avail_idx: queue 0" },
    { QUEUE_AT(1) + 16, "8000", "last_avail_idx: queue 1" },
    { REQUESTS_AT, "01", "requests: the source has requests that failed" },
    { TAIL_AT + 1, "14", "" },              /* length of the first subsection's name */
    { TAIL_AT + 22, "78", "virtio/64bit_featurex' in 'virtio' does not exist" },
    { TAIL_AT + 23, "00000002", "version_id 2 is too new" },
    { TAIL_AT + 23, "00000000", "version_id 0 is too old" },
    { TAIL_AT + 27, "ffffffff", "guest_features: the guest uses features 0xffff" },
};

static void replace(GByteArray *bytes, guint at, const char *text)
{
    g_autoptr(GByteArray) b = unhex(text);

    g_assert_cmpuint(at + b->len, <=, bytes->len);
    memcpy(bytes->data + at, b->data, b->len);
}

static void refuse_fields(Bench *b, const SaveStateEntry *se, const GByteArray *good,
                          const Field *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g_autoptr(GByteArray) bad = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        g_byte_array_append(bad, good->data, good->len);
        replace(bad, f[i].at, f[i].hex);
        if (f[i].message && f[i].message[0]) {
            g_assert_cmpint(load(b, se, bad, &err), ==, -1);
            assert_names(se, err, f[i].message);
        } else if (load(b, se, bad, &err) < 0) {
            assert_names(se, err, NULL);
        }
    }
}

static const SaveStateEntry *blk_section(Bench *b)
{
    const SaveStateEntry *se = save_registry_find(&b->m->migration->registry,
                                                  "virtio-mmio@00000000feb00e00/virtio-blk", 0);

    g_assert_nonnull(se);
    return se;
}

static void test_virtio_fields(gconstpointer modern)
{
    Bench b;
    const SaveStateEntry *se;
    g_autoptr(GByteArray) good = NULL;

    all_devices(&b, modern);
    se = blk_section(&b);
    good = save(se);
    g_assert_cmphex(good->data[TAIL_AT], ==, 0x05);
    refuse_fields(&b, se, good, fields, G_N_ELEMENTS(fields));
    assert_good(&b, se, good);
    bench_end(&b);
}

/* Where the subsection of that name begins. */
static guint find_subsection(const GByteArray *bytes, const char *name)
{
    const guint8 *p = memmem(bytes->data, bytes->len, name, strlen(name));

    g_assert_nonnull(p);
    return (guint)(p - bytes->data) - 2;
}

/* Subsections of a modern device: one missing, one twice, the order turned round. */
static void test_virtio_subsections(void)
{
    Bench b;
    const SaveStateEntry *se;
    g_autoptr(GByteArray) good = NULL, bad = g_byte_array_new();
    guint rings, ringsize, features;
    GError *err = NULL;

    all_devices(&b, GINT_TO_POINTER(1));
    se = blk_section(&b);
    good = save(se);
    features = find_subsection(good, "virtio/64bit_features");
    rings = find_subsection(good, "virtio/virtqueues");
    ringsize = find_subsection(good, "virtio/ringsize");

    g_byte_array_append(bad, good->data, rings); /* without */
    g_byte_array_append(bad, good->data + ringsize, good->len - ringsize);
    g_assert_cmpint(load(&b, se, bad, &err), ==, -1);
    assert_names(se, err, "virtqueues: missing");
    g_clear_error(&err);

    g_byte_array_set_size(bad, 0); /* twice */
    g_byte_array_append(bad, good->data, ringsize);
    g_byte_array_append(bad, good->data + rings, good->len - rings);
    g_assert_cmpint(load(&b, se, bad, &err), ==, -1);
    assert_names(se, err, "'virtio/virtqueues' in 'virtio' comes twice");
    g_clear_error(&err);

    g_byte_array_set_size(bad, 0); /* in another order, which says the same */
    g_byte_array_append(bad, good->data, features);
    g_byte_array_append(bad, good->data + rings, ringsize - rings);
    g_byte_array_append(bad, good->data + features, rings - features);
    g_byte_array_append(bad, good->data + ringsize, good->len - ringsize);
    g_assert_cmpint(load(&b, se, bad, &err), ==, 0);
    g_assert_no_error(err);
    assert_good(&b, se, good);
    bench_end(&b);
}

static void test_other_transport(void)
{
    Bench b;
    g_autoptr(GByteArray) modern = NULL, legacy = NULL;
    GError *err = NULL;

    all_devices(&b, GINT_TO_POINTER(1));
    modern = save(blk_section(&b));
    bench_end(&b);
    all_devices(&b, GINT_TO_POINTER(0));
    legacy = save(blk_section(&b));
    g_assert_cmpint(load(&b, blk_section(&b), modern, &err), ==, -1);
    assert_names(blk_section(&b), err, "extra_state: the source's transport is of version 2");
    g_clear_error(&err);
    assert_good(&b, blk_section(&b), legacy);
    bench_end(&b);
}

int main(int argc, char **argv)
{
    int rc, fd;

    g_test_init(&argc, &argv, NULL);
    fd = g_file_open_tmp("gw-state-XXXXXX", &image, NULL);
    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
    g_test_add_data_func("/device-state/all-sections/legacy", GINT_TO_POINTER(0),
                         test_all_sections);
    g_test_add_data_func("/device-state/all-sections/modern", GINT_TO_POINTER(1),
                         test_all_sections);
    g_test_add_data_func("/device-state/virtio-fields/legacy", GINT_TO_POINTER(0),
                         test_virtio_fields);
    g_test_add_data_func("/device-state/virtio-fields/modern", GINT_TO_POINTER(1),
                         test_virtio_fields);
    g_test_add_func("/device-state/virtio-subsections", test_virtio_subsections);
    g_test_add_func("/device-state/other-transport", test_other_transport);
    rc = g_test_run();
    unlink(image);
    close(fd);
    g_free(image);
    return rc;
}
