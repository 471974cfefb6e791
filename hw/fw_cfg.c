/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: what firmware and kernels may ask of the machine, by ports 0x510 (selector) and 0x511
 * (data) and by DMA at 0x514. Numbers and structures are those of Linux's public header
 * linux/qemu_fw_cfg.h. Items are constant once the machine is made; a guest can only read
 * them.
 *
 * The items' selector, offset and length come from the guest: all are bounded at each access.
 * Machine lock held. Section fw_cfg version 2 with fw_cfg/dma, which has version 0, and with ACPI
 * fw_cfg/acpi_mr (spec minimal-machines 6.3).
 */
#include "fw_cfg.h"

#include <linux/qemu_fw_cfg.h>
#include <string.h>

#include "error.h"
#include "loader.h"

#define FW_CFG_PORT 0x510
#define FW_CFG_DMA_PORT 0x514
#define FW_CFG_ITEMS 0x20
/* No item comes near this; more is a guest that wants to keep the machine lock busy. */
#define DMA_LENGTH_MAX 0x100000U

typedef struct FwCfg {
    Machine *machine;
    GBytes *items[FW_CFG_ITEMS];
    uint16_t cur_entry;
    uint32_t cur_offset;
    uint64_t dma_addr;
    uint64_t table_mr_size, linker_mr_size, rsdp_mr_size;
} FwCfg;

static void add_item(FwCfg *s, unsigned key, const void *data, size_t len)
{
    s->items[key] = g_bytes_new(data, len);
}

static void add_le(FwCfg *s, unsigned key, uint64_t value, unsigned len)
{
    uint64_t le = GUINT64_TO_LE(value);

    add_item(s, key, &le, len);
}

static void add_items(FwCfg *s)
{
    const Machine *m = s->machine;
    const MachineConfig *c = m->config;
    const uint32_t no_files = 0;

    add_item(s, FW_CFG_SIGNATURE, "QEMU", FW_CFG_SIG_SIZE);
    add_le(s, FW_CFG_ID, FW_CFG_VERSION | FW_CFG_VERSION_DMA, 4);
    add_item(s, FW_CFG_UUID, c->uuid, sizeof(c->uuid));
    add_le(s, FW_CFG_RAM_SIZE, m->ram_size, 8);
    add_le(s, FW_CFG_NOGRAPHIC, c->nographic, 2);
    add_le(s, FW_CFG_NB_CPUS, m->nr_vcpus, 2);
    add_le(s, FW_CFG_MAX_CPUS, m->nr_vcpus, 2);
    add_item(s, FW_CFG_FILE_DIR, &no_files, sizeof(no_files));
}

/* Later than the rest: the board's devices add words to the command line. */
static void add_cmdline(FwCfg *s)
{
    g_autofree char *cmdline = loader_cmdline(s->machine);

    g_clear_pointer(&s->items[FW_CFG_CMDLINE_SIZE], g_bytes_unref);
    g_clear_pointer(&s->items[FW_CFG_CMDLINE_DATA], g_bytes_unref);
    add_le(s, FW_CFG_CMDLINE_SIZE, strlen(cmdline) + 1, 4);
    add_item(s, FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1);
}

static void select_item(FwCfg *s, uint16_t key)
{
    s->cur_entry = key & FW_CFG_ENTRY_MASK & 0xffff;
    s->cur_offset = 0;
}

/* Copies what is left of the item, at most len bytes, and moves on; the rest of buf is zero. */
static void read_item(FwCfg *s, uint8_t *buf, uint32_t len)
{
    gsize size = 0;
    const uint8_t *data = NULL;

    if (s->cur_entry < FW_CFG_ITEMS && s->items[s->cur_entry]) {
        data = g_bytes_get_data(s->items[s->cur_entry], &size);
    }
    uint32_t n = s->cur_offset < size ? MIN(size - s->cur_offset, len) : 0;

    if (n) {
        memcpy(buf, data + s->cur_offset, n);
    }
    memset(buf + n, 0, len - n);
    s->cur_offset += n;
}

/* ---- ports ---- */

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    uint8_t byte = 0;

    if (offset != 1) {
        return 0;
    }
    read_item(opaque, &byte, 1);
    return byte;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == 0 && size == 2) {
        select_item(opaque, value);
    }
}

static const MmioOps port_ops = { port_read, port_write };

/* ---- DMA ---- */

static bool dma_transfer(FwCfg *s, uint32_t control, uint32_t length, uint64_t address)
{
    MemoryMap *mem = s->machine->memory;
    uint8_t buf[4096];

    if (length > DMA_LENGTH_MAX || (control & FW_CFG_DMA_CTL_WRITE)) {
        return false; /* all items are read-only */
    }
    while (length) {
        uint32_t n = MIN(length, sizeof(buf));

        read_item(s, buf, n);
        if ((control & FW_CFG_DMA_CTL_READ) && !memory_write(mem, address, buf, n, true)) {
            return false;
        }
        address += n;
        length -= n;
    }
    return true;
}

