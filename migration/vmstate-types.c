/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leaf kinds of vmstate, encode and decode side by side, and the puts and gets that custom
 * fields use. No state, no lock; the caller holds the machine lock.
 * Wire: spec stream 1.4, the table of field kinds.
 */
#include "vmstate-codec.h"

#include <inttypes.h>
#include <string.h>

#include "error.h"

static const char *const type_names[] = {
    [VMS_BOOL] = "bool",
    [VMS_U8] = "uint8",
    [VMS_U16] = "uint16",
    [VMS_U32] = "uint32",
    [VMS_U64] = "uint64",
    [VMS_I8] = "int8",
    [VMS_I16] = "int16",
    [VMS_I32] = "int32",
    [VMS_I64] = "int64",
    [VMS_U8_EQUAL] = "uint8 equal",
    [VMS_U16_EQUAL] = "uint16 equal",
    [VMS_I32_EQUAL] = "int32 equal",
    [VMS_U32_EQUAL] = "uint32 equal",
    [VMS_U64_EQUAL] = "int64 equal",
    [VMS_I64_EQUAL] = "int64 equal",
    [VMS_I32_LE] = "int32 le",
    [VMS_TIMER] = "timer",
    [VMS_CPUDOUBLE] = "CPU_Double_U",
    [VMS_BUFFER] = "buffer",
    [VMS_VBUFFER] = "buffer",
    [VMS_UNUSED] = "unused_buffer",
    [VMS_BITMAP] = "bitmap",
    [VMS_STRUCT] = "struct",
    [VMS_TMP] = "tmp",
    [VMS_QLIST] = "qlist",
    [VMS_GTREE] = "gtree",
    [VMS_GBYTEARRAY] = "GByteArray",
    [VMS_VALIDATE] = "validate",
};

const char *vmstate_type_name(const VMStateField *f)
{
    return f->kind == VMS_CUSTOM ? f->type : type_names[f->kind];
}

void vmstate_put_bytes(VMStateWriter *w, const void *buf, size_t len)
{
    stream_put_bytes(w->stream, buf, len);
}

void vmstate_put_zeros(VMStateWriter *w, size_t len)
{
    stream_put_zeros(w->stream, len);
}

void vmstate_put_u8(VMStateWriter *w, uint8_t v)
{
    stream_put_u8(w->stream, v);
}

void vmstate_put_be16(VMStateWriter *w, uint16_t v)
{
    stream_put_be16(w->stream, v);
}

void vmstate_put_be32(VMStateWriter *w, uint32_t v)
{
    stream_put_be32(w->stream, v);
}

void vmstate_put_be64(VMStateWriter *w, uint64_t v)
{
    stream_put_be64(w->stream, v);
}

bool vmstate_skip(VMStateReader *r, size_t len, GError **errp)
{
    return stream_skip(r->stream, len, errp);
}

bool vmstate_get_bytes(VMStateReader *r, void *buf, size_t len, GError **errp)
{
    return stream_get_bytes(r->stream, buf, len, errp);
}

bool vmstate_get_u8(VMStateReader *r, uint8_t *v, GError **errp)
{
    return stream_get_u8(r->stream, v, errp);
}

bool vmstate_get_be16(VMStateReader *r, uint16_t *v, GError **errp)
{
    return stream_get_be16(r->stream, v, errp);
}

bool vmstate_get_be32(VMStateReader *r, uint32_t *v, GError **errp)
{
    return stream_get_be32(r->stream, v, errp);
}

bool vmstate_get_be64(VMStateReader *r, uint64_t *v, GError **errp)
{
    return stream_get_be64(r->stream, v, errp);
}

/* Width on the wire of the kinds that are one integer; 0 for the others. */
static unsigned int_width(VMStateKind kind)
{
    switch (kind) {
    case VMS_U8:
    case VMS_I8:
    case VMS_U8_EQUAL:
        return 1;
    case VMS_U16:
    case VMS_I16:
    case VMS_U16_EQUAL:
        return 2;
    case VMS_U32:
    case VMS_I32:
    case VMS_U32_EQUAL:
    case VMS_I32_EQUAL:
    case VMS_I32_LE:
        return 4;
    case VMS_U64:
    case VMS_I64:
    case VMS_U64_EQUAL:
    case VMS_I64_EQUAL:
    case VMS_TIMER:
    case VMS_CPUDOUBLE: /* its high word comes first, as in any be64 */
        return 8;
    default:
        return 0;
    }
}

