/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Malformed device state, over every section that a microvm with all its devices has, by the table
 * of section-table.h; and for virtio what subsections must not do to each other. The sections that
 * exist under KVM alone are in test-device-state-kvm.c. Layout: docs/devel/migration/virtio.
 */
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev.h"
#include "section-table.h"
#include "serial-state.h"
#include "virtio-fixture.h"

static char *image;

enum { BLK, RNG, BALLOON, SERIAL, NET, NR_DEVICES };

/* A chardev or netdev of a socket whose other end nobody reads; closed with the machine. */
static char *socket_fd(void)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    close(fds[1]);
    return g_strdup_printf("%d", fds[0]);
}

static void add_backends(MachineConfig *c)
{
    ChardevConfig *chr = g_new0(ChardevConfig, 1);
    SerialConfig *serial = g_new0(SerialConfig, 1);
    DriveConfig *d = g_new0(DriveConfig, 1);
    NetdevConfig *n = g_new0(NetdevConfig, 1);

    chr->id = g_strdup("serial0");
    chr->backend = g_strdup("null");
    g_ptr_array_add(c->chardevs, chr);
    serial->chardev = g_strdup("serial0");
    g_ptr_array_add(c->serials, serial);
    d->id = g_strdup("disk");
    d->file = g_strdup(image);
    d->iface = g_strdup("none");
    g_ptr_array_add(c->drives, d);
    n->id = g_strdup("n0");
    n->type = g_strdup("stream");
    n->kind = "stream";
    n->fds = g_ptr_array_new_with_free_func(g_free);
    n->remote.fd = socket_fd();
    g_ptr_array_add(c->netdevs, n);
}

static void all_devices(Bench *b, gconstpointer modern)
{
    bench_config(b, GPOINTER_TO_INT(modern));
    g_hash_table_insert(b->config->machine_props, g_strdup("rtc"), g_strdup("on"));
    add_backends(b->config);
    bench_device(b, "virtio-blk-device", "drive", "disk", "num-queues", "2", NULL);
    bench_device(b, "virtio-rng-device", NULL);
    bench_device(b, "virtio-balloon-device", "free-page-hint", "on", NULL);
    bench_device(b, "virtio-serial-device", "max_ports", "4", NULL);
    bench_device(b, "virtconsole", NULL);
    bench_device(b, "virtio-net-device", "netdev", "n0", NULL);
    bench_start(b);
    for (unsigned i = 0; i < NR_DEVICES; i++) {
        b->device = i;
        drive(b, UINT64_MAX & ~(1ull << 40), i == RNG ? 1 : 2);
    }
    b->device = BLK;
    runstate_stop(b->m->run_state, RUN_STATE_PAUSED);
}

/* The serial port in the middle of everything, so that all its subsections are there. */
static void fill_serial(SerialState *s)
{
    s->ier = SERIAL_IER_THRI | SERIAL_IER_RDI; /* the latter goes first */
    s->iir = SERIAL_IIR_TIMEOUT;
    s->lsr |= SERIAL_LSR_DR;
    s->thr_ipending = s->timeout_ipending = 1;
    s->recv_fifo.num = 3;
    s->fifo_timeout_timer = 1000;
}

