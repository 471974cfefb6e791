/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual clock's set-up; reading it is machine_clock_ns() of machine.h. */
#ifndef SYSTEM_CLOCK_H
#define SYSTEM_CLOCK_H

#include "machine.h"

/* Registers the `timer` section; the clock stands at 0. Machine lock held. */
bool machine_clock_init(Machine *m, GError **errp);

#endif
