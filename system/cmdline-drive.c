/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -drive and -blockdev: raw images. A drive of the interface `ide` (the default of -drive, or named
 * by -device ide-hd) is the boot disk, of which the first sector is run; others are disks by
 * -device virtio-blk-device, which if=virtio adds.
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

DriveConfig *cmdline_find_drive(Cmdline *cl, const char *id)
{
    for (guint i = 0; i < cl->config->drives->len; i++) {
        DriveConfig *d = g_ptr_array_index(cl->config->drives, i);

        if (d->id && !strcmp(d->id, id)) {
            return d;
        }
    }
    return NULL;
}

static void check_word(KeyValList *kv, const char *key, const char *const *words)
{
    const char *v = keyval_str(kv, key);

    if (v && !g_strv_contains(words, v)) {
        g_autofree char *all = g_strjoinv(", ", (char **)words);

        keyval_error(kv, "Parameter '%s' does not accept value '%s' (supported: %s)", key, v, all);
    }
}

/* Options that both ways of naming an image have. */
static void host_options(KeyValList *kv, DriveConfig *d)
{
    static const char *const aios[] = { "threads", "native", "io_uring", NULL };
    static const char *const discards[] = { "ignore", "off", "unmap", "on", NULL };
    static const char *const zeroes[] = { "off", NULL };
    const char *v;

    check_word(kv, "aio", aios);
    check_word(kv, "discard", discards);
    check_word(kv, "detect-zeroes", zeroes);
    v = keyval_str(kv, "aio");
    d->aio_threads |= v && !strcmp(v, "threads");
    v = keyval_str(kv, "discard");
    d->unmap |= v && (!strcmp(v, "unmap") || !strcmp(v, "on"));
}

/* Takes d. */
static bool add_drive(Cmdline *cl, KeyValList *kv, DriveConfig *d, GError **errp)
{
    if (d->id && cmdline_find_drive(cl, d->id)) {
        keyval_error(kv, "Duplicate ID '%s' for drive", d->id);
    }
    d->format = g_strdup("raw");
    g_ptr_array_add(cl->config->drives, d); /* which frees it whatever happens */
    return keyval_done(kv, errp);
}

/* if=virtio: the disk comes with its drive. */
static void add_virtio_disk(Cmdline *cl, DriveConfig *d)
{
    DeviceConfig *dev = g_new0(DeviceConfig, 1);

    if (!d->id) {
        d->id = g_strdup_printf("virtio%u", cl->config->drives->len);
    }
    dev->driver = g_strdup("virtio-blk-device");
    dev->props = config_props_new();
    g_hash_table_insert(dev->props, g_strdup("drive"), g_strdup(d->id));
    g_ptr_array_add(cl->config->devices, dev);
}

bool cmdline_drive(Cmdline *cl, const char *arg, GError **errp)
{
    static const char *const ifaces[] = { "none", "ide", "virtio", NULL };
    static const char *const formats[] = { "raw", NULL };
    static const char *const medias[] = { "disk", NULL };
    static const char *const caches[] = { "writeback", "none", "writethrough", "directsync",
                                          "unsafe", NULL };
    static const char *const reports[] = { "report", "enospc", NULL };
    /* There is no controller: where a disk is plugged makes no difference. */
    static const char *const ignored[] = { "index", "bus", "unit" };
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);
    DriveConfig *d;
    const char *iface;

    if (!kv) {
        return false;
    }
    d = g_new0(DriveConfig, 1);
    d->id = g_strdup(keyval_str(kv, "id"));
    d->file = g_strdup(keyval_need(kv, "file"));
    d->cache = g_strdup(keyval_str(kv, "cache"));
    check_word(kv, "if", ifaces);
    check_word(kv, "format", formats);
    check_word(kv, "driver", formats);
    check_word(kv, "media", medias);
    check_word(kv, "cache", caches);
    check_word(kv, "werror", reports);
    check_word(kv, "rerror", reports);
    host_options(kv, d);
    for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++) {
        keyval_ignore(kv, ignored[i]);
    }
    iface = keyval_str(kv, "if");
    d->iface = g_strdup(iface ? iface : "ide");
    d->readonly = keyval_bool(kv, "readonly", false) | keyval_bool(kv, "read-only", false);
    if (keyval_bool(kv, "snapshot", false)) {
        keyval_error(kv, "Parameter 'snapshot' supports 'off' only: images are written in place");
    }
    if (!strcmp(d->iface, "virtio")) {
        add_virtio_disk(cl, d);
    }
    return add_drive(cl, kv, d, errp);
}

