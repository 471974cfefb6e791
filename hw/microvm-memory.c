/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The microvm's memory: RAM below and above the PCI hole, and the firmware `pc.bios` at the end of
 * 4 GiB with its last 128 KiB (or all of it) once more below 1 MiB, both writable.
 *
 * A PVH guest needs no firmware. So `pc.bios` has length 0, is not mapped and is not listed in a
 * stream, unless -bios gives one; any peer takes such a stream whatever its firmware is. The block
 * exists all the same and is resizable: a stream of QEMU always lists it, in a size that depends on
 * the firmware file of the peer, and the map follows once the stream is loaded. The same goes for
 * the three ROM files of ACPI tables.
 * Machine lock held. Wire: spec minimal-machines 6.3 and 6.6.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"
#include "error.h"
#include "loader.h"
#include "microvm.h"

#define FOUR_GIB (UINT64_C(1) << 32)
#define ONE_MIB UINT64_C(0x100000)
#define BIOS_MAX (UINT64_C(16) << 20)
#define BIOS_UNIT UINT64_C(0x10000)
#define SHADOW_MAX UINT64_C(0x20000)

typedef struct Mapping {
    uint8_t *host;
    uint64_t size;
} Mapping;

static void mapping_free(gpointer p)
{
    Mapping *m = p;

    munmap(m->host, m->size);
    g_free(m);
}

void microvm_memory_free(MicrovmState *s)
{
    g_clear_pointer(&s->mappings, g_ptr_array_unref);
}

/* A block whose length the stream decides; costs address space until it is written. */
static RAMBlock *add_resizable(MicrovmState *s, const char *idstr, uint64_t used, uint64_t max,
                               uint64_t gpa, GError **errp)
{
    uint8_t *host = memory_map_aligned(-1, 0, max, 4096, false, false);

    if (!host) {
        gw_fail(errp, GW_ERROR_GENERIC, "RAM block '%s': cannot map %" PRIu64 " bytes", idstr, max);
        return NULL;
    }
    Mapping *m = g_new(Mapping, 1);

    *m = (Mapping){ host, max };
    g_ptr_array_add(s->mappings, m);

    RAMBlockInfo info = {
        .idstr = idstr,
        .host = host,
        .used_length = used,
        .max_length = max,
        .page_size = 4096,
        .gpa = gpa,
        .fd = -1,
        .flags = RAM_BLOCK_RESIZABLE,
    };

    return gw_ram_block_add(s->machine->migration, &info, errp);
}

static bool map(MicrovmState *s, RAMBlock *block, uint64_t gpa, uint64_t offset, uint64_t size,
                GError **errp)
{
    MemoryRange r = {
        .type = MEMORY_RANGE_RAM,
        .gpa = gpa,
        .size = size,
        .block = block,
        .block_offset = offset,
    };

    g_strlcpy(r.name, gw_ram_block_info(block)->idstr, sizeof(r.name));
    return size == 0 || memory_map_add(s->machine->memory, &r, errp);
}

/* How much of the firmware is seen below 1 MiB. */
static uint64_t shadow_size(const Machine *m, uint64_t bios)
{
    return m->ram_below_4g > ONE_MIB ? MIN(bios, SHADOW_MAX) : 0;
}

static void unmap_all(MicrovmState *s)
{
    Machine *m = s->machine;
    uint64_t shadow = shadow_size(m, s->bios_mapped);

    memory_map_remove(m->memory, 0);
    memory_map_remove(m->memory, FOUR_GIB);
    memory_map_remove(m->memory, FOUR_GIB - s->bios_mapped);
    memory_map_remove(m->memory, ONE_MIB - shadow);
    memory_map_remove(m->memory, ONE_MIB);
}

static bool map_all(MicrovmState *s, uint64_t bios, GError **errp)
{
    Machine *m = s->machine;
    uint64_t shadow = shadow_size(m, bios);
    bool ok;

    if (shadow) {
        ok = map(s, m->ram_block, 0, 0, ONE_MIB - shadow, errp) &&
             map(s, s->bios, ONE_MIB - shadow, bios - shadow, shadow, errp) &&
             map(s, m->ram_block, ONE_MIB, ONE_MIB, m->ram_below_4g - ONE_MIB, errp);
    } else {
        ok = map(s, m->ram_block, 0, 0, m->ram_below_4g, errp);
    }
    return ok && map(s, s->bios, FOUR_GIB - bios, 0, bios, errp) &&
           map(s, m->ram_block, FOUR_GIB, m->ram_below_4g, m->ram_above_4g, errp);
}

static bool remap(MicrovmState *s, uint64_t bios, GError **errp)
{
    MemoryMap *map = s->machine->memory;

    memory_transaction_begin(map);
    unmap_all(s);

    bool ok = map_all(s, bios, errp);

    /* A half map after an error above is never used: the machine is not made, or the migration
     * fails before the guest starts. */
    ok = memory_transaction_commit(map, ok ? errp : NULL) && ok;
    if (ok) {
        s->bios_mapped = bios;
    }
    return ok;
}

bool microvm_memory_fit(MicrovmState *s, GError **errp)
{
    uint64_t bios = gw_ram_block_info(s->bios)->used_length;

    return bios == s->bios_mapped || remap(s, bios, errp);
}

static bool add_acpi_blocks(MicrovmState *s, GError **errp)
{
    return add_resizable(s, "/rom@etc/acpi/tables", 0, 0x200000, 0, errp) &&
           add_resizable(s, "/rom@etc/table-loader", 0, 0x10000, 0, errp) &&
           add_resizable(s, "/rom@etc/acpi/rsdp", 0, 0x1000, 0, errp);
}

/* -bios FILE, unless it is a boot sector: then there is none. */
static bool read_firmware(Machine *m, GBytes **bytes, GError **errp)
{
    const char *path = m->config->bios;

    *bytes = NULL;
    if (!path) {
        return true;
    }
    g_autoptr(GBytes) b = loader_read_file(path, BIOS_MAX, errp);

    if (!b) {
        return false;
    }
    gsize size = g_bytes_get_size(b);

    if (size == 512) {
        return true;
    }
    if (size == 0 || size % BIOS_UNIT) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-bios %s: %zu bytes are neither a boot sector (512) nor firmware (a "
                       "multiple of 64 KiB)", path, size);
    }
    *bytes = g_steal_pointer(&b);
    return true;
}

bool microvm_memory_init(MicrovmState *s, GError **errp)
{
    Machine *m = s->machine;
    g_autoptr(GBytes) firmware = NULL;

    s->mappings = g_ptr_array_new_with_free_func(mapping_free);
    if (!read_firmware(m, &firmware, errp)) {
        return false;
    }
    uint64_t size = firmware ? g_bytes_get_size(firmware) : 0;

    s->bios = add_resizable(s, "pc.bios", size, BIOS_MAX, FOUR_GIB - size, errp);
    if (!s->bios || (s->acpi && !add_acpi_blocks(s, errp)) || !remap(s, size, errp)) {
        return false;
    }
    return !firmware ||
           boot_images_add(m, m->config->bios, FOUR_GIB - size, firmware, 0, errp);
}
