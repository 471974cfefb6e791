/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt lines of virtio-mmio transports, which may share them. See virtio-line.c for who calls
 * what with which lock. Spec: virtio 1.2, 4.2.2 (InterruptStatus, InterruptACK).
 */
#ifndef HW_VIRTIO_LINE_H
#define HW_VIRTIO_LINE_H

#include "machine.h"

typedef struct VirtIOLine VirtIOLine;

/* Line `gsi`, low; the machine frees it after the devices that were made later. Machine lock. */
VirtIOLine *virtio_line_new(Machine *m, unsigned gsi);
/* The line follows a transport's interrupt status. *holds is the transport's word, which the line
 * guards: whether it holds the line up. `acked`: the guest has just acknowledged. Any thread. */
void virtio_line_update(VirtIOLine *l, bool *holds, const uint32_t *isr, bool acked);

#endif
