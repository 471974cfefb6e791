/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which fields are there, and how many elements they have: what encoder and decoder must agree on.
 * Looks at the device only, never at the wire. Machine lock held by the caller.
 * Wire: spec stream 1.4, "Which fields are present".
 */
#include "vmstate-codec.h"

#include <string.h>

bool vmstate_field_exists(const VMStateField *f, void *opaque, int version_id)
{
    if (f->exists) {
        return f->exists(opaque, version_id);
    }
    return f->version_id <= version_id;
}

int vmstate_nested_version(const VMStateField *f)
{
    return f->struct_version_id ? f->struct_version_id : f->vmsd->version_id;
}

bool vmstate_field_is_counted(const VMStateField *f)
{
    return (f->flags & VMS_F_VARRAY) || f->kind == VMS_BITMAP ||
           (f->kind == VMS_VBUFFER && f->num_size);
}

uint64_t vmstate_field_count(const VMStateField *f, const void *opaque)
{
    const uint8_t *member = (const uint8_t *)opaque + f->num_offset;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (f->num_size) {
    case 1:
        return *member;
    case 2:
        memcpy(&v16, member, sizeof(v16));
        return v16;
    case 4:
        memcpy(&v32, member, sizeof(v32));
        return v32;
    case 8:
        memcpy(&v64, member, sizeof(v64));
        return v64;
    default:
        return 0;
    }
}

uint64_t vmstate_field_elements(const VMStateField *f, const void *opaque)
{
    if (f->flags & VMS_F_VARRAY) {
        return vmstate_field_count(f, opaque);
    }
    return f->flags & VMS_F_ARRAY ? f->num : 1;
}

bool vmstate_vbuffer_len(const VMStateField *f, const void *opaque, size_t *len)
{
    uint64_t count = vmstate_field_count(f, opaque);

    if (!f->num_size) {
        *len = f->size;
        return true;
    }
    if (f->flags & VMS_F_MULTIPLY) {
        return !__builtin_mul_overflow(count, f->size, len);
    }
    *len = count;
    return true;
}

uint64_t *vmstate_field_limits(const VMStateDescription *vmsd, const void *opaque)
{
    uint64_t *limits = NULL;
    size_t n = 0;

    while (vmsd->fields && vmsd->fields[n].name) {
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        const VMStateField *f = &vmsd->fields[i];

        if (vmstate_field_is_counted(f)) {
            if (!limits) {
                limits = g_new0(uint64_t, n);
            }
            limits[i] = f->num_max ? f->num_max : vmstate_field_count(f, opaque);
        }
    }
    return limits;
}
