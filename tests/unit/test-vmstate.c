/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device state: the leaf kinds, arrays and pointers, byte by byte in both directions; versions and
 * conditions; what is refused. Lists, trees and subsections: test-vmstate-nested.c.
 */
#include "vmstate-helpers.h"

#include "error.h"

typedef struct Scalars {
    bool b;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64, timer;
    uint64_t dbl;
    uint8_t raw[3];
} Scalars;

static const VMStateDescription vmstate_scalars = {
    .name = "scalars",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(b, Scalars), VMSTATE_UINT8(u8, Scalars), VMSTATE_UINT16(u16, Scalars),
        VMSTATE_UINT32(u32, Scalars), VMSTATE_UINT64(u64, Scalars), VMSTATE_INT8(i8, Scalars),
        VMSTATE_INT16(i16, Scalars), VMSTATE_INT32(i32, Scalars), VMSTATE_INT64(i64, Scalars),
        VMSTATE_TIMER(timer, Scalars), VMSTATE_CPUDOUBLE(dbl, Scalars),
        VMSTATE_BUFFER(raw, Scalars), VMSTATE_UNUSED(70), VMSTATE_END,
    },
};

#define ZEROS_70 "00000000000000000000000000000000000000000000000000000000000000000000000000" \
                 "000000000000000000000000000000000000000000000000000000000000000000"
#define SCALARS "01 12 1234 12345678 123456789abcdef0 fe fffe fffffffe fffffffffffffffe " \
                "ffffffffffffffff 400921fb54442d18 'abc' "

static void test_scalars(void)
{
    Scalars s = {true, 0x12, 0x1234, 0x12345678, 0x123456789abcdef0, -2, -2, -2, -2, -1,
                 0x400921fb54442d18, {'a', 'b', 'c'}};
    Scalars got = {0};
    g_autofree char *ones = g_strdup(ZEROS_70);

    assert_saves(&vmstate_scalars, &s, SCALARS ZEROS_70);
    for (char *p = ones; *p; p++) {
        *p = 'f'; /* what the unused bytes hold does not matter */
    }
    {
        g_autofree char *text = g_strconcat(SCALARS, ones, NULL);

        text[1] = '7'; /* any byte but 0 is true */
        assert_loads(&vmstate_scalars, &got, text);
    }
    g_assert_cmpint(got.i16, ==, -2);
    g_assert_cmpint(got.timer, ==, -1);
    assert_saves(&vmstate_scalars, &got, SCALARS ZEROS_70);
}

static void test_truncated(void)
{
    g_autoptr(GByteArray) bytes = unhex(SCALARS ZEROS_70);
    guint len = bytes->len;

    while (len--) {
        g_autoptr(GError) err = NULL;
        Scalars got = {0};

        g_byte_array_set_size(bytes, len);
        g_assert_cmpint(load_bytes(&vmstate_scalars, &got, 1, bytes, &err), ==, -1);
        g_assert_error(err, GW_ERROR, GW_ERROR_EOF);
        g_assert_true(g_str_has_prefix(err->message, "scalars/"));
    }
}

typedef struct Equal {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int32_t i32, le;
    int64_t i64;
} Equal;

static const VMStateDescription vmstate_equal = {
    .name = "equal",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8_EQUAL(u8, Equal), VMSTATE_UINT16_EQUAL(u16, Equal),
        VMSTATE_UINT32_EQUAL(u32, Equal), VMSTATE_UINT64_EQUAL(u64, Equal),
        VMSTATE_INT32_EQUAL(i32, Equal), VMSTATE_INT64_EQUAL(i64, Equal),
        VMSTATE_INT32_LE(le, Equal), VMSTATE_END,
    },
};

