/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP query-block, HMP info block: the drives of the command line that a device of the guest's has.
 * Main loop's thread; no I/O but a look at the file's size.
 */
#include "qmp-handlers.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hmp-run.h"
#include "machine.h"

#define SECTOR 512u

typedef struct BlockLook {
    const DeviceConfig *device;
    const DriveConfig *drive;
    bool direct, writeback, no_flush;
    uint64_t size, allocated; /* bytes */
} BlockLook;

static uint64_t size_of_device(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    uint64_t size = 0;

    if (fd >= 0) {
        if (ioctl(fd, BLKGETSIZE64, &size) < 0) {
            size = 0;
        }
        close(fd);
    }
    return size;
}

static void look_at_file(BlockLook *l)
{
    struct stat st;

    if (stat(l->drive->file, &st) == 0) {
        l->size = S_ISBLK(st.st_mode) ? size_of_device(l->drive->file)
                                      : (uint64_t)st.st_size / SECTOR * SECTOR;
        l->allocated = (uint64_t)st.st_blocks * SECTOR;
    }
}

static void look_at_cache(BlockLook *l)
{
    const DriveConfig *d = l->drive;
    const char *mode = d->cache ? d->cache : "writeback";

    l->direct = d->cache_direct || !strcmp(mode, "none") || !strcmp(mode, "directsync");
    l->writeback = strcmp(mode, "writethrough") != 0 && strcmp(mode, "directsync") != 0;
    l->no_flush = d->cache_no_flush || !strcmp(mode, "unsafe");
}

/* The n-th drive that a device has; false: there are no more. */
static bool look_at(const Machine *m, guint n, BlockLook *l)
{
    for (guint i = 0; i < m->config->devices->len; i++) {
        const DeviceConfig *dev = m->config->devices->pdata[i];
        const char *id = g_hash_table_lookup(dev->props, "drive");

        for (guint k = 0; id && k < m->config->drives->len; k++) {
            const DriveConfig *drive = m->config->drives->pdata[k];

            if (g_strcmp0(drive->id, id) == 0 && n-- == 0) {
                *l = (BlockLook){ .device = dev, .drive = drive };
                look_at_cache(l);
                look_at_file(l);
                return true;
            }
        }
    }
    return false;
}

static json_object *image_to_json(const BlockLook *l)
{
    json_object *o = jo_new();

    jo_uint(o, "virtual-size", l->size);
    jo_uint(o, "actual-size", l->allocated);
    jo_str(o, "filename", l->drive->file);
    jo_str(o, "format", "raw");
    jo_bool(o, "dirty-flag", false);
    return o;
}

static json_object *inserted_to_json(const BlockLook *l)
{
    static const char *const limits[] = { "bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr" };
    json_object *o = jo_new(), *cache = jo_new();

    jo_str(o, "node-name", l->drive->id);
    jo_str(o, "file", l->drive->file);
    jo_bool(o, "ro", l->drive->readonly);
    jo_str(o, "drv", "raw");
    jo_bool(o, "encrypted", false);
    jo_str(o, "detect_zeroes", "off");
    jo_uint(o, "backing_file_depth", 0);
    jo_uint(o, "write_threshold", 0);
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        jo_uint(o, limits[i], 0);
    }
    jo_bool(cache, "writeback", l->writeback);
    jo_bool(cache, "direct", l->direct);
    jo_bool(cache, "no-flush", l->no_flush);
    json_object_object_add(o, "cache", cache);
    json_object_object_add(o, "image", image_to_json(l));
    return o;
}

bool qmp_query_block(QmpCall *call, GError **errp)
{
    BlockLook l;

    call->ret = jo_array();
    for (guint n = 0; look_at(call->machine, n, &l); n++) {
        json_object *o = jo_new();

        jo_str(o, "device", l.drive->id);
        if (l.device->id) {
            jo_str(o, "qdev", l.device->id);
        }
        jo_bool(o, "locked", false);
        jo_bool(o, "removable", false);
        jo_str(o, "type", "unknown");
        json_object_object_add(o, "inserted", inserted_to_json(&l));
        json_object_array_add(call->ret, o);
    }
    return true;
}

void hmp_info_block(HmpCall *call)
{
    BlockLook l;

    for (guint n = 0; look_at(call->machine, n, &l); n++) {
        hmp_printf(call, "%s%s: %s (raw%s)\n", n ? "\n" : "", l.drive->id, l.drive->file,
                   l.drive->readonly ? ", read-only" : "");
        if (l.device->id) {
            hmp_printf(call, "    Attached to:      %s\n", l.device->id);
        }
        hmp_printf(call, "    Cache mode:       %s%s%s\n",
                   l.writeback ? "writeback" : "writethrough", l.direct ? ", direct" : "",
                   l.no_flush ? ", ignore flushes" : "");
    }
}
