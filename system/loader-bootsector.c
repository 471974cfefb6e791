/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boot from the first sector of a raw image (-drive, -blockdev) or from a 512-byte -bios: 512 bytes
 * with the signature 55 aa at 0x7c00, entered in real mode with dl = 0x80. There is no BIOS behind
 * it: the sector must bring all it needs. Main thread, machine lock held.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "fd-table.h"
#include "loader.h"

#define SECTOR 512
#define BOOT_ADDR 0x7c00

/* Reads the first sector; a file that is shorter is no boot disk. */
static bool read_sector(Machine *m, const char *path, uint8_t *buf, GError **errp)
{
    int fd = fd_table_open(m->fds, path, O_RDONLY | O_CLOEXEC, 0, errp);

    if (fd < 0) {
        return false;
    }
    ssize_t n = pread(fd, buf, SECTOR, 0);
    int saved = errno;

    close(fd);
    if (n < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, saved, "could not read '%s'", path);
    }
    if (n < SECTOR) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'%s' has %zd bytes: no boot sector", path, n);
    }
    return true;
}

static bool add_sector(Machine *m, const char *path, GError **errp)
{
    uint8_t buf[SECTOR];

    if (!read_sector(m, path, buf, errp)) {
        return false;
    }
    if (buf[510] != 0x55 || buf[511] != 0xaa) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "'%s' is not bootable: its first sector does not end in 55 aa", path);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(buf, sizeof(buf));

    m->boot_images->mode = BOOT_SECTOR;
    return boot_images_add(m, path, BOOT_ADDR, bytes, 0, errp);
}

bool loader_bootsector(Machine *m, bool *found, GError **errp)
{
    const MachineConfig *c = m->config;
    struct stat st;

    *found = true;
    if (c->bios && stat(c->bios, &st) == 0 && st.st_size == SECTOR) {
        return add_sector(m, c->bios, errp);
    }
    for (guint i = 0; i < c->drives->len; i++) {
        const DriveConfig *d = g_ptr_array_index(c->drives, i);

        /* Others are disks of a device's (-device virtio-blk-device). */
        if (d->file && g_strcmp0(d->iface, "none") != 0 &&
            g_strcmp0(d->iface, "virtio") != 0) {
            return add_sector(m, d->file, errp);
        }
    }
    *found = false;
    return true;
}
