/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands of the object model, as far as tools probe it: types, properties of types, and the
 * paths /machine, /machine/peripheral, /machine/unattached. Main loop's thread.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "error.h"
#include "machine.h"
#include "qom-device.h"
#include "qom-types.h"

/* A type of the tables or of the lists of boards and accelerators. */
typedef struct TypeRef {
    char *name; /* owned */
    const char *parent;
    bool abstract;
    const QomProperty *props;
    const BoardOps *board;
} TypeRef;

static void type_ref_free(gpointer p)
{
    TypeRef *t = p;

    g_free(t->name);
    g_free(t);
}

static void add_type(GPtrArray *list, char *name, const char *parent, bool abstract,
                     const QomProperty *props, const BoardOps *board)
{
    TypeRef *t = g_new0(TypeRef, 1);

    *t = (TypeRef){name, parent, abstract, props, board};
    g_ptr_array_add(list, t);
}

static GPtrArray *all_types(void)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(type_ref_free);

    for (const QomType *t = qom_types; t->name; t++) {
        add_type(list, g_strdup(t->name), t->parent, t->abstract, t->props, NULL);
    }
    for (const AccelOps *const *a = accel_list(); *a; a++) {
        add_type(list, g_strdup_printf("%s-accel", (*a)->name), "accel", false, NULL, NULL);
    }
    for (const BoardOps *const *b = machine_boards(); *b; b++) {
        add_type(list, g_strdup_printf("%s-machine", (*b)->name), "machine", false, NULL, *b);
    }
    return list;
}

static const TypeRef *find_type(const GPtrArray *types, const char *name)
{
    for (guint i = 0; i < types->len; i++) {
        const TypeRef *t = g_ptr_array_index(types, i);

        if (strcmp(t->name, name) == 0) {
            return t;
        }
    }
    return NULL;
}

static bool derives_from(const GPtrArray *types, const TypeRef *t, const char *ancestor)
{
    if (strcmp(ancestor, "object") == 0) {
        return true;
    }
    while (t) {
        if (strcmp(t->name, ancestor) == 0) {
            return true;
        }
        t = find_type(types, t->parent);
    }
    return false;
}

bool qmp_qom_list_types(QmpCall *call, GError **errp)
{
    g_autoptr(GPtrArray) types = all_types();
    const char *implements = qmp_arg_str(call, "implements");
    const bool abstract = qmp_arg_bool(call, "abstract", false);

    call->ret = jo_array();
    for (guint i = 0; i < types->len; i++) {
        const TypeRef *t = g_ptr_array_index(types, i);
        json_object *o;

        if ((t->abstract && !abstract) || (implements && !derives_from(types, t, implements))) {
            continue;
        }
        o = jo_new();
        jo_str(o, "name", t->name);
        if (t->abstract) {
            jo_bool(o, "abstract", true);
        }
        jo_str(o, "parent", t->parent);
        json_object_array_add(call->ret, o);
    }
    return true;
}

static void add_property(json_object *list, const char *name, const char *type,
                         const char *description)
{
    json_object *o = jo_new();

    jo_str(o, "name", name);
    if (description) {
        jo_str(o, "description", description);
    }
    jo_str(o, "type", type);
    json_object_array_add(list, o);
}

static json_object *properties_of(const TypeRef *t)
{
    json_object *list = jo_array();

    for (const QomProperty *p = t->props; p && p->name; p++) {
        add_property(list, p->name, p->type, p->description);
    }
    for (const char *const *p = t->board ? t->board->props : NULL; p && *p; p++) {
        add_property(list, *p, "string", NULL);
    }
    return list;
}

bool qmp_qom_list_properties(QmpCall *call, GError **errp)
{
    g_autoptr(GPtrArray) types = all_types();
    const char *name = qmp_arg_str(call, "typename");
    const TypeRef *t = find_type(types, name);

    if (!t) {
        return gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND, "Class '%s' not found", name);
    }
    call->ret = properties_of(t);
    return true;
}

bool qmp_device_list_properties(QmpCall *call, GError **errp)
{
    g_autoptr(GPtrArray) types = all_types();
    const char *name = qmp_arg_str(call, "typename");
    const TypeRef *t = find_type(types, name);

    if (!t) {
        return gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    }
    if (t->abstract || !derives_from(types, t, "device")) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Parameter 'typename' expects a non-abstract device type");
    }
    call->ret = properties_of(t);
    return true;
}

static void list_machine(const Machine *m, json_object *list)
{
    for (const char *const *p = m->board ? m->board->props : NULL; p && *p; p++) {
        add_property(list, *p, "string", NULL);
    }
    add_property(list, "peripheral", "child<container>", NULL);
    add_property(list, "peripheral-anon", "child<container>", NULL);
    add_property(list, "unattached", "child<container>", NULL);
}

static void list_peripherals(const Machine *m, json_object *list)
{
    for (guint i = 0; i < m->config->devices->len; i++) {
        const DeviceConfig *d = m->config->devices->pdata[i];
        g_autofree char *type = g_strdup_printf("child<%s>", d->driver);

        if (d->id) {
            add_property(list, d->id, type, NULL);
        }
    }
}

/* What there is beside what -device was told. */
static void list_device(const Machine *m, const DeviceConfig *d, json_object *list)
{
    if (m->balloon && g_strcmp0(m->balloon->id, d->id) == 0) {
        add_property(list, "guest-stats", "guest statistics", NULL);
        add_property(list, "guest-stats-polling-interval", "int", NULL);
    }
}

/* /machine/unattached/device[N] is vCPU N. */
static bool is_vcpu_path(const Machine *m, const char *path)
{
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        g_autofree char *p = g_strdup_printf("machine/unattached/device[%u]", i);

        if (strcmp(p, path) == 0) {
            return true;
        }
    }
    return false;
}

bool qmp_qom_list(QmpCall *call, GError **errp)
{
    const Machine *m = call->machine;
    const char *path = qmp_arg_str(call, "path"), *p = path + strspn(path, "/");
    json_object *list = jo_array();

    add_property(list, "type", "string", NULL);
    if (*p == '\0') {
        g_autofree char *type = g_strdup_printf("child<%s-machine>",
                                                m->board ? m->board->name : "none");

        add_property(list, "machine", type, NULL);
    } else if (strcmp(p, "machine") == 0) {
        list_machine(m, list);
    } else if (strcmp(p, "machine/unattached") == 0) {
        for (unsigned i = 0; i < m->nr_vcpus; i++) {
            g_autofree char *name = g_strdup_printf("device[%u]", i);

            add_property(list, name, "child<x86_64-cpu>", NULL);
        }
    } else if (strcmp(p, "machine/peripheral") == 0) {
        list_peripherals(m, list);
    } else if (qom_device_at(m, p)) {
        list_device(m, qom_device_at(m, p), list);
    } else if (strcmp(p, "machine/peripheral-anon") != 0 && !is_vcpu_path(m, p)) {
        json_object_put(list);
        return gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    call->ret = list;
    return true;
}
