/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The JSON description of device state that follows a precopy stream, built while the state is
 * encoded so that sizes are those of the wire. Migration thread; no state of its own.
 * Wire: spec stream 1.5. Readers ignore the content, people and analysis tools do not.
 *
 * The order of members is part of the shape: json-c keeps the order of insertion.
 */
#include "vmstate-codec.h"

#include <string.h>

json_object *vmstate_desc_object(json_object *desc, const VMStateDescription *vmsd,
                                 int version_id)
{
    json_object *fields;

    if (!desc) {
        return NULL;
    }
    fields = json_object_new_array();
    json_object_object_add(desc, "vmsd_name", json_object_new_string(vmsd->name));
    json_object_object_add(desc, "version", json_object_new_int(version_id));
    json_object_object_add(desc, "fields", fields);
    return fields;
}

json_object *vmstate_desc_subsection(json_object *desc)
{
    json_object *list, *sub;

    if (!desc) {
        return NULL;
    }
    if (!json_object_object_get_ex(desc, "subsections", &list)) {
        list = json_object_new_array();
        json_object_object_add(desc, "subsections", list);
    }
    sub = json_object_new_object();
    json_object_array_add(list, sub);
    return sub;
}

/* A name that the description lists more than once gets its number among those: "unused[1]". */
static json_object *field_name(const VMStateDescription *vmsd, const VMStateField *f)
{
    g_autofree char *numbered = NULL;
    int same = 0, number = 0;

    for (const VMStateField *g = vmsd->fields; g->name; g++) {
        if (g == f) {
            number = same;
        }
        same += strcmp(g->name, f->name) == 0;
    }
    if (same == 1) {
        return json_object_new_string(f->name);
    }
    numbered = g_strdup_printf("%s[%d]", f->name, number);
    return json_object_new_string(numbered);
}

static void add_entry(json_object *fields, const VMStateDescription *vmsd, const VMStateField *f,
                      const char *position, uint64_t value, json_object *body)
{
    json_object *entry = json_object_new_object();

    json_object_object_add(entry, "name", field_name(vmsd, f));
    if (position) {
        json_object_object_add(entry, position, json_object_new_int64((int64_t)value));
    }
    json_object_object_foreach(body, key, val) {
        json_object_object_add(entry, key, json_object_get(val));
    }
    json_object_array_add(fields, entry);
}

void vmstate_desc_field(json_object *fields, const VMStateDescription *vmsd,
                        const VMStateField *f, GPtrArray *bodies, uint64_t n)
{
    bool same = true;

    if (!fields) {
        return;
    }
    for (guint i = 1; i < bodies->len && same; i++) {
        same = json_object_equal(g_ptr_array_index(bodies, i), g_ptr_array_index(bodies, 0));
    }
    if (same && bodies->len) {
        add_entry(fields, vmsd, f, n > 1 ? "array_len" : NULL, n,
                  g_ptr_array_index(bodies, 0));
        return;
    }
    for (guint i = 0; i < bodies->len; i++) {
        add_entry(fields, vmsd, f, "index", i, g_ptr_array_index(bodies, i));
    }
}
