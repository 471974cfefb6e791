/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -device loader: a file (ELF by its own addresses, or raw at addr=) or a number of 1 to 8 bytes
 * that every reset puts into guest memory. Main thread, machine lock held.
 */
#include <string.h>

#include "error.h"
#include "loader.h"

static bool add_data(Machine *m, const LoaderConfig *l, GError **errp)
{
    uint8_t buf[8];

    if (l->data_len > sizeof(buf)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-device loader: data-len %u is not 1 to 8",
                       l->data_len);
    }
    for (unsigned i = 0; i < l->data_len; i++) {
        unsigned at = l->data_be ? l->data_len - 1 - i : i;

        buf[at] = l->data >> (8 * i);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(buf, l->data_len);

    return boot_images_add(m, "-device loader data", l->addr, bytes, 0, errp);
}

static bool add_elf(Machine *m, const LoaderConfig *l, GBytes *file, GError **errp)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(file, &len);
    g_autoptr(ElfImage) elf = elf_parse(data, len, l->file, errp);

    for (guint i = 0; elf && i < elf->segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf->segments, ElfSegment, i);
        g_autoptr(GBytes) part = g_bytes_new_from_bytes(file, s->file_offset, s->file_size);

        if (!boot_images_add(m, l->file, s->paddr, part, s->mem_size - s->file_size, errp)) {
            return false;
        }
    }
    return elf != NULL;
}

static bool add_file(Machine *m, const LoaderConfig *l, GError **errp)
{
    g_autoptr(GBytes) file = loader_read_file(l->file, m->ram_size, errp);
    gsize len;

    if (!file) {
        return false;
    }
    const uint8_t *data = g_bytes_get_data(file, &len);

    if (!l->force_raw && elf_is_elf(data, len)) {
        return add_elf(m, l, file, errp);
    }
    if (!l->has_addr) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-device loader,file=%s: a raw image needs addr=", l->file);
    }
    return boot_images_add(m, l->file, l->addr, file, 0, errp);
}

bool loader_devices(Machine *m, GError **errp)
{
    const GPtrArray *loaders = m->config->loaders;

    for (guint i = 0; i < loaders->len; i++) {
        const LoaderConfig *l = g_ptr_array_index(loaders, i);

        if (l->cpu_num >= 0) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                           "-device loader: cpu-num is not supported; boot with -kernel");
        }
        if (!(l->data_len ? add_data(m, l, errp) : add_file(m, l, errp))) {
            return false;
        }
    }
    return true;
}