static void test_equal(void)
{
    Equal e = {1, 2, 3, 4, -5, 7, -6};
    g_autoptr(GByteArray) good = NULL;
    static const struct {
        guint at;
        const char *name;
    } fields[] = {{0, "u8"}, {2, "u16"}, {6, "u32"}, {14, "u64"}, {18, "i32"}, {26, "i64"},
                  {30, "le"}};

    assert_saves(&vmstate_equal, &e,
                 "01 0002 00000003 0000000000000004 fffffffb fffffffffffffffa 00000007");
    assert_loads(&vmstate_equal, &e,
                 "01 0002 00000003 0000000000000004 fffffffb fffffffffffffffa 00000003");
    g_assert_cmpint(e.le, ==, 3);
    good = unhex("01 0002 00000003 0000000000000004 fffffffb fffffffffffffffa 00000003");
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *path = g_strconcat("equal/", fields[i].name, ": ", NULL);
        g_autofree char *text = NULL;

        good->data[fields[i].at] ^= 0x40;
        text = hex(good->data, good->len);
        assert_refuses(&vmstate_equal, &e, text, path);
        good->data[fields[i].at] ^= 0x40;
    }
    assert_refuses(&vmstate_equal, &e,
                   "01 0002 00000003 0000000000000004 fffffffb fffffffffffffffa ffffffff",
                   "-1 is not between 0 and the local value 3");
}

typedef struct Pair {
    uint8_t x;
    uint16_t y;
} Pair;

static const VMStateDescription vmstate_pair = {
    .name = "pair",
    .version_id = 2,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(x, Pair), VMSTATE_UINT16_V(y, Pair, 2), VMSTATE_END,
    },
};

typedef struct Arrays {
    uint16_t fixed[2];
    Pair pairs[2];
    uint8_t n;
    uint16_t inline_n[4];
    uint16_t count;
    uint32_t *there;
    int32_t made_count;
    Pair *made;
    Pair *one;
    Pair *one_made;
    Pair nested_v1;
} Arrays;

static const VMStateDescription vmstate_arrays = {
    .name = "arrays",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16_ARRAY(fixed, Arrays, 2),
        VMSTATE_STRUCT_ARRAY(pairs, Arrays, 2, vmstate_pair, Pair),
        VMSTATE_UINT8(n, Arrays), VMSTATE_VARRAY(inline_n, Arrays, n, uint16_t, VMS_U16),
        VMSTATE_UINT16(count, Arrays),
        VMSTATE_VARRAY_POINTER(there, Arrays, count, uint32_t, VMS_U32),
        VMSTATE_INT32(made_count, Arrays),
        VMSTATE_STRUCT_VARRAY_ALLOC(made, Arrays, made_count, 3, vmstate_pair, Pair),
        VMSTATE_STRUCT_POINTER(one, Arrays, vmstate_pair, Pair),
        VMSTATE_STRUCT_POINTER_ALLOC(one_made, Arrays, vmstate_pair, Pair),
        VMSTATE_VSTRUCT(nested_v1, Arrays, vmstate_pair, Pair, 1), VMSTATE_END,
    },
};

#define ARRAYS "0001 0002  03 0004 05 0006  01 0007  0001 00000008  00000002 09 000a 0b 000c " \
               " 0d 000e  0f 0010  11"

static void test_arrays(void)
{
    uint32_t there[2] = {8, 99}, got_there[2] = {0};
    Pair made[2] = {{9, 10}, {11, 12}}, one = {13, 14}, one_made = {15, 16}, got_one = {0};
    Arrays a = {{1, 2}, {{3, 4}, {5, 6}}, 1, {7, 99}, 1, there, 2, made, &one, &one_made, {17, 99}};
    Arrays got = {.there = got_there, .count = 2, .one = &got_one};

    assert_saves(&vmstate_arrays, &a, ARRAYS);
    assert_loads(&vmstate_arrays, &got, ARRAYS);
    g_assert_cmpuint(got.pairs[1].y, ==, 6);
    g_assert_cmpuint(got_there[0], ==, 8);
    g_assert_cmpuint(got_there[1], ==, 0);
    g_assert_cmpuint(got.made[1].x, ==, 11);
    g_assert_cmpuint(got_one.y, ==, 14);
    g_assert_cmpuint(got.one_made->x, ==, 15);
    g_assert_cmpuint(got.nested_v1.x, ==, 17);
    g_assert_cmpuint(got.nested_v1.y, ==, 0);
    /* A second load replaces what the first one made. */
    assert_loads(&vmstate_arrays, &got, ARRAYS);

    assert_refuses(&vmstate_arrays, &got, "0001 0002 03 0004 05 0006 05", "arrays/inline_n: ");
    assert_refuses(&vmstate_arrays, &got, "0001 0002 03 0004 05 0006 00 0003",
                   "arrays/there: the stream claims 3 elements, room for 1");
    assert_refuses(&vmstate_arrays, &got, "0001 0002 03 0004 05 0006 00 0000 00000004",
                   "arrays/made: ");
    assert_refuses(&vmstate_arrays, &got, "0001 0002 03 0004 05 0006 00 0000 ffffffff",
                   "arrays/made: ");
    assert_refuses(&vmstate_arrays, &got, "0001 0002 03 0004 05 00",
                   "arrays/pairs: element 1: pair/y: test: stream ended");
    g_free(got.made);
    g_free(got.one_made);
}

