/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-mmio transports: a window of registers each, with or without a device behind it. Machine
 * lock, but for the interrupt, which any thread may raise.
 */
#ifndef HW_VIRTIO_MMIO_H
#define HW_VIRTIO_MMIO_H

#include "virtio-line.h"
#include "virtio.h"

#define VIRTIO_MMIO_SIZE 0x200

typedef struct VirtIOMMIO VirtIOMMIO;

/* Properties of all transports, -global virtio-mmio.NAME=on|off. */
typedef struct VirtIOMMIOProps {
    bool legacy;    /* force-legacy: the register layout of version 1 */
    bool ioeventfd; /* kicks do not leave the guest, where the accelerator can */
} VirtIOMMIOProps;

/* An empty transport at `gpa` with that interrupt line; the machine frees it, and its device. */
VirtIOMMIO *virtio_mmio_new(Machine *m, uint64_t gpa, VirtIOLine *line,
                            const VirtIOMMIOProps *props, GError **errp);
bool virtio_mmio_is_free(const VirtIOMMIO *t);
bool virtio_mmio_is_legacy(const VirtIOMMIO *t);
/* Puts a device that virtio_init() and virtio_add_queue() have made behind it; on success
 * `destroy` frees it with the transport. */
bool virtio_mmio_plug(VirtIOMMIO *t, VirtIODevice *vdev, GDestroyNotify destroy, GError **errp);
VirtIODevice *virtio_mmio_device(const VirtIOMMIO *t);

#endif
