/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine types; main hands hw_boards to machine_set_boards(). */
#ifndef HW_BOARDS_H
#define HW_BOARDS_H

#include "machine.h"

extern const BoardOps board_none, board_microvm;
/* NULL-terminated. */
extern const BoardOps *const hw_boards[];

#endif
