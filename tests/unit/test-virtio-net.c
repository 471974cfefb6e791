/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The section of virtio-net: one that stock QEMU 7.2 wrote of a running guest is loaded, every
 * field is where the guest had put it, and saving gives the same bytes; what cannot be is refused
 * by field; a section that is cut off anywhere is refused. And the receive filter, frame by frame.
 * */
#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boards.h"
#include "machine-fixture.h"
#include "net-priv.h"
#include "virtio-net.h"
#include "vmstate-helpers.h"

/* Where the fields are in the section below. */
enum {
    AT_FEATURES = 16, AT_QUEUES = 32, AT_MAC = 90, AT_MERGEABLE = 100, AT_STATUS = 104,
    AT_IN_USE = 108, AT_MACS = 112, AT_VLANS = 124, AT_HAS_HEADER = 636, AT_HAS_UFO = 646,
    AT_OFFLOADS = 647, AT_SUBSECTIONS = 655,
};
#define VLAN_BYTES 512
#define RINGSIZE_BYTES 4096

/* Transport, three queues of 32 entries, and the card up to the VLANs. */
static const char head[] =
    "00000000 00000000 0000000c 07 01 0002 08af8024 00000008 5254001234560100 00000003"
    "00000020 00001000 00000000001be000 1cdf"
    "00000020 00001000 00000000001c0000 0a95"
    "00000020 00001000 00000000001ce000 000a"
    "525400123456 00000000 00000001 0001 00 00 00000002 020000000009 01005e000007";
static const char middle[] = "00000000 00 00 00 00 00 00 00 0000000000000000";
static const char features[] =
    "05 15 'virtio/64bit_features' 00000001 0000000008af8024 05 0f 'virtio/ringsize' 00000001";
static const char tail[] = "05 0e 'virtio/started' 00000001 01";

static void append(GByteArray *to, const char *text)
{
    g_autoptr(GByteArray) part = unhex(text);

    g_byte_array_append(to, part->data, part->len);
}

static void append_zero(GByteArray *to, size_t n)
{
    guint at = to->len;

    g_byte_array_set_size(to, at + n);
    memset(to->data + at, 0, n);
}

static GByteArray *golden(void)
{
    GByteArray *s = g_byte_array_new();
    guint at;

    append(s, head);
    append_zero(s, VLAN_BYTES);
    s->data[AT_VLANS] = 1 << 5;               /* VLAN 5 */
    s->data[AT_VLANS + 4095 / 8] = 1 << 7;    /* VLAN 4095 */
    append(s, middle);
    g_assert_cmpuint(s->len, ==, AT_SUBSECTIONS);
    append(s, features);
    at = s->len;
    append_zero(s, RINGSIZE_BYTES);
    s->data[at + 2] = s->data[at + 6] = 1;    /* 256, 256, 64 */
    s->data[at + 11] = 64;
    append(s, tail);
    return s;
}

typedef struct Fixture {
    MachineConfig *config;
    Machine *m;
    VirtIONet *card;
    int peer;
} Fixture;

static Fixture make(void)
{
    NetdevConfig *n = g_new0(NetdevConfig, 1);
    DeviceConfig *d = g_new0(DeviceConfig, 1);
    Fixture f = { .config = fixture_config(1) };
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    machine_set_boards(hw_boards);
    g_free(f.config->machine_type);
    f.config->machine_type = g_strdup("microvm");
    f.config->ram_size = TEST_RAM_SIZE;
    n->id = g_strdup("n0");
    n->type = g_strdup("stream");
    n->kind = "stream";
    n->fds = g_ptr_array_new_with_free_func(g_free);
    n->remote.fd = g_strdup_printf("%d", fds[0]);
    g_ptr_array_add(f.config->netdevs, n);
    d->driver = g_strdup("virtio-net-device");
    d->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(d->props, g_strdup("netdev"), g_strdup("n0"));
    g_ptr_array_add(f.config->devices, d);
    f.m = fixture_machine(f.config);
    f.card = net_find(f.m, "n0")->dev;
    f.peer = fds[1];
    return f;
}

static void unmake(Fixture *f)
{
    machine_free(f->m);
    machine_config_free(f->config);
    close(f->peer);
}

static void test_golden(void)
{
    static const VirtIONetMac station = { { 2, 0, 0, 0, 0, 9 } };
    g_autoptr(GByteArray) s = golden();
    g_autofree char *text = hex(s->data, s->len);
    Fixture f = make();
    VirtIONet *n = f.card;

    machine_lock(f.m);
    assert_loads(&vmstate_virtio_net, n, text);
    g_assert_cmphex(n->vdev.guest_features, ==, 0x08af8024);
    g_assert_cmpuint(n->header, ==, NET_HEADER_MAX);
    g_assert_cmpuint(n->status, ==, VIRTIO_NET_S_LINK_UP);
    g_assert_cmpuint(n->filter.promisc, ==, 0);
    g_assert_cmpuint(n->filter.in_use, ==, 2);
    g_assert_cmpmem(&n->filter.macs[0], 6, &station, 6);
    g_assert_cmphex(n->filter.vlans[0], ==, 1u << 5);
    g_assert_cmphex(n->filter.vlans[127], ==, 1u << 31);
    g_assert_cmpuint(virtio_net_ctrl_index(n), ==, 2);
    assert_saves(&vmstate_virtio_net, n, text);
    machine_unlock(f.m);
    unmake(&f);
}