static void put_int(VMStateWriter *w, const void *p, unsigned width)
{
    switch (width) {
    case 1:
        stream_put_u8(w->stream, *(const uint8_t *)p);
        break;
    case 2:
        stream_put_be16(w->stream, *(const uint16_t *)p);
        break;
    case 4:
        stream_put_be32(w->stream, *(const uint32_t *)p);
        break;
    case 8:
        stream_put_be64(w->stream, *(const uint64_t *)p);
        break;
    }
}

static bool get_int(VMStateReader *r, void *p, unsigned width, GError **errp)
{
    switch (width) {
    case 1:
        return stream_get_u8(r->stream, p, errp);
    case 2:
        return stream_get_be16(r->stream, p, errp);
    case 4:
        return stream_get_be32(r->stream, p, errp);
    default:
        return stream_get_be64(r->stream, p, errp);
    }
}

/* Fields that the two ends must agree on. */
static bool get_equal(VMStateReader *r, const void *p, unsigned width, GError **errp)
{
    uint64_t theirs = 0, ours = 0;

    if (!get_int(r, &theirs, width, errp)) {
        return false;
    }
    /* Both were stored with the member's width at the start of a zeroed word. */
    memcpy(&ours, p, width);
    if (theirs != ours) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "the source has %#" PRIx64 " and this machine %#" PRIx64
                       "; configure both ends alike", theirs, ours);
    }
    return true;
}

static bool get_int32_le(VMStateReader *r, int32_t *p, GError **errp)
{
    uint32_t v;

    if (!stream_get_be32(r->stream, &v, errp)) {
        return false;
    }
    if ((int32_t)v < 0 || (int32_t)v > *p) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "%d is not between 0 and the local value %d",
                       (int32_t)v, *p);
    }
    *p = (int32_t)v;
    return true;
}

static void put_zeros(VMStateWriter *w, size_t len)
{
    static const uint8_t zeros[64];

    for (; len > sizeof(zeros); len -= sizeof(zeros)) {
        stream_put_bytes(w->stream, zeros, sizeof(zeros));
    }
    stream_put_bytes(w->stream, zeros, len);
}

void vmstate_put_leaf(VMStateWriter *w, const void *p, const VMStateField *f)
{
    switch (f->kind) {
    case VMS_BOOL:
        stream_put_u8(w->stream, *(const bool *)p ? 1 : 0);
        break;
    case VMS_BUFFER:
        stream_put_bytes(w->stream, p, f->size);
        break;
    case VMS_UNUSED:
        put_zeros(w, f->size);
        break;
    case VMS_CUSTOM:
        f->put(w, p, f);
        break;
    default:
        put_int(w, p, int_width(f->kind));
    }
}

bool vmstate_get_leaf(VMStateReader *r, void *p, const VMStateField *f, GError **errp)
{
    uint8_t byte;

    switch (f->kind) {
    case VMS_BOOL:
        if (!stream_get_u8(r->stream, &byte, errp)) {
            return false;
        }
        *(bool *)p = byte != 0;
        return true;
    case VMS_BUFFER:
        return stream_get_bytes(r->stream, p, f->size, errp);
    case VMS_UNUSED:
        return stream_skip(r->stream, f->size, errp);
    case VMS_CUSTOM:
        return f->get(r, p, f, errp);
    case VMS_U8_EQUAL:
    case VMS_U16_EQUAL:
    case VMS_U32_EQUAL:
    case VMS_I32_EQUAL:
    case VMS_U64_EQUAL:
    case VMS_I64_EQUAL:
        return get_equal(r, p, int_width(f->kind), errp);
    case VMS_I32_LE:
        return get_int32_le(r, p, errp);
    default:
        return get_int(r, p, int_width(f->kind), errp);
    }
}
