/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Declarative device state: a VMStateDescription lists the fields of a struct, in wire order, and
 * serves to encode, to decode and to describe (the JSON after a precopy stream).
 * Wire: spec stream 1.4; docs/devel/migration/vmstate.
 *
 * Loading is three-phased (docs/devel/migration/device-load): `pre_load`, the fields and
 * `post_load` only decode and validate, without a side effect outside the device; `apply` makes the
 * memory-map edits and pushes state to the accelerator, inside the machine's transaction;
 * `post_commit` runs when the new map holds and is the first place that may translate guest
 * addresses. All hooks run with the machine lock held.
 */
#ifndef MIGRATION_VMSTATE_H
#define MIGRATION_VMSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef struct VMStateDescription VMStateDescription;
typedef struct VMStateField VMStateField;

typedef enum VMStateKind {
    VMS_BOOL,       /* bool <-> one byte */
    VMS_U8,
    VMS_U16,
    VMS_U32,
    VMS_U64,
    VMS_I8,         /* the signed kinds differ from the unsigned in the description only */
    VMS_I16,
    VMS_I32,
    VMS_I64,
    VMS_U8_EQUAL,   /* must equal the local value */
    VMS_U16_EQUAL,
    VMS_I32_EQUAL,
    VMS_U32_EQUAL,
    VMS_U64_EQUAL,
    VMS_I64_EQUAL,
    VMS_I32_LE,     /* 0 <= value <= local value; becomes the local value */
    VMS_TIMER,      /* int64_t expiry in ns, -1 not armed */
    VMS_CPUDOUBLE,  /* uint64_t image of a double */
    VMS_BUFFER,     /* `size` raw bytes */
    VMS_VBUFFER,    /* raw bytes at a pointer; the length is another field times `size` */
    VMS_UNUSED,     /* `size` zero bytes, ignored on load */
    VMS_BITMAP,     /* uint64_t words at a pointer; the number of bits is another field */
    VMS_STRUCT,     /* nested object described by `vmsd` */
    VMS_TMP,        /* object of `size` bytes made on the fly: first member is void *parent */
    VMS_QLIST,      /* GPtrArray * of objects described by `vmsd`, `size` bytes each */
    VMS_GTREE,      /* GTree *: uint64_t keys (boxed, uint64_t *), values described by `vmsd` */
    VMS_GBYTEARRAY, /* GByteArray * */
    VMS_VALIDATE,   /* nothing on the wire: `exists` must return true at load */
    VMS_CUSTOM,     /* put/get functions */
} VMStateKind;

typedef enum VMStateFieldFlags {
    VMS_F_POINTER = 1 << 0,       /* the member points to the (array of) elements */
    VMS_F_ARRAY = 1 << 1,         /* `num` elements */
    VMS_F_VARRAY = 1 << 2,        /* the element count is the member at num_offset */
    VMS_F_ARRAY_OF_POINTER = 1 << 3, /* each element is a pointer; NULL is the byte '0' */
    VMS_F_ALLOC = 1 << 4,         /* allocate the target (g_malloc) while loading */
    VMS_F_AUTO_ALLOC = 1 << 5,    /* array of pointers with a marker byte before every element */
    VMS_F_MUST_EXIST = 1 << 6,    /* `exists` false at load is an error (VMS_VALIDATE) */
    VMS_F_MULTIPLY = 1 << 7,      /* VBUFFER: length = count member * size */
} VMStateFieldFlags;

/* Stream ends as custom fields see them; bounds are checked inside. */
typedef struct VMStateWriter VMStateWriter;
typedef struct VMStateReader VMStateReader;
void vmstate_put_bytes(VMStateWriter *w, const void *buf, size_t len);
void vmstate_put_zeros(VMStateWriter *w, size_t len); /* not copied */
void vmstate_put_u8(VMStateWriter *w, uint8_t v);
void vmstate_put_be16(VMStateWriter *w, uint16_t v);
void vmstate_put_be32(VMStateWriter *w, uint32_t v);
void vmstate_put_be64(VMStateWriter *w, uint64_t v);
bool vmstate_skip(VMStateReader *r, size_t len, GError **errp);
bool vmstate_get_bytes(VMStateReader *r, void *buf, size_t len, GError **errp);
bool vmstate_get_u8(VMStateReader *r, uint8_t *v, GError **errp);
bool vmstate_get_be16(VMStateReader *r, uint16_t *v, GError **errp);
bool vmstate_get_be32(VMStateReader *r, uint32_t *v, GError **errp);
bool vmstate_get_be64(VMStateReader *r, uint64_t *v, GError **errp);