/* The file behind a node: its own filename, or that of the node or inline node `file`. */
static const char *node_file(Cmdline *cl, KeyValList *kv, const char *driver, DriveConfig *node)
{
    const char *child = keyval_str(kv, "file");
    const DriveConfig *d;

    if (strcmp(driver, "raw") != 0) {
        return keyval_need(kv, "filename");
    }
    if (!child) {
        const char *inner = keyval_str(kv, "file.driver");

        if (inner && strcmp(inner, "file")) {
            keyval_error(kv, "Parameter 'file.driver' does not accept value '%s' (nearest: file)",
                         inner);
        }
        return keyval_need(kv, "file.filename");
    }
    d = cmdline_find_drive(cl, child);
    if (!d) {
        keyval_error(kv, "Cannot find device='' nor node-name='%s'", child);
    }
    if (d) {
        /* What was said of the file holds for what is above it. */
        node->cache_direct |= d->cache_direct;
        node->cache_no_flush |= d->cache_no_flush;
        node->aio_threads |= d->aio_threads;
        node->unmap |= d->unmap;
        node->locking_off |= d->locking_off;
        node->readonly |= d->readonly;
    }
    return d ? d->file : NULL;
}

/* Options of the file itself, which may stand with the node above it. */
static void file_options(KeyValList *kv, DriveConfig *d, const char *prefix)
{
    static const char *const lockings[] = { "auto", "on", "off", NULL };
    g_autofree char *direct = g_strconcat(prefix, "cache.direct", NULL);
    g_autofree char *no_flush = g_strconcat(prefix, "cache.no-flush", NULL);
    g_autofree char *locking = g_strconcat(prefix, "locking", NULL);
    g_autofree char *aio = g_strconcat(prefix, "aio", NULL);
    const char *v;

    d->cache_direct |= keyval_bool(kv, direct, false);
    d->cache_no_flush |= keyval_bool(kv, no_flush, false);
    check_word(kv, locking, lockings);
    v = keyval_str(kv, locking);
    d->locking_off |= v && !strcmp(v, "off");
    v = keyval_str(kv, aio);
    d->aio_threads |= v && !strcmp(v, "threads");
}

bool cmdline_blockdev(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "driver", errp);
    const char *driver;
    DriveConfig *d;

    if (!kv) {
        return false;
    }
    d = g_new0(DriveConfig, 1);
    driver = keyval_need(kv, "driver");
    d->id = g_strdup(keyval_need(kv, "node-name"));
    d->iface = g_strdup("none");
    if (driver && strcmp(driver, "file") && strcmp(driver, "host_device") &&
        strcmp(driver, "raw")) {
        keyval_error(kv, "Parameter 'driver' does not accept value '%s' (supported: file, "
                     "host_device, raw)", driver);
    } else if (driver) {
        d->file = g_strdup(node_file(cl, kv, driver, d));
    }
    d->readonly |= keyval_bool(kv, "read-only", false);
    host_options(kv, d);
    file_options(kv, d, "");
    file_options(kv, d, "file.");
    keyval_ignore(kv, "auto-read-only");
    keyval_ignore(kv, "file.auto-read-only");
    keyval_ignore(kv, "file.discard");
    return add_drive(cl, kv, d, errp);
}
