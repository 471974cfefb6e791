/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The microvm board: where RAM and firmware lie, firmware whose size a stream decides, fw_cfg by
 * port and by DMA, properties, and a whole machine moved to another one through a file. */
#include <glib.h>

#include "boards.h"
#include "machine-fixture.h"
#include "memory-view.h"

#define FOUR_GIB (UINT64_C(1) << 32)

static char *dir;

static MachineConfig *microvm_config(void)
{
    MachineConfig *c = fixture_config(1);

    machine_set_boards(hw_boards);
    g_free(c->machine_type);
    c->machine_type = g_strdup("microvm");
    c->ram_size = 4 << 20;
    return c;
}

static char *make_bios(const char *name, size_t size)
{
    g_autofree uint8_t *data = g_malloc(size);
    char *path = g_build_filename(dir, name, NULL);

    for (size_t i = 0; i < size; i++) {
        data[i] = i >> 8;
    }
    g_assert_true(g_file_set_contents(path, (char *)data, size, NULL));
    return path;
}

static const char *name_at(Machine *m, uint64_t gpa)
{
    g_autoptr(MemoryView) v = memory_view_get(m->memory);
    const MemoryRange *r = memory_view_find(v, gpa);

    return r ? gw_ram_block_info(r->block)->idstr : NULL;
}

static void test_no_firmware(void)
{
    g_autoptr(MachineConfig) c = microvm_config();
    Machine *m = fixture_machine(c);
    const RAMBlock *bios = gw_ram_block_find(m->migration, "pc.bios");

    g_assert_nonnull(bios); /* a stream may bring one */
    g_assert_cmpuint(gw_ram_block_info(bios)->used_length, ==, 0);
    g_assert_cmpstr(name_at(m, 0xf0000), ==, "microvm.ram");
    g_assert_null(name_at(m, FOUR_GIB - 1));
    machine_free(m);
}

static void check_firmware(Machine *m, uint64_t size, uint64_t shadow)
{
    uint8_t a, b;

    g_assert_cmpstr(name_at(m, FOUR_GIB - size), ==, "pc.bios");
    g_assert_null(name_at(m, FOUR_GIB - size - 1));
    g_assert_cmpstr(name_at(m, 0x100000 - shadow), ==, "pc.bios");
    g_assert_cmpstr(name_at(m, 0x100000 - shadow - 1), ==, "microvm.ram");
    g_assert_cmpstr(name_at(m, 0x100000), ==, "microvm.ram");
    for (uint64_t at = 0; at < size; at += 256) {
        g_assert_true(memory_read(m->memory, FOUR_GIB - size + at, &a, 1, false));
        g_assert_cmphex(a, ==, at >> 8 & 0xff);
    }
    g_assert_true(memory_read(m->memory, FOUR_GIB - 1, &a, 1, false));
    g_assert_true(memory_read(m->memory, 0xfffff, &b, 1, false));
    g_assert_cmphex(a, ==, b);
}

static void test_firmware(void)
{
    g_autoptr(MachineConfig) c = microvm_config();
    g_autoptr(GError) err = NULL;

    c->bios = make_bios("bios256", 0x40000);

    Machine *m = fixture_machine(c);

    check_firmware(m, 0x40000, 0x20000);
    machine_free(m);
    g_free(c->bios);
    c->bios = make_bios("odd", 1000);
    g_assert_null(machine_new(c, &err));
    g_assert_nonnull(strstr(err->message, "multiple of 64 KiB"));
}

static void test_pci_hole(void)
{
    g_autoptr(MachineConfig) c = microvm_config();

    c->ram_size = UINT64_C(4) << 30; /* address space only: nothing is touched */

    Machine *m = fixture_machine(c);

    g_assert_cmpuint(m->ram_below_4g, ==, UINT64_C(3) << 30);
    g_assert_cmpstr(name_at(m, 0xbfffffff), ==, "microvm.ram");
    g_assert_null(name_at(m, 0xc0000000));
    g_assert_cmpstr(name_at(m, FOUR_GIB), ==, "microvm.ram");
    g_assert_true(memory_host_ptr(m->memory, FOUR_GIB, 1) ==
                  memory_host_ptr(m->memory, 0, 1) + 0xc0000000);
    g_assert_null(name_at(m, FOUR_GIB + 0x40000000));
    machine_free(m);
}

static void test_properties(void)
{
    static const char *const bad[][2] = {
        { "pcie", "on" }, { "acpi", "maybe" }, { "isa-serial", "auto" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(MachineConfig) c = microvm_config();
        g_autoptr(GError) err = NULL;

        g_hash_table_insert(c->machine_props, g_strdup(bad[i][0]), g_strdup(bad[i][1]));
        g_assert_null(machine_new(c, &err));
        g_assert_nonnull(strstr(err->message, bad[i][0]));
    }
}

/* ---- fw_cfg ---- */

static void select_item(Machine *m, uint16_t key)
{
    ioport_write(m->memory, 0x510, key, 2);
}

static void read_item(Machine *m, void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)buf)[i] = ioport_read(m->memory, 0x511, 1);
    }
}

static uint32_t dma(Machine *m, uint32_t control, uint32_t length, uint64_t address)
{
    struct {
        uint32_t control, length;
        uint64_t address;
    } req = { GUINT32_TO_BE(control), GUINT32_TO_BE(length), GUINT64_TO_BE(address) };

    memory_write(m->memory, 0x5000, &req, sizeof(req), true);
    ioport_write(m->memory, 0x514, 0, 4);
    ioport_write(m->memory, 0x518, GUINT32_SWAP_LE_BE(0x5000), 4);
    memory_read(m->memory, 0x5000, &req.control, 4, true);
    return GUINT32_FROM_BE(req.control);
}