typedef struct Bad {
    unsigned at;
    uint8_t value;
    const char *error;
} Bad;

static const Bad bad[] = {
    { AT_QUEUES + 3, 5, "nr_queues" },
    { AT_QUEUES + 3, 2, "nr_queues" },
    { AT_FEATURES + 3, 0x27, "64bit_features" },
    { AT_IN_USE + 3, VIRTIO_NET_MAC_MAX + 1, "macs" },
    { AT_IN_USE, 0xff, "macs" },
    { AT_HAS_HEADER + 3, 1, "has_vnet_hdr" },
    { AT_HAS_UFO, 1, "has_ufo" },
    { AT_OFFLOADS + 7, 1 << VIRTIO_NET_F_GUEST_CSUM, "curr_guest_offloads" },
    { AT_OFFLOADS, 0x80, "curr_guest_offloads" },
};

static void test_refused(void)
{
    Fixture f = make();

    machine_lock(f.m);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GByteArray) s = golden();
        g_autofree char *text = NULL;

        s->data[bad[i].at] = bad[i].value;
        text = hex(s->data, s->len);
        assert_refuses(&vmstate_virtio_net, f.card, text, bad[i].error);
    }
    machine_unlock(f.m);
    unmake(&f);
}

/* Wherever the card's own part ends too early. */
static void test_cut_off(void)
{
    Fixture f = make();
    g_autoptr(GByteArray) s = golden();

    machine_lock(f.m);
    for (guint len = 0; len < AT_SUBSECTIONS; len += len < AT_VLANS ? 1 : 61) {
        g_autoptr(GByteArray) cut = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        g_byte_array_append(cut, s->data, len);
        g_assert_cmpint(load_bytes(&vmstate_virtio_net, f.card, 11, cut, &err), ==, -1);
        g_assert_nonnull(err);
    }
    machine_unlock(f.m);
    unmake(&f);
}

typedef struct FrameCase {
    uint8_t to[6];
    uint16_t vlan; /* 0: none */
    bool wanted;
} FrameCase;

static void check_frames(const VirtIONetFilter *f, const FrameCase *cases, size_t n)
{
    static const uint8_t own[6] = { 0x52, 0x54, 0, 1, 2, 3 };

    for (size_t i = 0; i < n; i++) {
        uint8_t frame[64] = { 0 };

        memcpy(frame, cases[i].to, 6);
        if (cases[i].vlan) {
            frame[12] = 0x81;
            frame[14] = 0xe0 | cases[i].vlan >> 8; /* with a priority */
            frame[15] = cases[i].vlan;
        }
        if (virtio_net_filter(f, own, frame, sizeof(frame)) != cases[i].wanted) {
            g_error("frame %zu", i);
        }
        g_assert_false(virtio_net_filter(f, own, frame, ETHERNET_HEADER - 1));
    }
}

static void test_filter(void)
{
    VirtIONetFilter f;
    const FrameCase all[] = { { { 2, 1 }, 0, true }, { { 1, 1 }, 7, true } };
    const FrameCase some[] = {
        { { 0x52, 0x54, 0, 1, 2, 3 }, 0, true },  { { 0x52, 0x54, 0, 1, 2, 4 }, 0, false },
        { { 2, 0, 0, 0, 0, 9 }, 0, true },        { { 1, 0, 0x5e, 0, 0, 7 }, 0, true },
        { { 1, 0, 0x5e, 0, 0, 8 }, 0, false },
        { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 0, true },
        { { 2, 0, 0, 0, 0, 9 }, 5, true },        { { 2, 0, 0, 0, 0, 9 }, 6, false },
        { { 2, 0, 0, 0, 0, 9 }, 4095, true },
    };
    const FrameCase groups[] = { { { 1, 0, 0x5e, 0, 0, 8 }, 0, true },
                                 { { 2, 0, 0, 0, 0, 8 }, 0, true } };
    const FrameCase nothing[] = { { { 1, 0, 0x5e, 0, 0, 7 }, 0, false },
                                  { { 0x52, 0x54, 0, 1, 2, 3 }, 0, false },
                                  { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 0, false } };

    virtio_net_filter_reset(&f);
    check_frames(&f, all, G_N_ELEMENTS(all));
    f.promisc = 0;
    memset(f.vlans, 0, sizeof(f.vlans));
    f.vlans[0] = 1u << 5;
    f.vlans[127] = 1u << 31;
    f.in_use = 2;
    f.macs[0] = (VirtIONetMac){ { 2, 0, 0, 0, 0, 9 } };
    f.macs[1] = (VirtIONetMac){ { 1, 0, 0x5e, 0, 0, 7 } };
    check_frames(&f, some, G_N_ELEMENTS(some));
    f.multi_overflow = f.uni_overflow = 1;
    check_frames(&f, groups, G_N_ELEMENTS(groups));
    f.nomulti = f.nouni = f.nobcast = 1;
    check_frames(&f, nothing, G_N_ELEMENTS(nothing));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-net/golden", test_golden);
    g_test_add_func("/virtio-net/refused", test_refused);
    g_test_add_func("/virtio-net/cut-off", test_cut_off);
    g_test_add_func("/virtio-net/filter", test_filter);
    return g_test_run();
}
