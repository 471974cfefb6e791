/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the boot methods share: room between boot images, the memory map and the command line that a
 * kernel is told. Private to loader*.c. Main thread, machine lock held. */
#ifndef SYSTEM_LOADER_PLACE_H
#define SYSTEM_LOADER_PLACE_H

#include "loader.h"

/* The lowest free place of `size` bytes in [lo, hi), page aligned if lo is; false: none. */
bool boot_images_find_low(const BootImages *b, uint64_t lo, uint64_t hi, uint64_t size,
                          uint64_t *gpa);
/* The highest free place, page aligned. */
bool boot_images_find_high(const BootImages *b, uint64_t lo, uint64_t hi, uint64_t size,
                           uint64_t *gpa);

/* The numbers of the firmware's memory map (e820), which PVH's has as well. */
enum { LOADER_MAP_RAM = 1, LOADER_MAP_RESERVED = 2, LOADER_MAP_ACPI = 3 };
#define LOADER_MAP_MAX 6

typedef struct LoaderRange {
    uint64_t gpa, size; /* bytes */
    uint32_t type;
} LoaderRange;

/* What a kernel may use as RAM; returns the number of entries. */
unsigned loader_memory_map(const Machine *m, LoaderRange map[LOADER_MAP_MAX]);
/* A place of `size` bytes below the extended BIOS data area; `name` is for the error. */
bool loader_find_low(Machine *m, const char *name, uint64_t size, uint64_t *gpa, GError **errp);
/* Copies `data` there, for every reset to write. */
bool loader_add_low(Machine *m, const char *name, const void *data, size_t len, uint64_t *gpa,
                    GError **errp);
/* Places the file of -initrd as high as can be in [lo, hi) below the PCI hole. */
bool loader_add_initrd(Machine *m, uint64_t lo, uint64_t hi, uint64_t *gpa, uint64_t *size,
                       GError **errp);

#endif
