/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -drive and -blockdev: raw images, of which the first sector may be booted. A drive of the
 * interface `ide` (the default of -drive, or named by -device ide-hd) is the boot disk.
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

static bool add_drive(Cmdline *cl, KeyValList *kv, const char *id, const char *file,
                      const char *iface, bool readonly, GError **errp)
{
    DriveConfig *d;

    if (id && cmdline_find_drive(cl, id)) {
        keyval_error(kv, "Duplicate ID '%s' for drive", id);
    }
    if (!keyval_done(kv, errp)) {
        return false;
    }
    d = g_new0(DriveConfig, 1);
    d->id = g_strdup(id);
    d->file = g_strdup(file);
    d->format = g_strdup("raw");
    d->iface = g_strdup(iface);
    d->readonly = readonly;
    g_ptr_array_add(cl->config->drives, d);
    return true;
}

bool cmdline_drive(Cmdline *cl, const char *arg, GError **errp)
{
    static const char *const ifaces[] = { "none", "ide", NULL };
    static const char *const formats[] = { "raw", NULL };
    static const char *const medias[] = { "disk", NULL };
    /* How the host would do the I/O: the image is read once, before the guest starts. */
    static const char *const host_io[] = {
        "cache", "aio", "discard", "detect-zeroes", "werror", "rerror", "index", "bus", "unit",
    };
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);
    const char *id, *file, *iface;
    bool readonly;

    if (!kv) {
        return false;
    }
    id = keyval_str(kv, "id");
    file = keyval_need(kv, "file");
    check_word(kv, "if", ifaces);
    check_word(kv, "format", formats);
    check_word(kv, "driver", formats);
    check_word(kv, "media", medias);
    for (size_t i = 0; i < G_N_ELEMENTS(host_io); i++) {
        keyval_ignore(kv, host_io[i]);
    }
    iface = keyval_str(kv, "if");
    readonly = keyval_bool(kv, "readonly", false) | keyval_bool(kv, "read-only", false);
    if (keyval_bool(kv, "snapshot", false)) {
        keyval_error(kv, "Parameter 'snapshot' supports 'off' only: images are never written");
    }
    return add_drive(cl, kv, id, file, iface ? iface : "ide", readonly, errp);
}

/* The file behind a node: its own filename, or that of the node or inline node `file`. */
static const char *node_file(Cmdline *cl, KeyValList *kv, const char *driver)
{
    const char *child = keyval_str(kv, "file");
    const DriveConfig *d;

    if (!strcmp(driver, "file")) {
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
    return d ? d->file : NULL;
}

bool cmdline_blockdev(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "driver", errp);
    const char *driver, *id, *file = NULL;
    bool readonly;

    if (!kv) {
        return false;
    }
    driver = keyval_need(kv, "driver");
    id = keyval_need(kv, "node-name");
    if (driver && strcmp(driver, "file") && strcmp(driver, "raw")) {
        keyval_error(kv, "Parameter 'driver' does not accept value '%s' (supported: file, raw)",
                     driver);
    } else if (driver) {
        file = node_file(cl, kv, driver);
    }
    readonly = keyval_bool(kv, "read-only", false);
    keyval_ignore(kv, "auto-read-only");
    keyval_ignore(kv, "discard");
    keyval_ignore(kv, "detect-zeroes");
    keyval_ignore(kv, "aio");
    keyval_ignore(kv, "locking");
    keyval_ignore_prefix(kv, "cache.");
    keyval_ignore_prefix(kv, "file.cache.");
    keyval_ignore(kv, "file.auto-read-only");
    keyval_ignore(kv, "file.discard");
    return add_drive(cl, kv, id, file, "none", readonly, errp);
}
