/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 16550A serial port on the ISA bus; owned by the machine. */
#ifndef HW_SERIAL_H
#define HW_SERIAL_H

#include "machine.h"

struct Chardev;
typedef struct SerialPort SerialPort;

/* The usual places: ports 0x3f8, 0x2f8, 0x3e8, 0x2e8, interrupt lines 4, 3, 4, 3. */
extern const uint16_t serial_isa_port[4];
extern const uint8_t serial_isa_irq[4];

/* Makes a port at eight I/O ports from `port` on, which raises interrupt line `irq`. The machine
 * frees it; `chr` must outlive it. Machine lock held. NULL with *errp. */
SerialPort *serial_isa_new(Machine *m, uint16_t port, unsigned irq, struct Chardev *chr,
                           GError **errp);

#endif
