/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of a RAM block surely read as zeros although nobody looked at them: private anonymous
 * memory that was never touched, and holes of a memfd or tmpfs file that is mapped shared.
 *
 * The answer is a snapshot. At the source it may be used for a page whose dirty bit was taken and
 * whose log was protected BEFORE the question: a page that the guest touches afterwards is dirty
 * again, one that it touched before is populated, and is read. No state; any thread.
 */
#ifndef MIGRATION_RAM_POPULATED_H
#define MIGRATION_RAM_POPULATED_H

#include "pagemap.h"
#include "ram-block.h"

/* Sets bit k of `map` if page first + k may hold data, clears it if it reads as zero. When nothing
 * is known all bits are set. `first` is a multiple of 64. */
void ram_block_populated(const Pagemap *pm, const RAMBlock *b, uint64_t first, uint64_t n,
                         uint64_t *map);

#endif