/* Names of sections, and ends of the paths of their fields. */
static const BadValue rows[] = {
    { "virtio-blk", "/guest_page_shift[0]", "00000020", "guest_page_shift 32" },
    { "virtio-blk", "/status[0]", "ff", "0xff" },
    { "virtio-blk", "/isr[0]", "04", "0x4" },
    { "virtio-blk", "/queue_sel[0]", "0400", "queue_sel 1024" },
    { "virtio-blk", "/guest_features[0]", "ffffffff", "64bit_features: " },
    { "virtio-blk", "/config_len[0]", "00000101", "config: the stream claims 257 elements" },
    { "virtio-blk", "/config_len[0]", "ffffffff", "config: the stream claims 4294967295 elements" },
    { "virtio-blk", "/nr_queues[0]", "00000001", "the source has 1 queues, this device 2" },
    { "virtio-blk", "/nr_queues[0]", "00000401", "queues: the stream claims 1025 elements" },
    { "virtio-blk", "/queues[0]/num[0]", "00000000", "num: queue 0 has 0 entries" },
    { "virtio-blk", "/queues[0]/num[0]", "00000007", "num: queue 0 has 7 entries" },
    { "virtio-blk", "/queues[1]/num[0]", "00000800", "num: queue 1 has 2048 entries" },
    { "virtio-blk", "/queues[0]/align[0]", "00000000", "align: queue 0 has alignment 0" },
    { "virtio-blk", "/queues[1]/align[0]", "00001001", "align: queue 1 has alignment 4097" },
    { "virtio-blk", "/queues[0]/desc[0]", "0000000000100001", "desc 0x100001" },
    { "virtio-blk", "/queues[0]/desc[0]", "0000000080000000", "queue 0: " },
    { "virtio-blk", "/queues[1]/desc[0]", "fffffffffffffff0", "queue 1: " },
    { "virtio-blk", "/queues[0]/last_avail_idx[0]", "0009", "last_avail_idx: queue 0" },
    { "virtio-blk", "/queues[1]/last_avail_idx[0]", "8000", "last_avail_idx: queue 1" },
    { "virtio-blk", "/requests[0]", "01", "the source has requests that failed" },
    { "virtio-blk", "/features[0]", "ffffffffffffffff", "0xffffffffffffffff" },
    { "virtio-rng", "/nr_queues[0]", "00000002", "the source has 2 queues, this device 1" },
    { "virtio-rng", "/status[0]", "30", "0x30" },
    { "virtio-balloon", "/num_pages[0]", "00000401", "num_pages 1025" },
    { "virtio-balloon", "/actual[0]", "ffffffff", "actual 4294967295" },
    { "virtio-balloon", "/free_page_hint_status[0]", "00000004", "4 is unknown" },
    { "virtio-console", "/max_nr_ports[0]", "00000003", "max_ports=" },
    { "virtio-console", "/ports_map[0]", "00000003", "ports_map" },
    { "virtio-console", "/ports_map[0]", "00000000", "ports_map" },
    { "virtio-console", "/ports[0]", "00000005 00000000 00 00 00000000", "nr_active_ports: 5" },
    { "virtio-console", "/ports[0]", "00000001 00000001 00 00 00000000", "port id 1" },
    { "virtio-console", "/ports[0]", "00000001 ffffffff 00 00 00000000", "port id 4294967295" },
    { "virtio-console", "/ports[0]", "00000001 00000000 02 00 00000000", "guest_connected 2" },
    { "virtio-console", "/ports[0]", "00000001 00000000 00 02 00000000", "host_connected 2" },
    { "virtio-console", "/ports[0]", "00000001 00000000 00 00 00000001", "holds a buffer" },
    { "virtio-net", "/filter.in_use[0]", "00000041", "the stream claims 65 elements" },
    { "virtio-net", "/has_vnet_hdr[0]", "00000001", "has_vnet_hdr" },
    { "virtio-net", "/has_ufo[0]", "01", "has_ufo" },
    { "serial", "/recv_fifo[0]/head[0]", "00000010", "recv_fifo: head 16" },
    { "serial", "/recv_fifo[0]/num[0]", "00000011", "recv_fifo: head 0, num 17" },
};

static guint try_all(Machine *m, const char *only_with, guint *sections)
{
    guint used = 0;

    for (guint i = 0; i < m->migration->registry.entries->len; i++) {
        const SaveStateEntry *se = m->migration->registry.entries->pdata[i];

        if (section_is_there(se) && (!only_with || strstr(only_with, se->vmsd->name))) {
            used += try_section(m, se, rows, G_N_ELEMENTS(rows), NULL);
            (*sections)++;
        }
    }
    return used;
}

