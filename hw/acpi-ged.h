/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_ACPI_GED_H
#define HW_ACPI_GED_H

#include "machine.h"

/* Where it is and what its registers mean; the tables tell the guest. */
#define ACPI_GED_EVENTS UINT64_C(0xfea00000) /* the event selector */
#define ACPI_GED_POWER_BUTTON 2U             /* an event */
#define ACPI_GED_REGS UINT64_C(0xfea00200)   /* a byte each: */
#define ACPI_GED_SLEEP_CONTROL 0
#define ACPI_GED_SLEEP_STATUS 1
#define ACPI_GED_RESET 2
#define ACPI_GED_RESET_VALUE 0x42
#define ACPI_GED_SLEEP_S5 5                  /* the sleep type that switches off */
#define ACPI_GED_IRQ 9                       /* rises for an event */

/* The generic event device of a microvm with ACPI; owned by the machine. Machine lock held. */
bool acpi_ged_new(Machine *m, GError **errp);

#endif