static void test_fw_cfg(void)
{
    g_autoptr(MachineConfig) c = microvm_config();
    Machine *m = fixture_machine(c);
    char buf[8] = "xxxxxxx";

    machine_lock(m);
    select_item(m, 0);
    read_item(m, buf, 6);
    g_assert_cmpmem(buf, 6, "QEMU\0\0", 6);
    select_item(m, 0x7fff); /* no such item */
    read_item(m, buf, 4);
    g_assert_cmpmem(buf, 4, "\0\0\0\0", 4);
    g_assert_cmphex(ioport_read(m->memory, 0x514, 8), ==, GUINT64_SWAP_LE_BE(0x51454d5520434647));

    /* Select item 5 (number of CPUs) and read it into memory. */
    memory_write(m->memory, 0x6000, "\xff\xff\xff\xff", 4, true);
    g_assert_cmphex(dma(m, 5 << 16 | 0x0a, 4, 0x6000), ==, 0);
    memory_read(m->memory, 0x6000, buf, 4, true);
    g_assert_cmpmem(buf, 4, "\1\0\0\0", 4);
    g_assert_cmphex(dma(m, 0x12, 4, 0x6000), ==, 1);               /* writing is refused */
    g_assert_cmphex(dma(m, 0x02, UINT32_MAX, 0x6000), ==, 1);      /* too long */
    g_assert_cmphex(dma(m, 0x02, 4, UINT64_C(0x9000000000)), ==, 1); /* nowhere */
    g_assert_cmphex(dma(m, 0, UINT32_MAX, 0x6000), ==, 0);         /* nothing to do */
    machine_unlock(m);
    machine_free(m);
}

/* ---- a move ---- */

static void save_to(Machine *m, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    g_autoptr(GError) err = NULL;
    MigrationInfo info = { 0 };

    gw_migrate(m->migration, addr, false, &err);
    g_assert_no_error(err);
    gw_migration_wait(m->migration);
    gw_migration_query(m->migration, &info);
    g_assert_cmpstr(info.error_desc, ==, NULL);
    g_assert_cmpint(info.status, ==, MIGRATION_STATUS_COMPLETED);
    gw_migration_info_clear(&info);
}

static void load_from(Machine *m, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    g_autoptr(GError) err = NULL;
    MigrationInfo info = { 0 };

    gw_incoming_start(m->migration, addr, false, &err);
    g_assert_no_error(err);
    gw_incoming_wait(m->migration);
    gw_incoming_query(m->migration, &info);
    g_assert_cmpstr(info.error_desc, ==, NULL);
    g_assert_cmpint(info.status, ==, MIGRATION_STATUS_COMPLETED);
    gw_migration_info_clear(&info);
}

/* The source has firmware, the destination learns of it from the stream. */
static void test_move(void)
{
    g_autoptr(MachineConfig) src_conf = microvm_config(), dst_conf = microvm_config();
    g_autofree char *path = g_build_filename(dir, "state", NULL);
    uint8_t byte = 0;
    int64_t t;

    src_conf->bios = make_bios("bios64", 0x10000);
    dst_conf->incoming = g_strdup("defer");

    Machine *src = fixture_machine(src_conf), *dst = fixture_machine(dst_conf);

    memory_write(src->memory, 0x234567, "\x5a", 1, false);
    g_assert_true(runstate_start(src->run_state, NULL));
    save_to(src, path);
    g_assert_cmpint(runstate_get(src->run_state), ==, RUN_STATE_POSTMIGRATE);
    t = machine_clock_ns(src);
    g_assert_null(name_at(dst, FOUR_GIB - 1));
    load_from(dst, path);
    g_assert_true(runstate_is_running(dst->run_state));
    runstate_stop(dst->run_state, RUN_STATE_PAUSED);
    check_firmware(dst, 0x10000, 0x10000);
    memory_read(dst->memory, 0x234567, &byte, 1, false);
    g_assert_cmphex(byte, ==, 0x5a);
    g_assert_cmpint(machine_clock_ns(dst), >=, t);
    g_assert_cmpint(machine_clock_ns(dst), <, t + 60000000000);
    machine_free(src);
    machine_free(dst);
}

/* Freed in the middle of everything: no thread may be left that uses it. */
static void test_free_while_migrating(void)
{
    g_autoptr(MachineConfig) src_conf = microvm_config(), dst_conf = microvm_config();
    g_autofree char *sock = g_strdup_printf("unix:%s/sock", dir);
    g_autoptr(GwAddress) addr = gw_address_parse_uri(sock, NULL);

    dst_conf->incoming = g_strdup("defer");

    Machine *src = fixture_machine(src_conf), *dst = fixture_machine(dst_conf);

    g_assert_true(runstate_start(src->run_state, NULL));
    g_assert_true(gw_incoming_start(dst->migration, addr, false, NULL));
    g_assert_true(gw_migrate(src->migration, addr, false, NULL));
    machine_free(src);
    machine_free(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-microvm-XXXXXX", NULL);
    g_assert_nonnull(dir);
    g_test_add_func("/microvm/no-firmware", test_no_firmware);
    g_test_add_func("/microvm/firmware", test_firmware);
    g_test_add_func("/microvm/pci-hole", test_pci_hole);
    g_test_add_func("/microvm/properties", test_properties);
    g_test_add_func("/microvm/fw-cfg", test_fw_cfg);
    g_test_add_func("/microvm/move", test_move);
    g_test_add_func("/microvm/free-while-migrating", test_free_while_migrating);

    int rc = g_test_run();

    fixture_remove_dir(dir);
    return rc;
}