static void test_all_sections(gconstpointer modern)
{
    Bench b;
    const SaveStateEntry *serial;
    guint used, n = 0;

    all_devices(&b, modern);
    serial = save_registry_find(&b.m->migration->registry, "serial", 0);
    g_assert_nonnull(serial);
    fill_serial(&((SerialPort *)serial->opaque)->state);
    used = try_all(b.m, NULL, &n);
    g_assert_cmpuint(n, ==, NR_DEVICES + 4); /* timer, fw_cfg, serial, mc146818rtc */
    g_assert_cmpuint(used, ==, G_N_ELEMENTS(rows));
    bench_end(&b);
}

/* What a machine with ACPI has besides. */
static void test_acpi_sections(void)
{
    Bench b;
    guint n = 0;

    bench_config(&b, true);
    g_hash_table_replace(b.config->machine_props, g_strdup("acpi"), g_strdup("on"));
    bench_start(&b);
    runstate_stop(b.m->run_state, RUN_STATE_PAUSED);
    try_all(b.m, "fw_cfg acpi-ged", &n);
    g_assert_cmpuint(n, ==, 2);
    bench_end(&b);
}

static const SaveStateEntry *blk_section(Bench *b)
{
    const SaveStateEntry *se = save_registry_find(&b->m->migration->registry,
                                                  "virtio-mmio@00000000feb00e00/virtio-blk", 0);

    g_assert_nonnull(se);
    return se;
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
    good = section_save(se, NULL);
    features = find_subsection(good, "virtio/64bit_features");
    rings = find_subsection(good, "virtio/virtqueues");
    ringsize = find_subsection(good, "virtio/ringsize");

    g_byte_array_append(bad, good->data, rings); /* without */
    g_byte_array_append(bad, good->data + ringsize, good->len - ringsize);
    g_assert_cmpint(section_load(b.m, se, bad, &err), ==, -1);
    assert_names(se, err, "virtqueues: missing");
    g_clear_error(&err);

    g_byte_array_set_size(bad, 0); /* twice */
    g_byte_array_append(bad, good->data, ringsize);
    g_byte_array_append(bad, good->data + rings, good->len - rings);
    g_assert_cmpint(section_load(b.m, se, bad, &err), ==, -1);
    assert_names(se, err, "'virtio/virtqueues' in 'virtio' comes twice");
    g_clear_error(&err);

    g_byte_array_set_size(bad, 0); /* in another order, which says the same */
    g_byte_array_append(bad, good->data, features);
    g_byte_array_append(bad, good->data + rings, ringsize - rings);
    g_byte_array_append(bad, good->data + features, rings - features);
    g_byte_array_append(bad, good->data + ringsize, good->len - ringsize);
    g_assert_cmpint(section_load(b.m, se, bad, &err), ==, 0);
    g_assert_no_error(err);
    assert_good(b.m, se, good);
    bench_end(&b);
}

static void test_other_transport(void)
{
    Bench b;
    g_autoptr(GByteArray) modern = NULL, legacy = NULL;
    GError *err = NULL;

    all_devices(&b, GINT_TO_POINTER(1));
    modern = section_save(blk_section(&b), NULL);
    bench_end(&b);
    all_devices(&b, GINT_TO_POINTER(0));
    legacy = section_save(blk_section(&b), NULL);
    g_assert_cmpint(section_load(b.m, blk_section(&b), modern, &err), ==, -1);
    assert_names(blk_section(&b), err, "extra_state: the source's transport is of version 2");
    g_clear_error(&err);
    assert_good(b.m, blk_section(&b), legacy);
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
    g_test_add_func("/device-state/acpi-sections", test_acpi_sections);
    g_test_add_func("/device-state/virtio-subsections", test_virtio_subsections);
    g_test_add_func("/device-state/other-transport", test_other_transport);
    rc = g_test_run();
    unlink(image);
    close(fd);
    g_free(image);
    return rc;
}
