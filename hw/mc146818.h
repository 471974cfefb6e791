/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MC146818 real-time clock of a PC, for the boards that want one. Machine lock. */
#ifndef HW_MC146818_H
#define HW_MC146818_H

#include "machine.h"

/* Makes the clock at ports 0x70 and 0x71, interrupt line 8, in UTC, and registers `mc146818rtc`. */
bool mc146818_new(Machine *m, GError **errp);

#endif