typedef struct Slots {
    Pair *fixed[2];
    uint16_t *numbers[2];
    Pair *automatic[3];
} Slots;

static const VMStateDescription vmstate_slots = {
    .name = "slots",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_ARRAY_OF_POINTER_TO_STRUCT(fixed, Slots, 2, vmstate_pair, Pair),
        VMSTATE_ARRAY_OF_POINTER(numbers, Slots, 2, uint16_t, VMS_U16),
        VMSTATE_ARRAY_OF_POINTER_TO_STRUCT_AUTO_ALLOC(automatic, Slots, 3, vmstate_pair, Pair),
        VMSTATE_END,
    },
};

static void test_pointer_arrays(void)
{
    Pair p = {1, 2}, q = {3, 4}, got_p = {0};
    uint16_t v = 5, got_v = 0;
    Slots s = {{NULL, &p}, {&v, NULL}, {&q, NULL, &p}};
    Slots got = {{NULL, &got_p}, {&got_v, NULL}, {NULL, g_new0(Pair, 1), g_new0(Pair, 1)}};

    assert_saves(&vmstate_slots, &s, "30 010002  0005 30  31 030004 30 31 010002");
    assert_loads(&vmstate_slots, &got, "30 010002  0005 30  31 030004 30 31 010002");
    g_assert_cmpuint(got_p.y, ==, 2);
    g_assert_cmpuint(got_v, ==, 5);
    g_assert_cmpuint(got.automatic[0]->x, ==, 3);
    g_assert_null(got.automatic[1]);
    g_assert_cmpuint(got.automatic[2]->y, ==, 2);
    assert_refuses(&vmstate_slots, &got, "31 010002",
                   "slots/fixed: element 0: unexpected pointer marker 0x31");
    assert_refuses(&vmstate_slots, &got, "30 010002 0005 30 32",
                   "slots/automatic: element 0: unexpected pointer marker 0x32");
    g_free(got.automatic[0]);
    g_free(got.automatic[2]);
}

typedef struct Blob {
    uint32_t len;
    uint8_t *there;
    uint16_t units;
    uint8_t *made;
    uint32_t bits;
    uint64_t *map;
} Blob;

static const VMStateDescription vmstate_blob = {
    .name = "blob",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(len, Blob), VMSTATE_VBUFFER(there, Blob, len), VMSTATE_UINT16(units, Blob),
        VMSTATE_VBUFFER_MULTIPLY_ALLOC(made, Blob, units, 2, 4), VMSTATE_UINT32(bits, Blob),
        VMSTATE_BITMAP(map, Blob, bits), VMSTATE_END,
    },
};

static void test_variable(void)
{
    uint64_t map[2] = {1ull << 63 | 1, 2}, got_map[2] = {0};
    uint8_t three[3] = "abc", four[4] = "wxyz", got_three[3] = {0};
    Blob b = {3, three, 2, four, 66, map};
    Blob got = {3, got_three, 0, NULL, 128, got_map};

    assert_saves(&vmstate_blob, &b, "00000003 'abc' 0002 'wxyz' 00000042 8000000000000001"
                                    "0000000000000002");
    assert_loads(&vmstate_blob, &got, "00000003 'abc' 0002 'wxyz' 00000042 8000000000000001"
                                      "0000000000000002");
    g_assert_cmpmem(got_three, 3, "abc", 3);
    g_assert_cmpmem(got.made, 4, "wxyz", 4);
    g_assert_cmpmem(got_map, 16, map, 16);
    assert_refuses(&vmstate_blob, &got, "00000004 'abcd'", "blob/there: the stream claims 4");
    assert_refuses(&vmstate_blob, &got, "00000000 0005", "blob/made: the stream claims 5");
    got.bits = 128;
    assert_refuses(&vmstate_blob, &got, "00000000 0000 00000081",
                   "blob/map: the stream claims 129");
    g_free(got.made);
}

typedef struct Versions {
    uint8_t always, since2, since3, tested;
    bool ask;
} Versions;