struct VMStateField {
    const char *name;      /* NULL ends a list */
    VMStateKind kind;
    uint32_t flags;        /* VMStateFieldFlags */
    size_t offset;         /* of the member */
    size_t size;           /* of one element, bytes */
    size_t num;            /* elements, with VMS_F_ARRAY */
    size_t num_offset;     /* of the count member (VARRAY, VBUFFER, BITMAP) */
    uint8_t num_size;      /* 1, 2, 4 or 8: width of the count member */
    size_t num_max;        /* largest count that a stream may claim; 0: what is allocated locally
                              (the count member's value before the load) */
    int version_id;        /* first version that has the field; 0: always */
    int struct_version_id; /* version at which a nested struct is encoded; 0: its own */
    bool (*exists)(void *opaque, int version_id); /* decides alone if given */
    const VMStateDescription *vmsd; /* STRUCT, TMP, QLIST, GTREE values */
    /* CUSTOM: `type` names it in the description, `size` is its wire size there. */
    const char *type;
    void (*put)(VMStateWriter *w, const void *member, const VMStateField *field);
    bool (*get)(VMStateReader *r, void *member, const VMStateField *field, GError **errp);
};

struct VMStateDescription {
    const char *name;
    int version_id;
    int minimum_version_id; /* 0: equal to version_id is NOT implied; give it */
    const VMStateField *fields; /* ended by VMSTATE_END */
    const VMStateDescription *const *subsections; /* NULL-terminated, may be NULL */
    bool (*needed)(void *opaque); /* emit the section or subsection at all; NULL: yes */
    bool (*pre_save)(void *opaque, GError **errp);
    void (*post_save)(void *opaque);
    bool (*pre_load)(void *opaque, GError **errp);
    bool (*post_load)(void *opaque, int version_id, GError **errp);
    bool (*apply)(void *opaque, GError **errp);
    bool (*post_commit)(void *opaque, GError **errp);
};

/* ---- field macros: F is the member, S the struct type ---- */

#define vmstate_type_check(S, F, T) \
    (offsetof(S, F) + 0 * sizeof((T *)0 == &((S *)0)->F))

#define VMSTATE_SCALAR(F, S, T, KIND, V) \
    { .name = #F, .kind = (KIND), .offset = vmstate_type_check(S, F, T), .size = sizeof(T), \
      .version_id = (V) }
#define VMSTATE_SCALAR_ARRAY(F, S, N, T, KIND, V) \
    { .name = #F, .kind = (KIND), .flags = VMS_F_ARRAY, .num = (N), .size = sizeof(T), \
      .offset = offsetof(S, F) + \
                0 * sizeof(char[sizeof(((S *)0)->F) == (N) * sizeof(T) ? 1 : -1]), \
      .version_id = (V) }

