/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_ACPI_GED_H
#define HW_ACPI_GED_H

#include "machine.h"

/* The generic event device of a microvm with ACPI; owned by the machine. Machine lock held. */
bool acpi_ged_new(Machine *m, GError **errp);

#endif
