/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of machine types (-machine help). Constant. */
#include "boards.h"

const BoardOps *const hw_boards[] = { &board_microvm, &board_none, NULL };
