/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory under test: all RAM that the boot protocol's map shows from TEST_MEMORY on, also
 * above 4 GiB, cut to mem= MiB, as one row of numbered pages. The first pages of it hold the
 * generation table, which is what makes a stale page visible: the page and its expected generation
 * live on different pages.
 * Set up by the first vCPU; the page tables are plain memory to it.
 */
#include "guest.h"

#define AREAS 8
#define HOLE_START (3ull << 30)
#define HOLE_END (4ull << 30)

struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line, rsdp, map;
    uint32_t map_entries, reserved;
};

struct map_entry {
    uint64_t address, size;
    uint32_t type, reserved;
};

extern uint64_t start_info_address;
struct memory memory;
static struct { uint64_t first, address, pages; } areas[AREAS];
static unsigned nr_areas;
static uint64_t left_to_skip;

static void map_range(uint64_t from, uint64_t to)
{
    for (uint64_t gib = from >> 30; gib <= (to - 1) >> 30 && gib < MAX_GIB; gib++) {
        uint64_t *directory = (uint64_t *)(PAGE_DIRS + gib * PAGE_SIZE);
        uint64_t *pointer = (uint64_t *)PDPT + gib;
        if (!*pointer) {
            for (unsigned i = 0; i < 512; i++)
                directory[i] = 0;
            *pointer = (uint64_t)directory | 7;
        }
        for (unsigned i = 0; i < 512; i++) {
            uint64_t address = gib << 30 | (uint64_t)i << 21;
            if (address + (2 << 20) > from && address < to && !directory[i])
                directory[i] = address | 0x87;
        }
    }
}

static void add_area(uint64_t from, uint64_t to)
{
    if (from < TEST_MEMORY)
        from = TEST_MEMORY;
    from = (from + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE;
    to &= -(uint64_t)PAGE_SIZE;
    uint64_t skip = left_to_skip < to - from ? left_to_skip : to - from;
    if (from < to) {
        left_to_skip -= skip;
        from += skip;
    }
    if (from >= to || nr_areas == AREAS || to > (uint64_t)MAX_GIB << 30)
        return;
    map_range(from, to);
    areas[nr_areas].first = memory.pages;
    areas[nr_areas].address = from;
    areas[nr_areas].pages = (to - from) / PAGE_SIZE;
    memory.pages += areas[nr_areas++].pages;
}

uint64_t *memory_page(uint64_t index)
{
    unsigned i = nr_areas - 1;
    while (index < areas[i].first)
        i--;
    return (uint64_t *)(areas[i].address + (index - areas[i].first) * PAGE_SIZE);
}

/* The table's pages leave the row; the table must lie in the first area, in one piece. */
static bool take_table(void)
{
    uint64_t table = (memory.pages * 4 + PAGE_SIZE - 1) / PAGE_SIZE;
    if (table >= areas[0].pages)
        return false;
    memory.generation = (uint32_t *)areas[0].address;
    for (uint64_t i = 0; i < memory.pages; i++)
        memory.generation[i] = 0;
    areas[0].address += table * PAGE_SIZE;
    areas[0].pages -= table;
    for (unsigned i = 1; i < nr_areas; i++)
        areas[i].first -= table;
    memory.pages -= table;
    return true;
}

bool memory_setup(void)
{
    const struct start_info *info = (const struct start_info *)start_info_address;
    uint64_t wanted = (options.mem + options.free) << 20;
    left_to_skip = options.skip << 20;
    if (info->version >= 1 && info->map) {
        const struct map_entry *map = (const struct map_entry *)info->map;
        memory.map_entries = info->map_entries;
        for (uint32_t i = 0; i < info->map_entries; i++) {
            if (map[i].type == 1)
                add_area(map[i].address, map[i].address + map[i].size);
        }
    }
    if (!nr_areas) { /* no map: trust mem=, with the board's hole below 4 GiB */
        uint64_t end = TEST_MEMORY + left_to_skip + wanted;
        add_area(TEST_MEMORY, end < HOLE_START ? end : HOLE_START);
        if (end > HOLE_START)
            add_area(HOLE_END, HOLE_END + end - HOLE_START);
    }
    if (!nr_areas)
        return false;
    if (memory.pages > wanted / PAGE_SIZE)
        memory.pages = wanted / PAGE_SIZE;
    if (!memory.pages || !take_table())
        return false;
    memory.free_pages = options.free * (1 << 20) / PAGE_SIZE;
    if (memory.free_pages > memory.pages / 4 * 3)
        memory.free_pages = memory.pages / 4 * 3;
    memory.pages -= memory.free_pages;
    return true;
}
