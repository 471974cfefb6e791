/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM: makes the memory backends and gives the main one to the engine as a RAM block and to
 * the guest as ranges below and above the PCI hole (spec minimal-machines 6.6: one block, split in
 * guest physical space).
 * Main thread, machine lock held, while the machine is made.
 */
#include <inttypes.h>
#include <string.h>

#include "backend.h"
#include "error.h"
#include "machine-init.h"

#define FOUR_GIB (UINT64_C(1) << 32)

/* What -m, -mem-path and -mem-prealloc imply when no backend is named. */
static MemoryBackend *default_backend(Machine *m, GError **errp)
{
    const MachineConfig *c = m->config;
    MemoryBackendConfig conf = {
        .id = (char *)m->board->default_ram_id,
        .qom_type = (char *)(c->mem_path ? "memory-backend-file" : "memory-backend-ram"),
        .size = m->ram_size,
        .mem_path = c->mem_path,
        .prealloc = c->mem_prealloc,
    };

    return memory_backend_new(&conf, errp);
}

static MemoryBackend *find_backend(Machine *m, const char *id)
{
    for (guint i = 0; i < m->backends->len; i++) {
        MemoryBackend *b = g_ptr_array_index(m->backends, i);

        if (strcmp(b->id, id) == 0) {
            return b;
        }
    }
    return NULL;
}

static MemoryBackend *main_backend(Machine *m, GError **errp)
{
    const char *id = machine_config_prop(m->config, "memory-backend");
    MemoryBackend *b;

    if (!id) {
        b = default_backend(m, errp);
        if (b) {
            g_ptr_array_add(m->backends, b);
        }
        return b;
    }
    b = find_backend(m, id);
    if (!b) {
        gw_fail(errp, GW_ERROR_GENERIC,
                "memory backend '%s' not found: give -object memory-backend-ram,id=%s,size=...",
                id, id);
    } else if (b->size != m->ram_size) {
        gw_fail(errp, GW_ERROR_GENERIC,
                "memory backend '%s' has %" PRIu64 " bytes, but -m asks for %" PRIu64, id, b->size,
                m->ram_size);
        b = NULL;
    }
    return b;
}

static bool make_backends(Machine *m, GError **errp)
{
    for (guint i = 0; i < m->config->backends->len; i++) {
        MemoryBackend *b =
            memory_backend_new(g_ptr_array_index(m->config->backends, i), errp);

        if (!b) {
            return false;
        }
        g_ptr_array_add(m->backends, b);
    }
    return true;
}

static bool map_piece(Machine *m, uint64_t gpa, uint64_t offset, uint64_t size, GError **errp)
{
    MemoryRange r = {
        .type = MEMORY_RANGE_RAM,
        .gpa = gpa,
        .size = size,
        .block = m->ram_block,
        .block_offset = offset,
    };

    g_strlcpy(r.name, gw_ram_block_info(m->ram_block)->idstr, sizeof(r.name));
    return size == 0 || memory_map_add(m->memory, &r, errp);
}

bool machine_init_ram(Machine *m, GError **errp)
{
    const BoardOps *board = m->board;
    MemoryBackend *b;

    if (!make_backends(m, errp) || !(b = main_backend(m, errp))) {
        return false;
    }
    RAMBlockInfo info = {
        .idstr = b->id,
        .host = b->host,
        .used_length = b->size,
        .max_length = b->size,
        .page_size = b->page_size,
        .fd = b->fd,
        .fd_offset = b->fd_offset,
        .flags = (b->shared ? RAM_BLOCK_SHARED : 0) | (b->named_file ? RAM_BLOCK_NAMED_FILE : 0),
    };

    m->ram_size = b->size;
    m->ram_block = gw_ram_block_add(m->migration, &info, errp);
    if (!m->ram_block) {
        return false;
    }
    m->ram_below_4g = board->pci_hole_start ? MIN(m->ram_size, board->pci_hole_start) : m->ram_size;
    m->ram_above_4g = m->ram_size - m->ram_below_4g;
    if (board->maps_ram) {
        return true;
    }
    memory_transaction_begin(m->memory);

    bool ok = map_piece(m, 0, 0, m->ram_below_4g, errp) &&
              map_piece(m, FOUR_GIB, m->ram_below_4g, m->ram_above_4g, errp);

    return memory_transaction_commit(m->memory, ok ? errp : NULL) && ok;
}
