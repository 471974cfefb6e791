/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of migration listeners; see machine_add_migration_listener(). Private to machine*.c. */
#ifndef SYSTEM_MIGRATION_HOST_H
#define SYSTEM_MIGRATION_HOST_H

#include "machine.h"

void machine_listeners_init(Machine *m);
void machine_listeners_clear(Machine *m);

#endif
