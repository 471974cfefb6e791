/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -object (which kind goes to whom) and -add-fd.
 * Main thread only, before the machine exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmdline.h"
#include "error.h"

static bool object_backend(Cmdline *cl, const char *type, KeyValList *kv, GError **errp)
{
    return cmdline_memory_backend(cl, type, kv, errp);
}

/* libvirt hands over its master key with every guest; nothing here is encrypted with it. */
static bool object_secret(Cmdline *cl, const char *type, KeyValList *kv, GError **errp)
{
    keyval_ignore(kv, "format");
    keyval_ignore(kv, "file");
    keyval_ignore(kv, "data");
    keyval_ignore(kv, "keyid");
    keyval_ignore(kv, "iv");
    return keyval_done(kv, errp);
}

static bool object_monitor(Cmdline *cl, const char *type, KeyValList *kv, GError **errp)
{
    const char *id = keyval_need(kv, "id");
    const char *chardev = keyval_need(kv, "chardev");
    bool pretty = keyval_bool(kv, "pretty", false);

    if (!keyval_done(kv, errp)) {
        return false;
    }
    cmdline_add_monitor(cl, id, chardev, true, pretty);
    cl->default_monitor = false;
    return true;
}

/* Every virtio device has an I/O thread of its own, whatever thread it is told to use. */
static bool object_iothread(Cmdline *cl, const char *type, KeyValList *kv, GError **errp)
{
    keyval_ignore(kv, "poll-max-ns");
    keyval_ignore(kv, "poll-grow");
    keyval_ignore(kv, "poll-shrink");
    keyval_ignore(kv, "aio-max-batch");
    keyval_ignore(kv, "thread-pool-min");
    keyval_ignore(kv, "thread-pool-max");
    return keyval_done(kv, errp);
}

typedef struct ObjectType {
    const char *name;
    bool (*make)(Cmdline *cl, const char *type, KeyValList *kv, GError **errp);
    const char *refused; /* known from QEMU: why not */
} ObjectType;

static const ObjectType object_types[] = {
    { "memory-backend-ram", object_backend, NULL },
    { "memory-backend-memfd", object_backend, NULL },
    { "memory-backend-file", object_backend, NULL },
    { "monitor-qmp", object_monitor, NULL },
    { "secret", object_secret, NULL },
    { "tls-creds-x509", NULL, "TLS is not supported yet; migrate through an ssh tunnel" },
    { "tls-creds-psk", NULL, "TLS is not supported yet; migrate through an ssh tunnel" },
    { "tls-creds-anon", NULL, "TLS is not supported yet; migrate through an ssh tunnel" },
    { "iothread", object_iothread, NULL },
    { "rng-random", NULL, "there is no device that would use it" },
};

static void print_types(void)
{
    printf("List of user creatable objects:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(object_types); i++) {
        if (object_types[i].make) {
            printf("  %s\n", object_types[i].name);
        }
    }
}

static const ObjectType *find_type(const char *name, GError **errp)
{
    const char *names[G_N_ELEMENTS(object_types)];
    size_t n = 0;
    const char *near;

    for (size_t i = 0; i < G_N_ELEMENTS(object_types); i++) {
        const ObjectType *t = &object_types[i];

        if (!strcmp(t->name, name)) {
            if (!t->make) {
                gw_fail(errp, GW_ERROR_UNSUPPORTED, "%s: %s", name, t->refused);
            }
            return t->make ? t : NULL;
        }
        if (t->make) {
            names[n++] = t->name;
        }
    }
    near = cmdline_nearest(name, names, n);
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "Parameter 'qom-type' does not accept value '%s'%s%s%s",
            name, near ? " (nearest: " : " (-object help lists the types", near ? near : "", ")");
    return NULL;
}

bool cmdline_object(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;
    const ObjectType *type;
    const char *name, *id;

    if (cmdline_wants_help(arg)) {
        print_types();
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "qom-type", errp);
    if (!kv) {
        return false;
    }
    name = keyval_need(kv, "qom-type");
    if (!name) {
        return keyval_done(kv, errp);
    }
    type = find_type(name, errp);
    if (!type) {
        return false;
    }
    id = keyval_need(kv, "id");
    if (id && !keyval_id_ok(id)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter 'id' expects an identifier\nIdentifiers "
                       "consist of letters, digits, '-', '.', '_', starting with a letter.");
    }
    return type->make(cl, name, kv, errp);
}

bool cmdline_add_fd(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);
    FdsetConfig *f;
    uint64_t fd, set;
    const char *opaque;

    if (!kv) {
        return false;
    }
    keyval_need(kv, "fd");
    keyval_need(kv, "set");
    fd = keyval_u64(kv, "fd", 0, INT32_MAX);
    set = keyval_u64(kv, "set", 0, INT32_MAX);
    opaque = keyval_str(kv, "opaque");
    if (!keyval_done(kv, errp)) {
        return false;
    }
    if (fd <= STDERR_FILENO) {
        return gw_fail(errp, GW_ERROR_GENERIC, "fd cannot be a standard I/O stream");
    }
    if (fcntl((int)fd, F_GETFD) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "fd %d was not handed in by the "
                             "parent process", (int)fd);
    }
    f = g_new0(FdsetConfig, 1);
    f->fd = (int)fd;
    f->set = (int)set;
    f->opaque = g_strdup(opaque);
    g_ptr_array_add(cl->config->fdsets, f);
    return true;
}
