/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kinds whose member points to something with a length of its own: variable buffers, bitmaps,
 * lists, trees and byte arrays; encode and decode side by side. Machine lock held by the caller.
 * Wire: spec stream 1.4, the table of field kinds.
 *
 * Decoding replaces what the container held. How much may come is bounded by num_max, or else by
 * VMSTATE_LIST_MAX and VMSTATE_BYTES_MAX; counts of variable buffers and bitmaps have been checked
 * before (vmstate-load.c).
 */
#include "vmstate-codec.h"

#include <inttypes.h>

#include "error.h"

#define LIST_END 0
#define LIST_ELEMENT 1

/* Byte arrays grow by this much at a time, so that a claimed length alone allocates nothing. */
#define BYTES_STEP ((size_t)64 * 1024)

static bool put_vbuffer(VMStateWriter *w, void *const *p, size_t len, GError **errp)
{
    if (len && !*p) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%zu bytes to save, but the pointer is NULL", len);
    }
    stream_put_bytes(w->stream, *p, len);
    return true;
}

static bool put_bitmap(VMStateWriter *w, void *const *p, uint64_t nbits, GError **errp)
{
    const uint64_t *words = *p;

    if (nbits && !words) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%" PRIu64 " bits to save, but the pointer is NULL",
                       nbits);
    }
    for (uint64_t i = 0; i < nbits / 64 + (nbits % 64 != 0); i++) {
        stream_put_be64(w->stream, words[i]);
    }
    return true;
}

static bool put_qlist(VMStateWriter *w, GPtrArray *list, const VMStateField *f, GError **errp)
{
    for (guint i = 0; list && i < list->len; i++) {
        stream_put_u8(w->stream, LIST_ELEMENT);
        if (!vmstate_save_object(w, f->vmsd, g_ptr_array_index(list, i), vmstate_nested_version(f),
                                 NULL, errp)) {
            return false;
        }
    }
    stream_put_u8(w->stream, LIST_END);
    return true;
}

typedef struct PutNode {
    VMStateWriter *w;
    const VMStateField *f;
    GError **errp;
    bool ok;
} PutNode;

static gboolean put_node(gpointer key, gpointer value, gpointer opaque)
{
    PutNode *pn = opaque;

    stream_put_u8(pn->w->stream, LIST_ELEMENT);
    stream_put_be64(pn->w->stream, *(uint64_t *)key);
    pn->ok = vmstate_save_object(pn->w, pn->f->vmsd, value, vmstate_nested_version(pn->f), NULL,
                                 pn->errp);
    return !pn->ok;
}

static bool put_gtree(VMStateWriter *w, GTree *tree, const VMStateField *f, GError **errp)
{
    PutNode pn = {.w = w, .f = f, .errp = errp, .ok = true};

    stream_put_be32(w->stream, tree ? g_tree_nnodes(tree) : 0);
    if (tree) {
        g_tree_foreach(tree, put_node, &pn);
    }
    stream_put_u8(w->stream, LIST_END);
    return pn.ok;
}

bool vmstate_put_container(VMStateWriter *w, const void *p, const VMStateField *f, GError **errp)
{
    const GByteArray *bytes;

    switch (f->kind) {
    case VMS_QLIST:
        return put_qlist(w, *(GPtrArray *const *)p, f, errp);
    case VMS_GTREE:
        return put_gtree(w, *(GTree *const *)p, f, errp);
    default:
        bytes = *(GByteArray *const *)p;
        stream_put_be32(w->stream, bytes ? bytes->len : 0);
        stream_put_bytes(w->stream, bytes ? bytes->data : NULL, bytes ? bytes->len : 0);
        return true;
    }
}

/* Lets the wire say whether another element follows; the number so far bounds it. */
static bool get_more(VMStateReader *r, const VMStateField *f, uint64_t have, bool *more,
                     GError **errp)
{
    uint64_t max = f->num_max ? f->num_max : VMSTATE_LIST_MAX;
    uint8_t marker;

    if (!stream_get_u8(r->stream, &marker, errp)) {
        return false;
    }
    if (marker != LIST_END && marker != LIST_ELEMENT) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "element %" PRIu64 " begins with byte %#x, expected 0 or 1", have, marker);
    }
    if (marker == LIST_ELEMENT && have >= max) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "more than %" PRIu64 " elements", max);
    }
    *more = marker == LIST_ELEMENT;
    return true;
}

