/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machine type `none`: RAM and nothing else, to move memory without a guest.
 * Main thread, machine lock held. Sections: ram, timer, globalstate (spec minimal-machines 6.2).
 */
#include "boards.h"
#include "loader.h"

const BoardOps board_none = {
    .name = "none",
    .description = "empty machine",
    .default_ram_id = "ram",
    .default_ram_size = UINT64_C(128) << 20,
    .init = loader_init,
    .reset = boot_images_apply,
};
