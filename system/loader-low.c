/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PVH and Linux boots share: the memory map and the command line that the kernel is told, room
 * in low memory for structures, and the initrd.
 *
 * Low memory: structures take the lowest free pages from 0x6000 on; the last KiB below 640 KiB is
 * the extended BIOS data area, where firmware leaves tables for the kernel; here the board does.
 * Its ACPI tables, if any, end where that area begins.
 * Main thread, machine lock held.
 */
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "loader-place.h"

#define LOW_FIRST 0x6000U
#define LEGACY_ROM 0xf0000U /* firmware's shadow: not for the guest to use as RAM */
#define ONE_MIB 0x100000U
#define FOUR_GIB (UINT64_C(1) << 32)

unsigned loader_memory_map(const Machine *m, LoaderRange map[LOADER_MAP_MAX])
{
    const BootImages *b = m->boot_images;
    uint64_t acpi = b->acpi ? LOADER_EBDA - b->acpi : 0; /* whole up to there */
    unsigned n = 0;

    if (m->ram_below_4g <= ONE_MIB) {
        map[n++] = (LoaderRange){ 0, m->ram_below_4g, LOADER_MAP_RAM };
        return n;
    }
    map[n++] = (LoaderRange){ 0, LOADER_EBDA - acpi, LOADER_MAP_RAM };
    if (acpi) {
        map[n++] = (LoaderRange){ LOADER_EBDA - acpi, acpi, LOADER_MAP_ACPI };
    }
    map[n++] = (LoaderRange){ LOADER_EBDA, LOADER_EBDA_SIZE, LOADER_MAP_RESERVED };
    map[n++] = (LoaderRange){ LEGACY_ROM, ONE_MIB - LEGACY_ROM, LOADER_MAP_RESERVED };
    map[n++] = (LoaderRange){ ONE_MIB, m->ram_below_4g - ONE_MIB, LOADER_MAP_RAM };
    if (m->ram_above_4g) {
        map[n++] = (LoaderRange){ FOUR_GIB, m->ram_above_4g, LOADER_MAP_RAM };
    }
    return n;
}

void boot_images_add_word(Machine *m, const char *word)
{
    g_string_append_printf(m->boot_images->words, " %s", word);
}

char *loader_cmdline(const Machine *m)
{
    const char *append = m->config->append ? m->config->append : "";
    const char *words = m->boot_images->words->str;

    return g_strconcat(append, *append ? words : words + strspn(words, " "), NULL);
}

bool loader_find_low(Machine *m, const char *name, uint64_t size, uint64_t *gpa, GError **errp)
{
    uint64_t end = MIN(m->ram_below_4g, LOADER_EBDA);

    if (!boot_images_find_low(m->boot_images, LOW_FIRST, end, size, gpa)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "no room for the %s (%" PRIu64 " bytes) in low memory", name, size);
    }
    return true;
}

bool loader_add_low(Machine *m, const char *name, const void *data, size_t len, uint64_t *gpa,
                    GError **errp)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, len);

    return loader_find_low(m, name, len, gpa, errp) &&
           boot_images_add(m, name, *gpa, bytes, 0, errp);
}

bool loader_add_initrd(Machine *m, uint64_t lo, uint64_t hi, uint64_t *gpa, uint64_t *size,
                       GError **errp)
{
    const char *path = m->config->initrd;
    g_autoptr(GBytes) bytes = loader_read_file(path, m->ram_below_4g, errp);
    g_autofree char *name = g_strdup_printf("initrd '%s'", path);

    if (!bytes) {
        return false;
    }
    *size = g_bytes_get_size(bytes);
    if (!boot_images_find_high(m->boot_images, lo, MIN(m->ram_below_4g, hi), *size, gpa)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "%s: no room for its %" PRIu64 " bytes; give more memory with -m", name,
                       *size);
    }
    return boot_images_add(m, name, *gpa, bytes, 0, errp);
}