static bool get_qlist(VMStateReader *r, GPtrArray **p, const VMStateField *f, GError **errp)
{
    bool more;

    if (!*p) {
        *p = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_set_size(*p, 0);
    while (get_more(r, f, (*p)->len, &more, errp)) {
        void *element;

        if (!more) {
            return true;
        }
        element = g_malloc0(f->size);
        g_ptr_array_add(*p, element);
        if (!vmstate_load_object(r, f->vmsd, element, vmstate_nested_version(f), errp)) {
            return false;
        }
    }
    return false;
}

static int compare_keys(gconstpointer a, gconstpointer b, gpointer opaque)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool get_node(VMStateReader *r, GTree *tree, const VMStateField *f, GError **errp)
{
    g_autofree uint64_t *key = g_new(uint64_t, 1);
    void *value;

    if (!stream_get_be64(r->stream, key, errp)) {
        return false;
    }
    if (g_tree_lookup_extended(tree, key, NULL, NULL)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "key %#" PRIx64 " comes twice", *key);
    }
    value = g_malloc0(f->size);
    g_tree_insert(tree, g_steal_pointer(&key), value);
    return vmstate_load_object(r, f->vmsd, value, vmstate_nested_version(f), errp);
}

static bool get_gtree(VMStateReader *r, GTree **p, const VMStateField *f, GError **errp)
{
    uint32_t nodes, have = 0;
    bool more;

    if (!stream_get_be32(r->stream, &nodes, errp)) {
        return false;
    }
    if (*p) {
        g_tree_remove_all(*p);
    } else {
        *p = g_tree_new_full(compare_keys, NULL, g_free, g_free);
    }
    while (get_more(r, f, have, &more, errp)) {
        if (!more) {
            return have == nodes ||
                   gw_fail(errp, GW_ERROR_PROTOCOL, "%u nodes announced, %u came", nodes, have);
        }
        if (!get_node(r, *p, f, errp)) {
            return false;
        }
        have++;
    }
    return false;
}

static bool get_gbytearray(VMStateReader *r, GByteArray **p, const VMStateField *f, GError **errp)
{
    uint64_t max = f->num_max ? f->num_max : VMSTATE_BYTES_MAX;
    uint32_t len;

    if (!stream_get_be32(r->stream, &len, errp)) {
        return false;
    }
    if (len > max) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "%u bytes announced, at most %" PRIu64
                       " are possible", len, max);
    }
    if (!*p) {
        *p = g_byte_array_new();
    }
    g_byte_array_set_size(*p, 0);
    while ((*p)->len < len) {
        guint at = (*p)->len;
        size_t n = MIN(len - at, BYTES_STEP);

        g_byte_array_set_size(*p, at + n);
        if (!stream_get_bytes(r->stream, (*p)->data + at, n, errp)) {
            return false;
        }
    }
    return true;
}

bool vmstate_get_container(VMStateReader *r, void *p, const VMStateField *f, GError **errp)
{
    switch (f->kind) {
    case VMS_QLIST:
        return get_qlist(r, p, f, errp);
    case VMS_GTREE:
        return get_gtree(r, p, f, errp);
    default:
        return get_gbytearray(r, p, f, errp);
    }
}

static bool too_big(size_t len, GError **errp)
{
    return gw_fail(errp, GW_ERROR_PROTOCOL, "%zu bytes are more than this machine can hold", len);
}

/* With VMS_F_ALLOC, replaces what the member points to by `len` zero bytes. */
static bool prepare_target(void **p, const VMStateField *f, size_t len, GError **errp)
{
    if (f->flags & VMS_F_ALLOC) {
        g_free(*p);
        *p = len ? g_try_malloc0(len) : NULL;
        return *p || !len || too_big(len, errp);
    }
    return *p || !len ||
           gw_fail(errp, GW_ERROR_GENERIC, "%zu bytes to load, but the pointer is NULL", len);
}

bool vmstate_put_sized(VMStateWriter *w, const void *opaque, const VMStateField *f, GError **errp)
{
    void *const *p = (void *const *)((const uint8_t *)opaque + f->offset);
    size_t len;

    if (f->kind == VMS_BITMAP) {
        return put_bitmap(w, p, vmstate_field_count(f, opaque), errp);
    }
    if (!vmstate_vbuffer_len(f, opaque, &len)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "the count member overflows");
    }
    return put_vbuffer(w, p, len, errp);
}

bool vmstate_get_sized(VMStateReader *r, void *opaque, const VMStateField *f, GError **errp)
{
    void **p = (void **)((uint8_t *)opaque + f->offset);
    size_t len;

    if (f->kind == VMS_BITMAP) {
        uint64_t nbits = vmstate_field_count(f, opaque);
        uint64_t words = nbits / 64 + (nbits % 64 != 0);

        if (__builtin_mul_overflow(words, sizeof(uint64_t), &len)) {
            return too_big(SIZE_MAX, errp);
        }
        if (!prepare_target(p, f, len, errp)) {
            return false;
        }
        for (uint64_t i = 0; i < words; i++) {
            if (!stream_get_be64(r->stream, (uint64_t *)*p + i, errp)) {
                return false;
            }
        }
        return true;
    }
    if (!vmstate_vbuffer_len(f, opaque, &len)) {
        return too_big(SIZE_MAX, errp);
    }
    return prepare_target(p, f, len, errp) && stream_get_bytes(r->stream, *p, len, errp);
}
