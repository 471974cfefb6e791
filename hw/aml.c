/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The AML encoder of aml.h: names, numbers, and objects whose length stands before them. Such an
 * object is collected in a buffer of its own and put into the one around it when it ends, since its
 * length field is 1 to 4 bytes long depending on the length. Resource descriptors: aml-resource.c.
 *
 * Numbers are ACPI specification 6.3's, 20.2. No state but the encoder's own; any thread.
 */
#include "aml-internal.h"

#include <string.h>

#include "error.h"

#define ROOT_CHAR '\\'
#define SEGMENT 4                /* characters of a name */
#define PKG_SHORT 63             /* the longest that one length byte tells */
#define PKG_BYTES 4              /* of length, at most */
#define SYSTEM_MEMORY 0
#define FIELD_DWORD_WRITE_ZEROS 0x43 /* access by 32 bits, no lock, what is not the field is 0 */
#define METHOD_SERIALIZED 8
#define METHOD_ARGS_MAX 7

enum {
    OP_ZERO = 0x00, OP_ONE = 0x01, OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b,
    OP_DWORD = 0x0c, OP_STRING = 0x0d, OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12, OP_METHOD = 0x14, OP_EXT = 0x5b, OP_LOCAL0 = 0x60, OP_STORE = 0x70,
    OP_AND = 0x7b, OP_NOTIFY = 0x86, OP_IF = 0xa0,
    EXT_REGION = 0x80, EXT_FIELD = 0x81, EXT_DEVICE = 0x82,
};

void aml_fail(Aml *a, const char *what, const char *name)
{
    if (!a->error) {
        a->error = g_strdup_printf("%s '%s'", what, name);
    }
}

static GByteArray *body(Aml *a)
{
    return a->frames[a->depth].body;
}

void aml_raw(Aml *a, const void *data, size_t len)
{
    g_byte_array_append(body(a), data, len);
}

void aml_le(Aml *a, uint64_t value, unsigned len)
{
    uint64_t le = GUINT64_TO_LE(value);

    aml_raw(a, &le, len);
}

static void byte(Aml *a, uint8_t b)
{
    aml_raw(a, &b, 1);
}

/* A name segment, filled up with underscores. */
static void segment(Aml *a, const char *name)
{
    char seg[SEGMENT] = { '_', '_', '_', '_' };
    size_t len = strlen(name);

    if (len < 1 || len > SEGMENT || g_ascii_isdigit(name[0]) ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != len) {
        aml_fail(a, "not an ACPI name:", name);
        return;
    }
    memcpy(seg, name, len);
    aml_raw(a, seg, sizeof(seg));
}

static void put_integer(GByteArray *to, uint64_t v)
{
    uint64_t le = GUINT64_TO_LE(v);
    unsigned len = v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
    uint8_t op = len == 1 ? OP_BYTE : len == 2 ? OP_WORD : len == 4 ? OP_DWORD : OP_QWORD;

    if (v <= 1) {
        op = v ? OP_ONE : OP_ZERO;
        len = 0;
    }
    g_byte_array_append(to, &op, 1);
    g_byte_array_append(to, (const uint8_t *)&le, len);
}

static void integer(Aml *a, uint64_t v)
{
    put_integer(body(a), v);
}

/* The largest length that so many bytes tell: 6 bits, or a nibble in the first and 8 in each. */
static size_t pkg_max(unsigned bytes)
{
    return bytes == 1 ? PKG_SHORT : ((size_t)16 << 8 * (bytes - 1)) - 1;
}

static void pkg_length(Aml *a, size_t len, bool counts_itself)
{
    unsigned bytes = 1;

    while (len + (counts_itself ? bytes : 0) > pkg_max(bytes)) {
        if (++bytes > PKG_BYTES) {
            aml_fail(a, "too long for AML:", "an object");
            return;
        }
    }
    len += counts_itself ? bytes : 0;
    if (bytes == 1) {
        byte(a, len);
        return;
    }
    byte(a, (bytes - 1) << 6 | (len & 15));
    aml_le(a, len >> 4, bytes - 1);
}

/* ---- objects that nest ---- */

static void begin(Aml *a, AmlKind kind, uint8_t op, bool ext)
{
    if (a->depth + 1 >= AML_DEPTH) {
        aml_fail(a, "nested too deep:", "AML object");
        a->lost++;
        return;
    }
    AmlFrame *f = &a->frames[++a->depth];

    f->kind = kind;
    f->op = op;
    f->ext = ext;
    f->body = g_byte_array_new();
}

void aml_begin_buffer(Aml *a)
{
    begin(a, AML_RESOURCES, OP_BUFFER, false);
}

void aml_begin_scope(Aml *a, const char *name, bool at_root)
{
    begin(a, AML_OBJECT, OP_SCOPE, false);
    if (at_root) {
        byte(a, ROOT_CHAR);
    }
    segment(a, name);
}

void aml_begin_device(Aml *a, const char *name)
{
    begin(a, AML_OBJECT, EXT_DEVICE, true);
    segment(a, name);
}

