/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PVH direct boot: the kernel's ELF segments, and the start_info structure (Xen's public
 * hvm_start_info, version 1) with command line, memory map and one module for the initrd.
 *
 * Low memory: the structures take the lowest free pages, the initrd the highest place below 2 GiB
 * and the PCI hole (loader-low.c). Main thread, machine lock held.
 */
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "loader-place.h"

#define START_MAGIC 0x336ec578U
#define ONE_MIB 0x100000U
#define CMDLINE_MAX 0x10000U
#define INITRD_TOP 0x80000000U

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
    MapEntry map[LOADER_MAP_MAX];
} LowPage;
_Static_assert(sizeof(LowPage) <= 4096, "fits a page");

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

static uint32_t fill_map(const Machine *m, MapEntry *out)
{
    LoaderRange map[LOADER_MAP_MAX];
    unsigned n = loader_memory_map(m, map);

    for (unsigned i = 0; i < n; i++) {
        out[i] = (MapEntry){ map[i].gpa, map[i].size, map[i].type, 0 };
    }
    return n;
}

static bool add_start_info(Machine *m, GError **errp)
{
    const MachineConfig *c = m->config;
    g_autofree char *cmdline = loader_cmdline(m);
    LowPage page = { .info = { .magic = START_MAGIC, .version = 1 } };
    uint64_t at;

    if (strlen(cmdline) >= CMDLINE_MAX) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-append: %zu bytes are more than the %u possible",
                       strlen(cmdline), CMDLINE_MAX - 1);
    }
    if (c->initrd && !loader_add_initrd(m, ONE_MIB, INITRD_TOP, &page.module.paddr,
                                        &page.module.size, errp)) {
        return false;
    }
    if (!loader_add_low(m, "command line", cmdline, strlen(cmdline) + 1, &page.info.cmdline_paddr,
                        errp) ||
        !loader_find_low(m, "start_info", sizeof(page), &at, errp)) {
        return false;
    }
    page.info.rsdp_paddr = m->boot_images->acpi;
    page.info.nr_modules = c->initrd ? 1 : 0;
    page.info.modlist_paddr = c->initrd ? at + offsetof(LowPage, module) : 0;
    page.info.memmap_paddr = at + offsetof(LowPage, map);
    page.info.memmap_entries = fill_map(m, page.map);
    m->boot_images->start_info = at;
    return loader_add_low(m, "start_info", &page, sizeof(page), &at, errp);
}

bool loader_pvh(Machine *m, GBytes *file, GError **errp)
{
    const char *path = m->config->kernel;
    gsize len;
    const uint8_t *data = g_bytes_get_data(file, &len);
    g_autoptr(ElfImage) elf = elf_parse(data, len, path, errp);

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