static void dma_run(FwCfg *s)
{
    MemoryMap *mem = s->machine->memory;
    struct fw_cfg_dma_access req;
    uint64_t at = s->dma_addr;
    uint32_t result = GUINT32_TO_BE(FW_CFG_DMA_CTL_ERROR);

    s->dma_addr = 0;
    if (memory_read(mem, at, &req, sizeof(req), true)) {
        uint32_t control = GUINT32_FROM_BE(req.control);
        uint32_t length = GUINT32_FROM_BE(req.length);

        if (control & FW_CFG_DMA_CTL_SELECT) {
            select_item(s, control >> 16);
        }
        if (!(control & (FW_CFG_DMA_CTL_READ | FW_CFG_DMA_CTL_SKIP | FW_CFG_DMA_CTL_WRITE))) {
            length = 0;
        }
        if (dma_transfer(s, control, length, GUINT64_FROM_BE(req.address))) {
            result = 0;
        }
    }
    memory_write(mem, at, &result, sizeof(result), true);
}

static uint64_t dma_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t signature = GUINT64_TO_BE(FW_CFG_DMA_SIGNATURE);
    uint64_t v = 0;

    memcpy(&v, (uint8_t *)&signature + offset, size);
    return v;
}

/* The address is big-endian: high half at 0x514, low half at 0x518, which starts the transfer. */
static void dma_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    FwCfg *s = opaque;

    if (size == 8 && offset == 0) {
        s->dma_addr = GUINT64_SWAP_LE_BE(value);
        dma_run(s);
    } else if (size == 4 && offset == 0) {
        s->dma_addr = (uint64_t)GUINT32_SWAP_LE_BE((uint32_t)value) << 32;
    } else if (size == 4 && offset == 4) {
        s->dma_addr |= GUINT32_SWAP_LE_BE((uint32_t)value);
        dma_run(s);
    }
}

static const MmioOps dma_ops = { dma_read, dma_write };

/* ---- state ---- */

static const char *const acpi_blocks[] = { "/rom@etc/acpi/tables", "/rom@etc/table-loader",
                                           "/rom@etc/acpi/rsdp" };

static uint64_t block_length(const FwCfg *s, const char *idstr)
{
    const RAMBlock *b = gw_ram_block_find(s->machine->migration, idstr);

    return b ? gw_ram_block_info(b)->used_length : 0;
}

/* Only once a stream has brought tables: a peer that made its own must not hear of sizes of 0. */
static bool acpi_needed(void *opaque)
{
    return block_length(opaque, acpi_blocks[0]) > 0;
}

static bool acpi_pre_save(void *opaque, GError **errp)
{
    FwCfg *s = opaque;

    s->table_mr_size = block_length(s, acpi_blocks[0]);
    s->linker_mr_size = block_length(s, acpi_blocks[1]);
    s->rsdp_mr_size = block_length(s, acpi_blocks[2]);
    return true;
}

static const VMStateField acpi_fields[] = {
    VMSTATE_UINT64(table_mr_size, FwCfg),
    VMSTATE_UINT64(linker_mr_size, FwCfg),
    VMSTATE_UINT64(rsdp_mr_size, FwCfg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_acpi = {
    .name = "fw_cfg/acpi_mr",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = acpi_needed,
    .pre_save = acpi_pre_save,
    .fields = acpi_fields,
};

static const VMStateField dma_fields[] = {
    VMSTATE_UINT64(dma_addr, FwCfg),
    VMSTATE_END,
};

static const VMStateDescription vmstate_dma = {
    .name = "fw_cfg/dma",
    .version_id = 0,
    .minimum_version_id = 0,
    .fields = dma_fields,
};

static const VMStateField fw_cfg_fields[] = {
    VMSTATE_UINT16(cur_entry, FwCfg),
    VMSTATE_UINT32(cur_offset, FwCfg),
    VMSTATE_END,
};

static const VMStateDescription *const fw_cfg_subsections[] = { &vmstate_dma, &vmstate_acpi,
                                                                NULL };

static const VMStateDescription vmstate_fw_cfg = {
    .name = "fw_cfg",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = fw_cfg_fields,
    .subsections = fw_cfg_subsections,
};

static void fw_cfg_reset(void *opaque)
{
    FwCfg *s = opaque;

    add_cmdline(s);
    select_item(s, FW_CFG_SIGNATURE);
    s->dma_addr = 0;
}

static void fw_cfg_free(void *opaque)
{
    FwCfg *s = opaque;

    gw_vmstate_unregister(s->machine->migration, &vmstate_fw_cfg, s);
    for (unsigned i = 0; i < FW_CFG_ITEMS; i++) {
        g_clear_pointer(&s->items[i], g_bytes_unref);
    }
    g_free(s);
}

bool fw_cfg_new(Machine *m, GError **errp)
{
    FwCfg *s = g_new0(FwCfg, 1);

    s->machine = m;
    add_items(s);
    machine_add_device(m, s, fw_cfg_free, fw_cfg_reset);
    return ioport_add(m->memory, FW_CFG_PORT, 2, &port_ops, s, "fw_cfg", errp) &&
           ioport_add(m->memory, FW_CFG_DMA_PORT, 8, &dma_ops, s, "fw_cfg.dma", errp) &&
           gw_vmstate_register(m->migration, NULL, 0, &vmstate_fw_cfg, s,
                               MIGRATION_PRIORITY_DEFAULT, errp);
}
