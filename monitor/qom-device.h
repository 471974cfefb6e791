/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices of the command line by their path in the object model. Main loop's thread. */
#ifndef MONITOR_QOM_DEVICE_H
#define MONITOR_QOM_DEVICE_H

#include "machine.h"

/* /machine/peripheral/ID, or NULL. */
const DeviceConfig *qom_device_at(const Machine *m, const char *path);

#endif
