/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio devices of a microvm: its transports and what -device puts behind them. Main thread,
 * machine lock held.
 */
#ifndef HW_VIRTIO_BUS_H
#define HW_VIRTIO_BUS_H

#include "machine.h"

/* The board's own interrupt lines for transports: one each, and as many transports as lines unless
 * the configuration wants more, which share them. */
typedef struct VirtIOLines {
    unsigned first, count;
} VirtIOLines;

/* Where a device is. */
typedef struct VirtIOPlace {
    unsigned slot; /* its transport, from 0 */
    uint64_t gpa;
    unsigned gsi;
    bool shared;   /* the line is another transport's as well */
} VirtIOPlace;

/* Makes the transports and the devices of the configuration, the first behind the last transport;
 * adds a VirtIOPlace for each to `places`, in that order. */
bool virtio_bus_init(Machine *m, VirtIOLines lines, GArray *places, GError **errp);

#endif
