/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real devices for bench/device-load and device-move: a microvm on KVM with virtio-blk devices of
 * several queues, which share a read-only image, and a driver that brings them to DRIVER_OK by
 * their registers (legacy layout). One thread; no guest runs yet.
 */
#ifndef BENCH_LOAD_VIRTIO_H
#define BENCH_LOAD_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <unistd.h>

#include "boards.h"

#define VIRTIO_WINDOWS UINT64_C(0xfeb00000)
#define VIRTIO_WINDOW_SIZE 0x200
#define VIRTIO_RINGS_AT 0x400000u
#define VIRTIO_RING_STEP 0x4000u
#define VIRTIO_RING_ENTRIES 256u

/* A file of 1 MiB; the caller unlinks and frees. */
static inline char *virtio_empty_image(void)
{
    char *path = NULL;
    GError *err = NULL;
    const int fd = g_file_open_tmp("bench-XXXXXX", &path, &err);

    g_assert_no_error(err);
    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
    close(fd);
    return path;
}

static inline void virtio_config(MachineConfig *c, unsigned devices, unsigned queues,
                                 const char *image)
{
    machine_set_boards(hw_boards);
    g_free(c->machine_type);
    c->machine_type = g_strdup("microvm");
    c->ram_size = 64 << 20;
    g_hash_table_insert(c->machine_props, g_strdup("virtio-mmio-transports"),
                        g_strdup_printf("%u", devices));
    for (unsigned i = 0; i < devices; i++) {
        DriveConfig *drive = g_new0(DriveConfig, 1);
        DeviceConfig *d = g_new0(DeviceConfig, 1);

        drive->id = g_strdup_printf("d%u", i);
        drive->file = g_strdup(image);
        drive->iface = g_strdup("none");
        drive->readonly = true;
        g_ptr_array_add(c->drives, drive);
        d->driver = g_strdup("virtio-blk-device");
        d->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(d->props, g_strdup("drive"), g_strdup(drive->id));
        g_hash_table_insert(d->props, g_strdup("num-queues"), g_strdup_printf("%u", queues));
        g_ptr_array_add(c->devices, d);
    }
}

static inline void virtio_set_reg(Machine *m, unsigned device, uint64_t reg, uint32_t value)
{
    const uint64_t at = VIRTIO_WINDOWS + (uint64_t)device * VIRTIO_WINDOW_SIZE + reg;

    g_assert_true(memory_write(m->memory, at, &value, 4, false));
}

static inline void virtio_drive(Machine *m, unsigned device, unsigned queues)
{
    virtio_set_reg(m, device, VIRTIO_MMIO_STATUS,
                   VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    virtio_set_reg(m, device, VIRTIO_MMIO_GUEST_PAGE_SIZE, 4096);
    for (unsigned q = 0; q < queues; q++) {
        const uint32_t ring = VIRTIO_RINGS_AT + (device * queues + q) * VIRTIO_RING_STEP;

        virtio_set_reg(m, device, VIRTIO_MMIO_QUEUE_SEL, q);
        virtio_set_reg(m, device, VIRTIO_MMIO_QUEUE_NUM, VIRTIO_RING_ENTRIES);
        virtio_set_reg(m, device, VIRTIO_MMIO_QUEUE_ALIGN, 4096);
        virtio_set_reg(m, device, VIRTIO_MMIO_QUEUE_PFN, ring / 4096);
    }
    virtio_set_reg(m, device, VIRTIO_MMIO_STATUS,
                   VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                       VIRTIO_CONFIG_S_DRIVER_OK);
}

#endif
