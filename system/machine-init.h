/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of machine_new() that have files of their own. Private to machine*.c. */
#ifndef SYSTEM_MACHINE_INIT_H
#define SYSTEM_MACHINE_INIT_H

#include "machine.h"

/* machine-accel.c: opens the first accelerator that works. Lock not held. */
bool machine_init_accel(Machine *m, GError **errp);
/* machine-engine.c: the MigrationState, with -global and -machine suppress-vmdesc. Lock held. */
bool machine_init_migration(Machine *m, GError **errp);
/* machine-ram.c: every memory backend; main memory as RAM block and in the map. Lock held. */
bool machine_init_ram(Machine *m, GError **errp);

#endif
