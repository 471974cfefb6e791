/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device state to and from hex text, for the tests of vmstate and of sections. */
#ifndef TESTS_VMSTATE_HELPERS_H
#define TESTS_VMSTATE_HELPERS_H

#include <string.h>

#include "vmstate-codec.h"

/* "05 0a 'ram' 00": pairs of digits, quoted text, spaces ignored. */
static inline GByteArray *unhex(const char *text)
{
    GByteArray *out = g_byte_array_new();

    while (*text) {
        if (*text == ' ') {
            text++;
        } else if (*text == '\'') {
            for (text++; *text != '\''; text++) {
                g_byte_array_append(out, (const guint8 *)text, 1);
            }
            text++;
        } else {
            guint8 b = (guint8)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));

            g_byte_array_append(out, &b, 1);
            text += 2;
        }
    }
    return out;
}

static inline char *hex(const guint8 *bytes, size_t len)
{
    GString *s = g_string_new(NULL);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x", bytes[i]);
    }
    return g_string_free(s, FALSE);
}

static inline void assert_saves(const VMStateDescription *vmsd, void *opaque, const char *expected)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) want = unhex(expected), got = NULL;
    g_autofree char *want_text = NULL, *got_text = NULL;
    GError *err = NULL;

    vmstate_save(w, vmsd, opaque, NULL, &err);
    g_assert_no_error(err);
    got = stream_writer_steal(w);
    want_text = hex(want->data, want->len);
    got_text = hex(got->data, got->len);
    g_assert_cmpstr(got_text, ==, want_text);
}

/* Loads; returns how many bytes were left over, or -1 with *errp. */
static inline gssize load_bytes(const VMStateDescription *vmsd, void *opaque, int version,
                                const GByteArray *bytes, GError **errp)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "test");
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    const guint8 *rest;

    if (!vmstate_load(r, vmsd, opaque, version, loaded, errp)) {
        return -1;
    }
    return (gssize)stream_buffered(r, &rest);
}

static inline void assert_loads_version(const VMStateDescription *vmsd, void *opaque, int version,
                                        const char *text)
{
    g_autoptr(GByteArray) bytes = unhex(text);
    GError *err = NULL;
    gssize left = load_bytes(vmsd, opaque, version, bytes, &err);

    g_assert_no_error(err);
    g_assert_cmpint(left, ==, 0);
}

static inline void assert_loads(const VMStateDescription *vmsd, void *opaque, const char *text)
{
    assert_loads_version(vmsd, opaque, vmsd->version_id, text);
}

static inline void assert_refuses_version(const VMStateDescription *vmsd, void *opaque,
                                          int version, const char *text, const char *message)
{
    g_autoptr(GByteArray) bytes = unhex(text);
    g_autoptr(GError) err = NULL;

    g_assert_cmpint(load_bytes(vmsd, opaque, version, bytes, &err), ==, -1);
    g_assert_nonnull(err);
    if (!strstr(err->message, message)) {
        g_error("'%s' does not say '%s'", err->message, message);
    }
}

static inline void assert_refuses(const VMStateDescription *vmsd, void *opaque, const char *text,
                                  const char *message)
{
    assert_refuses_version(vmsd, opaque, vmsd->version_id, text, message);
}

/* The JSON description of what it encodes to. */
static inline char *describe(const VMStateDescription *vmsd, void *opaque)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GArray) notes = vmstate_notes_new();
    GString *text = g_string_new("{");
    GError *err = NULL;

    vmstate_save(w, vmsd, opaque, notes, &err);
    g_assert_no_error(err);
    vmstate_describe(text, notes, 0);
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}

#endif
