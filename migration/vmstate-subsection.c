/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding of subsections. Whether the byte 0x05 after an object's fields opens a subsection of
 * that object, one of an object around it, or is plain data can only be told from the name that
 * follows; so it is looked at without being consumed. Incoming thread, machine lock held by the
 * caller. Wire: spec stream 1.4, "Subsections".
 */
#include "vmstate-codec.h"

#include <limits.h>
#include <string.h>

#include "error.h"
#include "savevm.h"

/*
 * Gets the name of the subsection that comes next into `name`, without consuming anything. False
 * without *errp: none of this object comes. False with *errp: the channel broke.
 */
static bool next_is_ours(StreamReader *r, const VMStateDescription *vmsd, char name[256],
                         GError **errp)
{
    g_autoptr(GError) err = NULL;
    size_t prefix = strlen(vmsd->name);
    size_t len = 0;
    const uint8_t *p;

    p = stream_peek(r, 1, &err);
    if (p && *p == QEMU_VM_SUBSECTION) {
        p = stream_peek(r, 2, &err);
        if (p) {
            len = p[1];
            if (len <= prefix) {
                return false;
            }
            p = stream_peek(r, 2 + len, &err);
        }
    } else if (p) {
        return false;
    }
    if (!p) {
        /* At the end of the stream whoever needs more bytes will say so. */
        if (!g_error_matches(err, GW_ERROR, GW_ERROR_EOF)) {
            g_propagate_error(errp, g_steal_pointer(&err));
        }
        return false;
    }
    if (memcmp(p + 2, vmsd->name, prefix) != 0) {
        return false;
    }
    memcpy(name, p + 2, len);
    name[len] = '\0';
    return true;
}

static int find_subsection(const VMStateDescription *vmsd, const char *name)
{
    for (int i = 0; vmsd->subsections && vmsd->subsections[i]; i++) {
        if (strcmp(vmsd->subsections[i]->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool load_one(VMStateReader *r, const VMStateDescription *sub, void *opaque, GError **errp)
{
    uint32_t version_id;
    char name[256];

    stream_consume(r->stream, 1);
    if (!stream_get_str8(r->stream, name, errp) ||
        !stream_get_be32(r->stream, &version_id, errp)) {
        g_prefix_error(errp, "%s: ", sub->name);
        return false;
    }
    return vmstate_load_object(r, sub, opaque, version_id > INT_MAX ? INT_MAX : (int)version_id,
                               errp);
}

bool vmstate_load_subsections(VMStateReader *r, const VMStateDescription *vmsd, void *opaque,
                              GError **errp)
{
    g_autoptr(GHashTable) seen = NULL;
    GError *err = NULL;
    char name[256];

    while (next_is_ours(r->stream, vmsd, name, &err)) {
        int i = find_subsection(vmsd, name);

        if (i < 0) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "VM subsection '%s' in '%s' does not exist",
                           name, vmsd->name);
        }
        if (!seen) {
            seen = g_hash_table_new(NULL, NULL);
        }
        if (!g_hash_table_add(seen, GINT_TO_POINTER(i))) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "VM subsection '%s' in '%s' comes twice", name,
                           vmsd->name);
        }
        if (!load_one(r, vmsd->subsections[i], opaque, errp)) {
            g_prefix_error(errp, "Loading VM subsection '%s' in '%s' failed: ", name, vmsd->name);
            return false;
        }
    }
    if (err) {
        g_prefix_error(&err, "%s: ", vmsd->name);
        g_propagate_error(errp, err);
        return false;
    }
    return true;
}
