/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding of an object, and the later phases of what was decoded. Incoming thread, machine lock
 * held by the caller. Wire: spec stream 1.4. The order of hooks: vmstate-codec.h.
 *
 * Nothing that the stream says is trusted: counts are checked against num_max or against what the
 * device had before the load, markers and versions against what is possible. An error names the
 * path to the field; the section's name is added by loadvm.
 */
#include "vmstate-codec.h"

#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "savevm.h"

static bool load_tmp(VMStateReader *r, const VMStateField *f, void *parent, GError **errp)
{
    g_autofree void **tmp = g_malloc0(f->size);
    VMStateReader inner = {.stream = r->stream, .loaded = NULL};

    tmp[0] = parent;
    return vmstate_load_object(&inner, f->vmsd, tmp, vmstate_nested_version(f), errp);
}

static bool load_value(VMStateReader *r, const VMStateField *f, void *p, void *opaque,
                       GError **errp)
{
    switch (f->kind) {
    case VMS_STRUCT:
        return vmstate_load_object(r, f->vmsd, p, vmstate_nested_version(f), errp);
    case VMS_TMP:
        return load_tmp(r, f, opaque, errp);
    case VMS_VBUFFER:
    case VMS_BITMAP:
        return vmstate_get_sized(r, opaque, f, errp);
    case VMS_QLIST:
    case VMS_GTREE:
    case VMS_GBYTEARRAY:
        return vmstate_get_container(r, p, f, errp);
    default:
        return vmstate_get_leaf(r, p, f, errp);
    }
}

/* An element of an array of pointers: resolves *slot. *p stays NULL if nothing follows. */
static bool load_pointer(VMStateReader *r, const VMStateField *f, void **slot, void **p,
                         GError **errp)
{
    bool auto_alloc = f->flags & VMS_F_AUTO_ALLOC;
    uint8_t marker;

    *p = *slot;
    if (*slot && !auto_alloc) {
        return true; /* no marker: both ends know from their configuration */
    }
    if (!stream_get_u8(r->stream, &marker, errp)) {
        return false;
    }
    if (marker == VMSTATE_MARKER_NULL) {
        if (auto_alloc) {
            g_clear_pointer(slot, g_free);
        }
        *p = NULL;
        return true;
    }
    if (marker != VMSTATE_MARKER_PRESENT || !auto_alloc) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "unexpected pointer marker %#x; is the device configured as on the source?",
                       marker);
    }
    if (!*slot) {
        *slot = g_malloc0(f->size);
    }
    *p = *slot;
    return true;
}

static bool check_count(const VMStateField *f, void *opaque, uint64_t limit, GError **errp)
{
    uint64_t count;

    if (!vmstate_field_is_counted(f)) {
        return true;
    }
    count = vmstate_field_count(f, opaque);
    return count <= limit ||
           gw_fail(errp, GW_ERROR_PROTOCOL, "the stream claims %" PRIu64 " elements, room for %"
                   PRIu64 " is here", count, limit);
}

/* Where the elements go; allocates them if the field says so. */
static bool find_target(const VMStateField *f, void *opaque, uint64_t n, size_t stride,
                        uint8_t **base, GError **errp)
{
    void **member = (void **)((uint8_t *)opaque + f->offset);

    *base = (uint8_t *)member;
    if (!(f->flags & VMS_F_POINTER)) {
        return true;
    }
    if (f->flags & VMS_F_ALLOC) {
        g_free(*member);
        *member = g_try_malloc0_n(n, stride);
    }
    *base = *member;
    return *base || !n ||
           gw_fail(errp, GW_ERROR_GENERIC, "no memory to load %" PRIu64 " elements into", n);
}

