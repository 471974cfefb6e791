/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct boot of a Linux bzImage by the 64-bit boot protocol: the protected mode kernel goes where
 * it likes to be, and begins at its 64-bit entry in long mode, so that neither firmware nor the
 * kernel's real mode code has to run. It is told what these would have found out: the "zero page"
 * (struct boot_params of asm/bootparam.h) with command line, initrd and memory map.
 *
 * In low memory: zero page, command line, a descriptor table and page tables that map the first
 * 4 GiB one to one; the kernel makes its own of both at once. Main thread, machine lock held.
 */
#include <asm/bootparam.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "loader-place.h"

#define ONE_MIB 0x100000U
#define ENTRY_64 0x200U
#define LOADER_UNKNOWN 0xff      /* type_of_loader: none that has a number */
#define TABLE_ENTRIES 512
#define TABLE_SIZE 4096U
#define DIRECTORIES 4            /* of 1 GiB */
#define PAGE_PRESENT 0x1U
#define PAGE_WRITABLE 0x2U
#define PAGE_LARGE 0x80U
#define LARGE_PAGE (UINT64_C(2) << 20)

/* Level 4, level 3, then one page directory for each GiB. */
typedef struct PageTables {
    uint64_t pml4[TABLE_ENTRIES];
    uint64_t pdpt[TABLE_ENTRIES];
    uint64_t pd[DIRECTORIES][TABLE_ENTRIES];
} PageTables;
_Static_assert(sizeof(PageTables) == (2 + DIRECTORIES) * TABLE_SIZE, "one page each");
_Static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");

static bool add_page_tables(Machine *m, GError **errp)
{
    g_autofree PageTables *t = g_new0(PageTables, 1);
    uint64_t *at = &m->boot_images->linux_entry.page_table;

    if (!loader_find_low(m, "page tables", sizeof(*t), at, errp)) {
        return false;
    }
    t->pml4[0] = (*at + TABLE_SIZE) | PAGE_PRESENT | PAGE_WRITABLE;
    for (unsigned i = 0; i < DIRECTORIES; i++) {
        t->pdpt[i] = (*at + (2 + i) * TABLE_SIZE) | PAGE_PRESENT | PAGE_WRITABLE;
        for (unsigned j = 0; j < TABLE_ENTRIES; j++) {
            t->pd[i][j] = (i * TABLE_ENTRIES + j) * LARGE_PAGE | PAGE_PRESENT | PAGE_WRITABLE |
                          PAGE_LARGE;
        }
    }
    return loader_add_low(m, "page tables", t, sizeof(*t), at, errp);
}

/* The selectors that the protocol asks for: flat code of 64 bits, flat data. */
static bool add_gdt(Machine *m, GError **errp)
{
    const uint64_t gdt[] = {
        [X86_LINUX_CS / 8] = UINT64_C(0x00af9b000000ffff),
        [X86_LINUX_DS / 8] = UINT64_C(0x00cf93000000ffff),
    };
    X86LinuxEntry *e = &m->boot_images->linux_entry;

    e->gdt_limit = sizeof(gdt) - 1;
    return loader_add_low(m, "descriptor table", gdt, sizeof(gdt), &e->gdt, errp);
}

/* Where the kernel goes: where it likes to be, or as low as it can be if that is beyond RAM. */
static bool place_kernel(const Machine *m, const LinuxImage *img, uint64_t *gpa, GError **errp)
{
    uint64_t low = (ONE_MIB + (uint64_t)img->alignment - 1) & ~((uint64_t)img->alignment - 1);
    uint64_t end = m->ram_below_4g;

    if (img->init_size <= end && img->pref_address <= end - img->init_size) {
        *gpa = img->pref_address;
        return true;
    }
    if (img->relocatable && img->init_size <= end && low <= end - img->init_size) {
        *gpa = low;
        return true;
    }
    return gw_fail(errp, GW_ERROR_GENERIC,
                   "kernel '%s' needs 0x%" PRIx64 " bytes from 0x%" PRIx64 " on (init_size, %s), "
                   "the guest's memory has %" PRIu64 " MiB; give more with -m",
                   m->config->kernel, img->init_size, img->relocatable ? low : img->pref_address,
                   img->relocatable ? "relocatable" : "not relocatable", m->ram_size >> 20);
}

