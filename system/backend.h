/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory backends: where guest RAM comes from (-object memory-backend-*, -m, -mem-path).
 * Made and freed on the main thread.
 */
#ifndef SYSTEM_BACKEND_H
#define SYSTEM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

typedef struct MemoryBackend {
    char *id;
    uint8_t *host;      /* aligned to 2 MiB or page_size, whichever is larger */
    uint64_t size;      /* bytes, a multiple of page_size */
    size_t page_size;   /* of the backing */
    int fd;             /* -1 for anonymous memory */
    uint64_t fd_offset;
    bool shared;        /* MAP_SHARED */
    bool named_file;    /* the file has a path that others may open */
} MemoryBackend;

/* Maps the memory. Errors name the backend's id and the property to mend. */
MemoryBackend *memory_backend_new(const MemoryBackendConfig *conf, GError **errp);
void memory_backend_free(MemoryBackend *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryBackend, memory_backend_free)

/* The host's page size of a descriptor's file system: 2 MiB or 1 GiB on hugetlbfs, else 4096. */
size_t memory_fd_page_size(int fd);
/* Reserves address space and maps `size` bytes there, aligned; fd -1 maps anonymous memory. NULL
 * with errno set. */
uint8_t *memory_map_aligned(int fd, uint64_t offset, uint64_t size, size_t align, bool shared,
                            bool readonly);
/* Makes every page present, with several threads where that pays. */
bool memory_prealloc(uint8_t *host, uint64_t size, size_t page_size, const char *id,
                     GError **errp);

#endif