static bool load_field(VMStateReader *r, const VMStateField *f, void *opaque, uint64_t limit,
                       GError **errp)
{
    size_t stride = f->flags & VMS_F_ARRAY_OF_POINTER ? sizeof(void *) : f->size;
    uint64_t n = vmstate_field_elements(f, opaque);
    uint8_t *base;

    if (!check_count(f, opaque, limit, errp) ||
        !find_target(f, opaque, n, stride, &base, errp)) {
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        void *p = base + i * stride;
        bool ok = true;

        if (f->flags & VMS_F_ARRAY_OF_POINTER) {
            ok = load_pointer(r, f, p, &p, errp);
        }
        if (ok && p) {
            ok = load_value(r, f, p, opaque, errp);
        }
        if (!ok) {
            if (n > 1) {
                g_prefix_error(errp, "element %" PRIu64 ": ", i);
            }
            return false;
        }
    }
    return true;
}

static bool load_fields(VMStateReader *r, const VMStateDescription *vmsd, void *opaque,
                        int version_id, GError **errp)
{
    g_autofree uint64_t *limits = vmstate_field_limits(vmsd, opaque);

    for (const VMStateField *f = vmsd->fields; f && f->name; f++) {
        bool ok = true;

        if (!vmstate_field_exists(f, opaque, version_id)) {
            if (f->flags & VMS_F_MUST_EXIST) {
                return gw_fail(errp, GW_ERROR_PROTOCOL, "%s: Input validation failed: %s",
                               vmsd->name, f->name);
            }
            continue;
        }
        if (f->kind != VMS_VALIDATE) {
            ok = load_field(r, f, opaque, limits ? limits[f - vmsd->fields] : 0, errp);
        }
        if (!ok) {
            g_prefix_error(errp, "%s/%s: ", vmsd->name, f->name);
            return false;
        }
    }
    return true;
}

static bool check_version(const VMStateDescription *vmsd, int version_id, GError **errp)
{
    if (version_id > vmsd->version_id) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "%s: incoming version_id %d is too new for local version_id %d", vmsd->name,
                       version_id, vmsd->version_id);
    }
    if (version_id < vmsd->minimum_version_id) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "%s: incoming version_id %d is too old for local minimum version_id %d",
                       vmsd->name, version_id, vmsd->minimum_version_id);
    }
    return true;
}

bool vmstate_load_object(VMStateReader *r, const VMStateDescription *vmsd, void *opaque,
                         int version_id, GError **errp)
{
    if (!check_version(vmsd, version_id, errp)) {
        return false;
    }
    if (vmsd->pre_load && !vmsd->pre_load(opaque, errp)) {
        g_prefix_error(errp, "%s: ", vmsd->name);
        return false;
    }
    if (!load_fields(r, vmsd, opaque, version_id, errp) ||
        !vmstate_load_subsections(r, vmsd, opaque, errp)) {
        return false;
    }
    if (vmsd->post_load && !vmsd->post_load(opaque, version_id, errp)) {
        g_prefix_error(errp, "%s: ", vmsd->name);
        return false;
    }
    if (r->loaded && (vmsd->apply || vmsd->post_commit)) {
        VMStateLoaded done = {.vmsd = vmsd, .opaque = opaque};

        g_array_append_val(r->loaded, done);
    }
    return true;
}

bool vmstate_load(StreamReader *r, const VMStateDescription *vmsd, void *opaque, int version_id,
                  GArray *loaded, GError **errp)
{
    VMStateReader vr = {.stream = r, .loaded = loaded};

    return vmstate_load_object(&vr, vmsd, opaque, version_id, errp);
}

bool vmstate_apply(const GArray *loaded, GError **errp)
{
    for (guint i = 0; i < loaded->len; i++) {
        const VMStateLoaded *l = &g_array_index(loaded, VMStateLoaded, i);

        if (l->vmsd->apply && !l->vmsd->apply(l->opaque, errp)) {
            g_prefix_error(errp, "%s: ", l->vmsd->name);
            return false;
        }
    }
    return true;
}

bool vmstate_post_commit(const GArray *loaded, GError **errp)
{
    for (guint i = 0; i < loaded->len; i++) {
        const VMStateLoaded *l = &g_array_index(loaded, VMStateLoaded, i);

        if (l->vmsd->post_commit && !l->vmsd->post_commit(l->opaque, errp)) {
            g_prefix_error(errp, "%s: ", l->vmsd->name);
            return false;
        }
    }
    return true;
}