void aml_begin_method(Aml *a, const char *name, unsigned args)
{
    begin(a, AML_OBJECT, OP_METHOD, false);
    segment(a, name);
    if (args > METHOD_ARGS_MAX) {
        aml_fail(a, "too many arguments:", name);
    }
    byte(a, METHOD_SERIALIZED | (args & METHOD_ARGS_MAX));
}

void aml_begin_if_local0(Aml *a, uint32_t mask)
{
    begin(a, AML_OBJECT, OP_IF, false);
    byte(a, OP_AND);
    byte(a, OP_LOCAL0);
    integer(a, mask);
    byte(a, OP_ZERO); /* the result goes nowhere else */
}

void aml_end(Aml *a)
{
    if (a->lost) {
        a->lost--;
        return;
    }
    if (a->depth == 0) {
        aml_fail(a, "ended once too often:", "AML object");
        return;
    }
    AmlFrame f = a->frames[a->depth--];
    g_autoptr(GByteArray) head = g_byte_array_new();

    if (f.kind == AML_RESOURCES) {
        aml_resources_end(f.body);
        put_integer(head, f.body->len); /* a buffer tells its size as well */
    }
    if (f.ext) {
        byte(a, OP_EXT);
    }
    byte(a, f.op);
    pkg_length(a, head->len + f.body->len, true);
    aml_raw(a, head->data, head->len);
    aml_raw(a, f.body->data, f.body->len);
    g_byte_array_unref(f.body);
}

/* ---- named values ---- */

void aml_name(Aml *a, const char *name)
{
    byte(a, OP_NAME);
    segment(a, name);
}

void aml_name_int(Aml *a, const char *name, uint64_t value)
{
    aml_name(a, name);
    integer(a, value);
}

void aml_name_string(Aml *a, const char *name, const char *value)
{
    aml_name(a, name);
    byte(a, OP_STRING);
    aml_raw(a, value, strlen(value) + 1);
}

void aml_name_eisaid(Aml *a, const char *name, const char *id)
{
    unsigned v[7] = { 0 };
    bool ok = strlen(id) == 7;

    for (unsigned i = 0; ok && i < 7; i++) {
        ok = i < 3 ? g_ascii_isupper(id[i]) : g_ascii_isxdigit(id[i]);
        v[i] = i < 3 ? (unsigned)(id[i] - '@') : (unsigned)g_ascii_xdigit_value(id[i]);
    }
    if (!ok) {
        aml_fail(a, "not an EISA identifier:", id);
        return;
    }
    const uint8_t packed[] = { OP_DWORD, v[0] << 2 | v[1] >> 3, (v[1] & 7) << 5 | v[2],
                               v[3] << 4 | v[4], v[5] << 4 | v[6] };

    aml_name(a, name);
    aml_raw(a, packed, sizeof(packed));
}

void aml_name_package(Aml *a, const char *name, const uint8_t *values, uint8_t n)
{
    aml_name(a, name);
    begin(a, AML_OBJECT, OP_PACKAGE, false);
    byte(a, n);
    for (unsigned i = 0; i < n; i++) {
        integer(a, values[i]);
    }
    aml_end(a);
}

/* ---- registers and methods ---- */

void aml_memory_field32(Aml *a, const char *region, uint64_t gpa, const char *field)
{
    byte(a, OP_EXT);
    byte(a, EXT_REGION);
    segment(a, region);
    byte(a, SYSTEM_MEMORY);
    integer(a, gpa);
    integer(a, 4);
    begin(a, AML_OBJECT, EXT_FIELD, true);
    segment(a, region);
    byte(a, FIELD_DWORD_WRITE_ZEROS);
    segment(a, field);
    pkg_length(a, 32, false);
    aml_end(a);
}

void aml_store_local0(Aml *a, const char *from)
{
    byte(a, OP_STORE);
    segment(a, from);
    byte(a, OP_LOCAL0);
}

void aml_notify(Aml *a, const char *device, uint8_t value)
{
    byte(a, OP_NOTIFY);
    segment(a, device);
    integer(a, value);
}

/* ---- the whole ---- */

Aml *aml_new(void)
{
    Aml *a = g_new0(Aml, 1);

    a->frames[0].body = g_byte_array_new();
    return a;
}

void aml_free(Aml *a)
{
    if (!a) {
        return;
    }
    for (unsigned i = 0; i <= a->depth; i++) {
        g_byte_array_unref(a->frames[i].body);
    }
    g_free(a->error);
    g_free(a);
}

GBytes *aml_finish(Aml *a, size_t max, GError **errp)
{
    if (a->depth) {
        aml_fail(a, "not ended:", "AML object");
    }
    if (!a->error && body(a)->len > max) {
        a->error = g_strdup_printf("%u bytes of AML are more than %zu", body(a)->len, max);
    }
    if (a->error) {
        gw_fail(errp, GW_ERROR_GENERIC, "ACPI: %s", a->error);
        return NULL;
    }
    return g_bytes_new(body(a)->data, body(a)->len);
}
