/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encoding of an object: fields in order, then subsections. Migration thread, machine lock held by
 * the caller. Wire: spec stream 1.4. The order of hooks: vmstate-codec.h.
 */
#include "vmstate-codec.h"

#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "savevm.h"

/* Leaf elements are all described by the first one; the others need not be looked at. */
static bool describes_alone(const VMStateField *f)
{
    return f->kind != VMS_STRUCT && f->kind != VMS_TMP && f->kind != VMS_CUSTOM &&
           !(f->flags & VMS_F_ARRAY_OF_POINTER);
}

static bool save_tmp(VMStateWriter *w, const VMStateField *f, void *parent, VMStateNotes *notes,
                     GError **errp)
{
    g_autofree void **tmp = g_malloc0(f->size);

    tmp[0] = parent;
    return vmstate_save_object(w, f->vmsd, tmp, vmstate_nested_version(f), notes, errp);
}

static bool save_value(VMStateWriter *w, const VMStateField *f, void *p, void *opaque,
                       VMStateNotes *notes, GError **errp)
{
    switch (f->kind) {
    case VMS_STRUCT:
        return vmstate_save_object(w, f->vmsd, p, vmstate_nested_version(f), notes, errp);
    case VMS_TMP:
        return save_tmp(w, f, opaque, notes, errp);
    case VMS_VBUFFER:
    case VMS_BITMAP:
        return vmstate_put_sized(w, opaque, f, errp);
    case VMS_QLIST:
    case VMS_GTREE:
    case VMS_GBYTEARRAY:
        return vmstate_put_container(w, p, f, errp);
    default:
        vmstate_put_leaf(w, p, f);
        return true;
    }
}

/* One element; `p` is where it, or in an array of pointers the pointer to it, is. */
static bool save_element(VMStateWriter *w, const VMStateField *f, void *p, void *opaque,
                         VMStateNotes *notes, GError **errp)
{
    const uint64_t before = stream_written(w->stream);
    const guint note = vmstate_note(notes, VMSTATE_NOTE_ELEMENT, f, 0);
    bool absent = false;

    if (f->flags & VMS_F_ARRAY_OF_POINTER) {
        p = *(void **)p;
        absent = !p;
        if (absent) {
            stream_put_u8(w->stream, VMSTATE_MARKER_NULL);
        } else if (f->flags & VMS_F_AUTO_ALLOC) {
            stream_put_u8(w->stream, VMSTATE_MARKER_PRESENT);
        }
    }
    if (!absent && !save_value(w, f, p, opaque, notes, errp)) {
        return false;
    }
    vmstate_note_close(notes, note, absent ? NULL : f, stream_written(w->stream) - before);
    return true;
}

/* Where the elements of a field are; NULL with *errp if there should be some, but are not. */
static bool find_elements(const VMStateField *f, void *opaque, uint64_t n, uint8_t **base,
                          GError **errp)
{
    *base = (uint8_t *)opaque + f->offset;
    if (f->num_max && vmstate_field_is_counted(f) && vmstate_field_count(f, opaque) > f->num_max) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%" PRIu64 " elements to save, at most %zu fit",
                       vmstate_field_count(f, opaque), f->num_max);
    }
    if (f->flags & VMS_F_POINTER) {
        *base = *(uint8_t **)*base;
        if (n && !*base) {
            return gw_fail(errp, GW_ERROR_GENERIC, "nothing to save: the pointer is NULL");
        }
    }
    return true;
}

static bool save_field(VMStateWriter *w, const VMStateField *f, void *opaque,
                       VMStateNotes *notes, GError **errp)
{
    size_t stride = f->flags & VMS_F_ARRAY_OF_POINTER ? sizeof(void *) : f->size;
    uint64_t n = vmstate_field_elements(f, opaque);
    uint8_t *base;
    guint note;

    if (f->kind == VMS_VALIDATE) {
        return true;
    }
    if (!find_elements(f, opaque, n, &base, errp)) {
        return false;
    }
    note = vmstate_note(notes, VMSTATE_NOTE_FIELD, f, n);
    for (uint64_t i = 0; i < n; i++) {
        const bool described = i == 0 || !describes_alone(f);

        if (!save_element(w, f, base + i * stride, opaque, described ? notes : NULL, errp)) {
            if (n > 1) {
                g_prefix_error(errp, "element %" PRIu64 ": ", i);
            }
            return false;
        }
    }
    vmstate_note_close(notes, note, f, n);
    return true;
}

static bool save_subsections(VMStateWriter *w, const VMStateDescription *vmsd, void *opaque,
                             VMStateNotes *notes, GError **errp)
{
    for (const VMStateDescription *const *s = vmsd->subsections; s && *s; s++) {
        const VMStateDescription *sub = *s;

        if (sub->needed && !sub->needed(opaque)) {
            continue;
        }
        stream_put_u8(w->stream, QEMU_VM_SUBSECTION);
        stream_put_str8(w->stream, sub->name);
        stream_put_be32(w->stream, (uint32_t)sub->version_id);
        if (!vmstate_save_object(w, sub, opaque, sub->version_id, notes, errp)) {
            return false;
        }
    }
    return true;
}

bool vmstate_save_object(VMStateWriter *w, const VMStateDescription *vmsd, void *opaque,
                         int version_id, VMStateNotes *notes, GError **errp)
{
    bool ok = true;
    guint note;

    if (vmsd->pre_save && !vmsd->pre_save(opaque, errp)) {
        g_prefix_error(errp, "%s: ", vmsd->name);
        return false;
    }
    note = vmstate_note(notes, VMSTATE_NOTE_OBJECT, vmsd, (uint64_t)version_id);
    for (const VMStateField *f = vmsd->fields; ok && f && f->name; f++) {
        if (!vmstate_field_exists(f, opaque, version_id)) {
            continue;
        }
        ok = save_field(w, f, opaque, notes, errp);
        if (!ok) {
            g_prefix_error(errp, "%s/%s: ", vmsd->name, f->name);
        }
    }
    ok = ok && save_subsections(w, vmsd, opaque, notes, errp);
    vmstate_note_close(notes, note, vmsd, (uint64_t)version_id);
    if (vmsd->post_save) {
        vmsd->post_save(opaque);
    }
    return ok;
}

bool vmstate_save(StreamWriter *w, const VMStateDescription *vmsd, void *opaque,
                  VMStateNotes *notes, GError **errp)
{
    VMStateWriter vw = {.stream = w};

    return vmstate_save_object(&vw, vmsd, opaque, vmsd->version_id, notes, errp);
}