#define VMSTATE_BOOL(F, S) VMSTATE_SCALAR(F, S, bool, VMS_BOOL, 0)
#define VMSTATE_UINT8(F, S) VMSTATE_SCALAR(F, S, uint8_t, VMS_U8, 0)
#define VMSTATE_UINT16(F, S) VMSTATE_SCALAR(F, S, uint16_t, VMS_U16, 0)
#define VMSTATE_UINT32(F, S) VMSTATE_SCALAR(F, S, uint32_t, VMS_U32, 0)
#define VMSTATE_UINT64(F, S) VMSTATE_SCALAR(F, S, uint64_t, VMS_U64, 0)
#define VMSTATE_INT8(F, S) VMSTATE_SCALAR(F, S, int8_t, VMS_I8, 0)
#define VMSTATE_INT16(F, S) VMSTATE_SCALAR(F, S, int16_t, VMS_I16, 0)
#define VMSTATE_INT32(F, S) VMSTATE_SCALAR(F, S, int32_t, VMS_I32, 0)
#define VMSTATE_INT64(F, S) VMSTATE_SCALAR(F, S, int64_t, VMS_I64, 0)
#define VMSTATE_BOOL_V(F, S, V) VMSTATE_SCALAR(F, S, bool, VMS_BOOL, V)
#define VMSTATE_UINT8_V(F, S, V) VMSTATE_SCALAR(F, S, uint8_t, VMS_U8, V)
#define VMSTATE_UINT16_V(F, S, V) VMSTATE_SCALAR(F, S, uint16_t, VMS_U16, V)
#define VMSTATE_UINT32_V(F, S, V) VMSTATE_SCALAR(F, S, uint32_t, VMS_U32, V)
#define VMSTATE_UINT64_V(F, S, V) VMSTATE_SCALAR(F, S, uint64_t, VMS_U64, V)
#define VMSTATE_INT32_V(F, S, V) VMSTATE_SCALAR(F, S, int32_t, VMS_I32, V)
#define VMSTATE_INT64_V(F, S, V) VMSTATE_SCALAR(F, S, int64_t, VMS_I64, V)
#define VMSTATE_UINT8_EQUAL(F, S) VMSTATE_SCALAR(F, S, uint8_t, VMS_U8_EQUAL, 0)
#define VMSTATE_UINT16_EQUAL(F, S) VMSTATE_SCALAR(F, S, uint16_t, VMS_U16_EQUAL, 0)
#define VMSTATE_UINT32_EQUAL(F, S) VMSTATE_SCALAR(F, S, uint32_t, VMS_U32_EQUAL, 0)
#define VMSTATE_UINT64_EQUAL(F, S) VMSTATE_SCALAR(F, S, uint64_t, VMS_U64_EQUAL, 0)
#define VMSTATE_INT32_EQUAL(F, S) VMSTATE_SCALAR(F, S, int32_t, VMS_I32_EQUAL, 0)
#define VMSTATE_INT64_EQUAL(F, S) VMSTATE_SCALAR(F, S, int64_t, VMS_I64_EQUAL, 0)
#define VMSTATE_INT32_LE(F, S) VMSTATE_SCALAR(F, S, int32_t, VMS_I32_LE, 0)
#define VMSTATE_TIMER(F, S) VMSTATE_SCALAR(F, S, int64_t, VMS_TIMER, 0)
#define VMSTATE_CPUDOUBLE(F, S) VMSTATE_SCALAR(F, S, uint64_t, VMS_CPUDOUBLE, 0)
#define VMSTATE_UINT8_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, uint8_t, VMS_U8, 0)
#define VMSTATE_UINT16_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, uint16_t, VMS_U16, 0)
#define VMSTATE_UINT32_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, uint32_t, VMS_U32, 0)
#define VMSTATE_UINT64_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, uint64_t, VMS_U64, 0)
#define VMSTATE_UINT64_ARRAY_V(F, S, N, V) VMSTATE_SCALAR_ARRAY(F, S, N, uint64_t, VMS_U64, V)
#define VMSTATE_BUFFER(F, S) \
    { .name = #F, .kind = VMS_BUFFER, .offset = offsetof(S, F), .size = sizeof(((S *)0)->F) }
#define VMSTATE_UNUSED(N) { .name = "unused", .kind = VMS_UNUSED, .size = (N) }
#define VMSTATE_STRUCT(F, S, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .vmsd = &(VMSD), .offset = vmstate_type_check(S, F, T), \
      .size = sizeof(T) }
#define VMSTATE_STRUCT_V(F, S, VMSD, T, V) \
    { .name = #F, .kind = VMS_STRUCT, .vmsd = &(VMSD), .offset = vmstate_type_check(S, F, T), \
      .size = sizeof(T), .version_id = (V) }
#define VMSTATE_STRUCT_ARRAY(F, S, N, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_ARRAY, .num = (N), .vmsd = &(VMSD), \
      .offset = offsetof(S, F), .size = sizeof(T) }
