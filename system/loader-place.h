/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding room between boot images; private to loader*.c. */
#ifndef SYSTEM_LOADER_PLACE_H
#define SYSTEM_LOADER_PLACE_H

#include "loader.h"

/* The lowest free place of `size` bytes in [lo, hi), page aligned if lo is; false: none. */
bool boot_images_find_low(const BootImages *b, uint64_t lo, uint64_t hi, uint64_t size,
                          uint64_t *gpa);
/* The highest free place, page aligned. */
bool boot_images_find_high(const BootImages *b, uint64_t lo, uint64_t hi, uint64_t size,
                           uint64_t *gpa);

#endif
