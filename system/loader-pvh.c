/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PVH direct boot: the kernel's ELF segments, and the start_info structure (Xen's public
 * hvm_start_info, version 1) with command line, memory map and one module for the initrd.
 *
 * Low memory: the structures take the lowest free pages from 0x6000 on, the initrd the highest
 * place below the PCI hole. Main thread, machine lock held.
 */
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "loader-place.h"

#define START_MAGIC 0x336ec578U
#define LOW_FIRST 0x6000U
#define LOW_END 0x9f000U      /* the extended BIOS data area would begin here */
#define LEGACY_ROM 0xf0000U   /* firmware's shadow: not for the guest to use as RAM */
#define ONE_MIB 0x100000U
#define FOUR_GIB (UINT64_C(1) << 32)
#define CMDLINE_MAX 0x10000U
#define INITRD_TOP 0x80000000U

enum { MAP_RAM = 1, MAP_RESERVED = 2 };

typedef struct StartInfo {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
    uint32_t memmap_entries, reserved;
} StartInfo;
_Static_assert(sizeof(StartInfo) == 56, "hvm_start_info version 1");

typedef struct Module {
    uint64_t paddr, size, cmdline_paddr, reserved;
} Module;
_Static_assert(sizeof(Module) == 32, "hvm_modlist_entry");

typedef struct MapEntry {
    uint64_t addr, size;
    uint32_t type, reserved;
} MapEntry;
_Static_assert(sizeof(MapEntry) == 24, "hvm_memmap_table_entry");

/* One page: start_info, then its module and its memory map; the command line has pages of its
 * own. */
typedef struct LowPage {
    StartInfo info;
    Module module;
    MapEntry map[4];
} LowPage;
_Static_assert(sizeof(LowPage) <= 4096, "fits a page");

static uint32_t fill_map(const Machine *m, MapEntry *map)
{
    uint32_t n = 0;

    if (m->ram_below_4g <= ONE_MIB) {
        map[n++] = (MapEntry){ 0, m->ram_below_4g, MAP_RAM, 0 };
        return n;
    }
    map[n++] = (MapEntry){ 0, LEGACY_ROM, MAP_RAM, 0 };
    map[n++] = (MapEntry){ LEGACY_ROM, ONE_MIB - LEGACY_ROM, MAP_RESERVED, 0 };
    map[n++] = (MapEntry){ ONE_MIB, m->ram_below_4g - ONE_MIB, MAP_RAM, 0 };
    if (m->ram_above_4g) {
        map[n++] = (MapEntry){ FOUR_GIB, m->ram_above_4g, MAP_RAM, 0 };
    }
    return n;
}

static bool add_segments(Machine *m, GBytes *file, const ElfImage *elf, GError **errp)
{
    for (guint i = 0; i < elf->segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf->segments, ElfSegment, i);
        g_autoptr(GBytes) part = g_bytes_new_from_bytes(file, s->file_offset, s->file_size);
        g_autofree char *name = g_strdup_printf("kernel '%s'", m->config->kernel);

        if (!boot_images_add(m, name, s->paddr, part, s->mem_size - s->file_size, errp)) {
            return false;
        }
    }
    return true;
}

static bool add_initrd(Machine *m, Module *module, GError **errp)
{
    const char *path = m->config->initrd;
    g_autoptr(GBytes) bytes = loader_read_file(path, m->ram_below_4g, errp);
    g_autofree char *name = g_strdup_printf("initrd '%s'", path);
    uint64_t gpa;

    if (!bytes) {
        return false;
    }
    module->size = g_bytes_get_size(bytes);
    if (!boot_images_find_high(m->boot_images, ONE_MIB, MIN(m->ram_below_4g, INITRD_TOP),
                               module->size, &gpa)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "%s: no room for its %" PRIu64 " bytes; give more memory with -m", name,
                       module->size);
    }
    module->paddr = gpa;
    return boot_images_add(m, name, gpa, bytes, 0, errp);
}

static bool add_low(Machine *m, const char *name, const void *data, size_t len, uint64_t *gpa,
                    GError **errp)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, len);

    if (!boot_images_find_low(m->boot_images, LOW_FIRST, MIN(m->ram_below_4g, LOW_END), len,
                              gpa)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "no room for the %s (%zu bytes) in low memory", name,
                       len);
    }
    return boot_images_add(m, name, *gpa, bytes, 0, errp);
}

static bool add_start_info(Machine *m, GError **errp)
{
    const MachineConfig *c = m->config;
    const char *cmdline = c->append ? c->append : "";
    LowPage page = { .info = { .magic = START_MAGIC, .version = 1 } };
    uint64_t at;

    if (strlen(cmdline) >= CMDLINE_MAX) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-append: %zu bytes are more than the %u possible",
                       strlen(cmdline), CMDLINE_MAX - 1);
    }
    if (c->initrd && !add_initrd(m, &page.module, errp)) {
        return false;
    }
    if (!add_low(m, "command line", cmdline, strlen(cmdline) + 1, &page.info.cmdline_paddr,
                 errp) ||
        !boot_images_find_low(m->boot_images, LOW_FIRST, MIN(m->ram_below_4g, LOW_END),
                              sizeof(page), &at)) {
        return false;
    }
    page.info.nr_modules = c->initrd ? 1 : 0;
    page.info.modlist_paddr = c->initrd ? at + offsetof(LowPage, module) : 0;
    page.info.memmap_paddr = at + offsetof(LowPage, map);
    page.info.memmap_entries = fill_map(m, page.map);
    m->boot_images->start_info = at;
    return add_low(m, "start_info", &page, sizeof(page), &at, errp);
}

bool loader_pvh(Machine *m, GError **errp)
{
    const char *path = m->config->kernel;
    g_autoptr(GBytes) file = loader_read_file(path, m->ram_size, errp);
    g_autoptr(ElfImage) elf = NULL;
    gsize len;

    if (!file) {
        return false;
    }
    const uint8_t *data = g_bytes_get_data(file, &len);

    if (!elf_is_elf(data, len)) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "kernel '%s' is not an ELF file; give an uncompressed kernel with a PVH "
                       "entry (vmlinux)", path);
    }
    elf = elf_parse(data, len, path, errp);
    if (!elf) {
        return false;
    }
    if (!elf->has_pvh_entry || elf->pvh_entry > UINT32_MAX) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "kernel '%s' has no PVH entry (ELF note of type 18, owner Xen)", path);
    }
    m->boot_images->mode = BOOT_PVH;
    m->boot_images->entry = elf->pvh_entry;
    return add_segments(m, file, elf, errp) && add_start_info(m, errp);
}