#define VMSTATE_STRUCT_ARRAY_V(F, S, N, VMSD, T, V) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_ARRAY, .num = (N), .vmsd = &(VMSD), \
      .offset = offsetof(S, F), .size = sizeof(T), .version_id = (V) }
#define VMSTATE_STRUCT_POINTER(F, S, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_POINTER, .vmsd = &(VMSD), \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T) }
/* Further widths, arrays and versions. */
#define VMSTATE_INT8_V(F, S, V) VMSTATE_SCALAR(F, S, int8_t, VMS_I8, V)
#define VMSTATE_INT16_V(F, S, V) VMSTATE_SCALAR(F, S, int16_t, VMS_I16, V)
#define VMSTATE_TIMER_V(F, S, V) VMSTATE_SCALAR(F, S, int64_t, VMS_TIMER, V)
#define VMSTATE_BOOL_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, bool, VMS_BOOL, 0)
#define VMSTATE_INT8_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, int8_t, VMS_I8, 0)
#define VMSTATE_INT16_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, int16_t, VMS_I16, 0)
#define VMSTATE_INT32_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, int32_t, VMS_I32, 0)
#define VMSTATE_INT64_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, int64_t, VMS_I64, 0)
#define VMSTATE_TIMER_ARRAY(F, S, N) VMSTATE_SCALAR_ARRAY(F, S, N, int64_t, VMS_TIMER, 0)
#define VMSTATE_UINT8_ARRAY_V(F, S, N, V) VMSTATE_SCALAR_ARRAY(F, S, N, uint8_t, VMS_U8, V)
#define VMSTATE_UINT16_ARRAY_V(F, S, N, V) VMSTATE_SCALAR_ARRAY(F, S, N, uint16_t, VMS_U16, V)
#define VMSTATE_UINT32_ARRAY_V(F, S, N, V) VMSTATE_SCALAR_ARRAY(F, S, N, uint32_t, VMS_U32, V)

/* _TEST: bool TEST(void *opaque, int version_id) decides whether the field is there. */
#define VMSTATE_SCALAR_TEST(F, S, T, KIND, TEST) \
    { .name = #F, .kind = (KIND), .offset = vmstate_type_check(S, F, T), .size = sizeof(T), \
      .exists = (TEST) }
#define VMSTATE_BOOL_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, bool, VMS_BOOL, TEST)
#define VMSTATE_UINT8_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, uint8_t, VMS_U8, TEST)
#define VMSTATE_UINT16_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, uint16_t, VMS_U16, TEST)
#define VMSTATE_UINT32_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, uint32_t, VMS_U32, TEST)
#define VMSTATE_UINT64_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, uint64_t, VMS_U64, TEST)
#define VMSTATE_INT32_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, int32_t, VMS_I32, TEST)
#define VMSTATE_INT64_TEST(F, S, TEST) VMSTATE_SCALAR_TEST(F, S, int64_t, VMS_I64, TEST)

/* Raw bytes: a member of later versions, under a condition, or `LEN` of its bytes from START. */
#define VMSTATE_BUFFER_V(F, S, V) \
    { .name = #F, .kind = VMS_BUFFER, .offset = offsetof(S, F), .size = sizeof(((S *)0)->F), \
      .version_id = (V) }
#define VMSTATE_BUFFER_TEST(F, S, TEST) \
    { .name = #F, .kind = VMS_BUFFER, .offset = offsetof(S, F), .size = sizeof(((S *)0)->F), \
      .exists = (TEST) }
#define VMSTATE_BUFFER_PART(F, S, START, LEN) \
    { .name = #F, .kind = VMS_BUFFER, .size = (LEN), \
      .offset = offsetof(S, F) + (START) + \
                0 * sizeof(char[(START) + (LEN) <= sizeof(((S *)0)->F) ? 1 : -1]) }
#define VMSTATE_UNUSED_V(N, V) \
    { .name = "unused", .kind = VMS_UNUSED, .size = (N), .version_id = (V) }
#define VMSTATE_UNUSED_TEST(N, TEST) \
    { .name = "unused", .kind = VMS_UNUSED, .size = (N), .exists = (TEST) }

