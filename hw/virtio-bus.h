/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio devices of a microvm: its transports and what -device puts behind them. Main thread,
 * machine lock held.
 */
#ifndef HW_VIRTIO_BUS_H
#define HW_VIRTIO_BUS_H

#include "machine.h"

/* Makes the board's transports (with the second I/O APIC 24 on lines 24 to 47, else 8 on lines 5 to
 * 12) and the devices of the configuration, the first behind the last transport. */
bool virtio_bus_init(Machine *m, bool ioapic2, GError **errp);

#endif