static bool asked(void *opaque, int version_id)
{
    return ((Versions *)opaque)->ask;
}

static bool always_is_7(void *opaque, int version_id)
{
    return ((Versions *)opaque)->always == 7;
}

static const VMStateDescription vmstate_versions = {
    .name = "versions",
    .version_id = 3,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(always, Versions), VMSTATE_VALIDATE("always is 7", always_is_7),
        VMSTATE_UINT8_V(since2, Versions, 2), VMSTATE_UINT8_V(since3, Versions, 3),
        VMSTATE_UINT8_TEST(tested, Versions, asked), VMSTATE_END,
    },
};

static void test_versions(void)
{
    Versions v = {7, 2, 3, 4, true}, got = {0};

    assert_saves(&vmstate_versions, &v, "07 02 03 04");
    v.ask = false;
    assert_saves(&vmstate_versions, &v, "07 02 03");
    assert_loads(&vmstate_versions, &got, "07 02 03");
    g_assert_cmpuint(got.since3, ==, 3);
    got = (Versions){.since3 = 99, .ask = true};
    assert_loads_version(&vmstate_versions, &got, 2, "07 02 04");
    g_assert_cmpuint(got.since3, ==, 99);
    g_assert_cmpuint(got.tested, ==, 4);
    assert_refuses_version(&vmstate_versions, &got, 4, "",
                           "versions: incoming version_id 4 is too new for local version_id 3");
    assert_refuses_version(
        &vmstate_versions, &got, 1, "",
        "versions: incoming version_id 1 is too old for local minimum version_id 2");
    assert_refuses(&vmstate_versions, &got, "06", "Input validation failed: always is 7");
}

typedef struct Custom {
    uint8_t text[4];
} Custom;

static void put_reversed(VMStateWriter *w, const void *member, const VMStateField *field)
{
    for (size_t i = field->size; i > 0; i--) {
        vmstate_put_u8(w, ((const uint8_t *)member)[i - 1]);
    }
}

static bool get_reversed(VMStateReader *r, void *member, const VMStateField *field, GError **errp)
{
    for (size_t i = field->size; i > 0; i--) {
        if (!vmstate_get_u8(r, (uint8_t *)member + i - 1, errp)) {
            return false;
        }
    }
    return ((uint8_t *)member)[0] != 'Z' ||
           gw_fail(errp, GW_ERROR_PROTOCOL, "Z is not possible");
}

static const VMStateDescription vmstate_custom = {
    .name = "custom",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_CUSTOM(text, Custom, "reversed", put_reversed, get_reversed), VMSTATE_END,
    },
};

static void test_custom(void)
{
    Custom c = {{'a', 'b', 'c', 'd'}}, got = {{0}};

    assert_saves(&vmstate_custom, &c, "'dcba'");
    assert_loads(&vmstate_custom, &got, "'dcba'");
    g_assert_cmpmem(got.text, 4, "abcd", 4);
    assert_refuses(&vmstate_custom, &got, "'dcbZ'", "custom/text: Z is not possible");
}

static void test_save_errors(void)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GError) err = NULL;
    Blob b = {.len = 3};
    Arrays a = {.n = 5};

    g_assert_false(vmstate_save(w, &vmstate_blob, &b, NULL, &err));
    g_assert_nonnull(strstr(err->message, "blob/there: "));
    g_clear_error(&err);
    g_assert_false(vmstate_save(w, &vmstate_arrays, &a, NULL, &err));
    g_assert_nonnull(strstr(err->message, "arrays/inline_n: "));
    g_clear_error(&err);
    a.n = 0;
    g_assert_false(vmstate_save(w, &vmstate_arrays, &a, NULL, &err));
    g_assert_nonnull(strstr(err->message, "arrays/one: "));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmstate/scalars", test_scalars);
    g_test_add_func("/vmstate/truncated", test_truncated);
    g_test_add_func("/vmstate/equal", test_equal);
    g_test_add_func("/vmstate/arrays", test_arrays);
    g_test_add_func("/vmstate/pointer-arrays", test_pointer_arrays);
    g_test_add_func("/vmstate/variable", test_variable);
    g_test_add_func("/vmstate/versions", test_versions);
    g_test_add_func("/vmstate/custom", test_custom);
    g_test_add_func("/vmstate/save-errors", test_save_errors);
    return g_test_run();
}