/* The member COUNT, transferred before or set up alike at both ends, says how much there is. */
#define VMSTATE_COUNT_(S, COUNT) \
    .num_offset = offsetof(S, COUNT), .num_size = sizeof(((S *)0)->COUNT)

/* Bytes at the pointer F: COUNT of them, or COUNT * UNIT. _ALLOC replaces the buffer while loading
 * (g_malloc); it may get MAX units at most. Without, what is there before the load is the bound. */
#define VMSTATE_VBUFFER(F, S, COUNT) \
    { .name = #F, .kind = VMS_VBUFFER, .offset = offsetof(S, F), .size = 1, \
      VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_VBUFFER_ALLOC(F, S, COUNT, MAX) \
    { .name = #F, .kind = VMS_VBUFFER, .flags = VMS_F_ALLOC, .offset = offsetof(S, F), .size = 1, \
      .num_max = (MAX), VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_VBUFFER_MULTIPLY(F, S, COUNT, UNIT) \
    { .name = #F, .kind = VMS_VBUFFER, .flags = VMS_F_MULTIPLY, .offset = offsetof(S, F), \
      .size = (UNIT), VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_VBUFFER_MULTIPLY_ALLOC(F, S, COUNT, UNIT, MAX) \
    { .name = #F, .kind = VMS_VBUFFER, .flags = VMS_F_MULTIPLY | VMS_F_ALLOC, \
      .offset = offsetof(S, F), .size = (UNIT), .num_max = (MAX), VMSTATE_COUNT_(S, COUNT) }
/* uint64_t words at the pointer F; COUNT is in bits. */
#define VMSTATE_BITMAP(F, S, COUNT) \
    { .name = #F, .kind = VMS_BITMAP, .offset = vmstate_type_check(S, F, uint64_t *), \
      .size = sizeof(uint64_t), VMSTATE_COUNT_(S, COUNT) }

/* Variable arrays: inside the struct (bounded by their size there), at a pointer (bounded by COUNT
 * before the load), or allocated while loading (bounded by MAX). */
#define VMSTATE_VARRAY(F, S, COUNT, T, KIND) \
    { .name = #F, .kind = (KIND), .flags = VMS_F_VARRAY, .offset = offsetof(S, F), \
      .size = sizeof(T), .num_max = sizeof(((S *)0)->F) / sizeof(T), VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_VARRAY_POINTER(F, S, COUNT, T, KIND) \
    { .name = #F, .kind = (KIND), .flags = VMS_F_VARRAY | VMS_F_POINTER, \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T), VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_VARRAY_ALLOC(F, S, COUNT, MAX, T, KIND) \
    { .name = #F, .kind = (KIND), .flags = VMS_F_VARRAY | VMS_F_POINTER | VMS_F_ALLOC, \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T), .num_max = (MAX), \
      VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_STRUCT_VARRAY(F, S, COUNT, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_VARRAY, .offset = offsetof(S, F), \
      .size = sizeof(T), .num_max = sizeof(((S *)0)->F) / sizeof(T), .vmsd = &(VMSD), \
      VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_STRUCT_VARRAY_POINTER(F, S, COUNT, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_VARRAY | VMS_F_POINTER, \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T), .vmsd = &(VMSD), \
      VMSTATE_COUNT_(S, COUNT) }
#define VMSTATE_STRUCT_VARRAY_ALLOC(F, S, COUNT, MAX, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_VARRAY | VMS_F_POINTER | VMS_F_ALLOC, \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T), .num_max = (MAX), \
      .vmsd = &(VMSD), VMSTATE_COUNT_(S, COUNT) }

/* Arrays of N pointers, inside the struct. Without AUTO_ALLOC both ends have the same NULLs. */
#define VMSTATE_ARRAY_OF_POINTER(F, S, N, T, KIND) \
    { .name = #F, .kind = (KIND), .flags = VMS_F_ARRAY | VMS_F_ARRAY_OF_POINTER, .num = (N), \
      .offset = offsetof(S, F), .size = sizeof(T) }
#define VMSTATE_ARRAY_OF_POINTER_TO_STRUCT(F, S, N, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_ARRAY | VMS_F_ARRAY_OF_POINTER, .num = (N), \
      .offset = offsetof(S, F), .size = sizeof(T), .vmsd = &(VMSD) }
#define VMSTATE_ARRAY_OF_POINTER_AUTO_ALLOC(F, S, N, T, KIND) \
    { .name = #F, .kind = (KIND), \
      .flags = VMS_F_ARRAY | VMS_F_ARRAY_OF_POINTER | VMS_F_AUTO_ALLOC, .num = (N), \
      .offset = offsetof(S, F), .size = sizeof(T) }
#define VMSTATE_ARRAY_OF_POINTER_TO_STRUCT_AUTO_ALLOC(F, S, N, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, \
      .flags = VMS_F_ARRAY | VMS_F_ARRAY_OF_POINTER | VMS_F_AUTO_ALLOC, .num = (N), \
      .offset = offsetof(S, F), .size = sizeof(T), .vmsd = &(VMSD) }

/* Nested objects: under a condition, at version SV of their description, at a pointer. */
#define VMSTATE_STRUCT_TEST(F, S, TEST, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .vmsd = &(VMSD), .offset = vmstate_type_check(S, F, T), \
      .size = sizeof(T), .exists = (TEST) }
#define VMSTATE_VSTRUCT(F, S, VMSD, T, SV) \
    { .name = #F, .kind = VMS_STRUCT, .vmsd = &(VMSD), .offset = vmstate_type_check(S, F, T), \
      .size = sizeof(T), .struct_version_id = (SV) }
#define VMSTATE_STRUCT_POINTER_V(F, S, VMSD, T, V) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_POINTER, .vmsd = &(VMSD), \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T), .version_id = (V) }
#define VMSTATE_STRUCT_POINTER_TEST(F, S, TEST, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_POINTER, .vmsd = &(VMSD), \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T), .exists = (TEST) }
#define VMSTATE_STRUCT_POINTER_ALLOC(F, S, VMSD, T) \
    { .name = #F, .kind = VMS_STRUCT, .flags = VMS_F_POINTER | VMS_F_ALLOC, .vmsd = &(VMSD), \
      .offset = vmstate_type_check(S, F, T *), .size = sizeof(T) }
/* A nested object of type T that lives only while it is encoded or decoded; its first member is
 * void *parent. pre_save fills it from the parent, post_load carries it over. */
#define VMSTATE_WITH_TMP(T, VMSD) \
    { .name = "tmp", .kind = VMS_TMP, .vmsd = &(VMSD), .size = sizeof(T) }

/* Containers. Loading replaces their elements: those of a list are freed by its free function,
 * new ones come from g_malloc0; a tree must free keys and values with g_free and compare uint64_t
 * keys. A NULL member gets such a container made. MAX 0 is 65536 elements, 16 MiB of bytes. */
#define VMSTATE_QLIST(F, S, MAX, VMSD, T) \
    { .name = #F, .kind = VMS_QLIST, .offset = vmstate_type_check(S, F, GPtrArray *), \
      .size = sizeof(T), .num_max = (MAX), .vmsd = &(VMSD) }
#define VMSTATE_GTREE(F, S, MAX, VMSD, T) \
    { .name = #F, .kind = VMS_GTREE, .offset = vmstate_type_check(S, F, GTree *), \
      .size = sizeof(T), .num_max = (MAX), .vmsd = &(VMSD) }
#define VMSTATE_GBYTEARRAY(F, S, MAX) \
    { .name = #F, .kind = VMS_GBYTEARRAY, .offset = vmstate_type_check(S, F, GByteArray *), \
      .size = 1, .num_max = (MAX) }

/* A field of its own making; TYPE is its name in the description. */
#define VMSTATE_CUSTOM(F, S, TYPE, PUT, GET) \
    { .name = #F, .kind = VMS_CUSTOM, .offset = offsetof(S, F), .size = sizeof(((S *)0)->F), \
      .type = (TYPE), .put = (PUT), .get = (GET) }

#define VMSTATE_VALIDATE(NAME, FN) \
    { .name = (NAME), .kind = VMS_VALIDATE, .flags = VMS_F_MUST_EXIST, .exists = (FN) }
#define VMSTATE_END { .name = NULL }

#endif