static bool add_kernel(Machine *m, GBytes *file, const LinuxImage *img, uint64_t gpa,
                       GError **errp)
{
    g_autoptr(GBytes) part = g_bytes_new_from_bytes(file, img->kernel_offset, img->kernel_size);
    g_autofree char *name = g_strdup_printf("kernel '%s'", m->config->kernel);

    m->boot_images->linux_entry.rip = gpa + ENTRY_64;
    return boot_images_add(m, name, gpa, part, 0, errp);
}

static bool add_cmdline(Machine *m, const LinuxImage *img, struct boot_params *zero,
                        GError **errp)
{
    g_autofree char *cmdline = loader_cmdline(m);
    size_t len = strlen(cmdline);
    uint64_t gpa;

    if (len > img->cmdline_max) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-append: %zu bytes are more than the %u that kernel '%s' takes", len,
                       img->cmdline_max, m->config->kernel);
    }
    if (!loader_add_low(m, "command line", cmdline, len + 1, &gpa, errp)) {
        return false;
    }
    zero->hdr.cmd_line_ptr = gpa;
    return true;
}

/* Above all that the kernel may overwrite before it looks at its memory map. */
static bool add_initrd(Machine *m, const LinuxImage *img, uint64_t kernel,
                       struct boot_params *zero, GError **errp)
{
    uint64_t gpa = 0, size = 0;

    if (m->config->initrd &&
        !loader_add_initrd(m, kernel + img->init_size, (uint64_t)img->initrd_last + 1, &gpa, &size,
                           errp)) {
        return false;
    }
    zero->hdr.ramdisk_image = gpa; /* below 4 GiB, as initrd_addr_max is */
    zero->hdr.ramdisk_size = size;
    return true;
}

static void fill_zero_page(const Machine *m, const LinuxImage *img, const uint8_t *file,
                           struct boot_params *zero)
{
    LoaderRange map[LOADER_MAP_MAX];

    memcpy(&zero->hdr, file + offsetof(struct boot_params, hdr), img->header_size);
    zero->hdr.type_of_loader = LOADER_UNKNOWN;
    zero->hdr.setup_data = 0; /* of ours; what the file has there leads nowhere */
    zero->hdr.hardware_subarch = X86_SUBARCH_PC;
    zero->acpi_rsdp_addr = m->boot_images->acpi;
    zero->e820_entries = loader_memory_map(m, map);
    for (unsigned i = 0; i < zero->e820_entries; i++) {
        zero->e820_table[i] = (struct boot_e820_entry){ map[i].gpa, map[i].size, map[i].type };
    }
}

bool loader_linux(Machine *m, GBytes *file, GError **errp)
{
    g_autofree struct boot_params *zero = g_new0(struct boot_params, 1);
    gsize len;
    const uint8_t *data = g_bytes_get_data(file, &len);
    LinuxImage img;
    uint64_t kernel = 0;

    if (!linux_parse(&img, data, len, m->config->kernel, errp) ||
        !place_kernel(m, &img, &kernel, errp)) {
        return false;
    }
    fill_zero_page(m, &img, data, zero);
    m->boot_images->mode = BOOT_LINUX;
    return add_kernel(m, file, &img, kernel, errp) &&
           add_initrd(m, &img, kernel, zero, errp) && add_cmdline(m, &img, zero, errp) &&
           add_gdt(m, errp) && add_page_tables(m, errp) &&
           loader_add_low(m, "zero page", zero, sizeof(*zero),
                          &m->boot_images->linux_entry.boot_params, errp);
}
