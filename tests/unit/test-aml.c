/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The AML encoder: lengths at each border of their 1 to 4 bytes, numbers, identifiers, and what
 * can't be encoded is told with its name. What whole tables look like: test-acpi.c. */
#include <glib.h>
#include <string.h>

#include "aml.h"

static GBytes *finish(Aml *a)
{
    GError *err = NULL;
    GBytes *b = aml_finish(a, 1 << 20, &err);

    g_assert_no_error(err);
    return b;
}

/* A scope around `fill` names of 6 bytes, each an object of one byte. */
static void check_length(unsigned fill, const uint8_t *head, size_t head_len, size_t total)
{
    g_autoptr(Aml) a = aml_new();

    aml_begin_scope(a, "AB", true);
    for (unsigned i = 0; i < fill; i++) {
        aml_name_int(a, "X", 0);
    }
    aml_end(a);

    g_autoptr(GBytes) b = finish(a);
    gsize len;
    const uint8_t *p = g_bytes_get_data(b, &len);

    g_assert_cmpuint(len, ==, total);
    g_assert_cmpmem(p, head_len, head, head_len);
    g_assert_cmpmem(p + head_len, 5, "\\AB__", 5);
}

/* The length counts its own field and what follows: 5 bytes of name and 6 for each object. */
static void test_lengths(void)
{
    check_length(9, (const uint8_t[]){ 0x10, 60 }, 2, 61);
    check_length(10, (const uint8_t[]){ 0x10, 0x40 | (67 & 15), 67 >> 4 }, 3, 68);
    check_length(681, (const uint8_t[]){ 0x10, 0x4d, 0xff }, 3, 4094);         /* 4093 = 0xffd */
    check_length(682, (const uint8_t[]){ 0x10, 0x84, 0x00, 0x01 }, 4, 4101);   /* 4100 = 0x1004 */
    check_length(174761, (const uint8_t[]){ 0x10, 0x8e, 0xff, 0xff }, 4, 1048575);
}

static void test_integers(void)
{
    static const struct {
        uint64_t value;
        uint8_t bytes[9];
        unsigned len;
    } cases[] = {
        { 0, { 0 }, 1 },
        { 1, { 1 }, 1 },
        { 2, { 0x0a, 2 }, 2 },
        { 0xff, { 0x0a, 0xff }, 2 },
        { 0x100, { 0x0b, 0, 1 }, 3 },
        { 0x10000, { 0x0c, 0, 0, 1, 0 }, 5 },
        { UINT64_C(0x123456789a), { 0x0e, 0x9a, 0x78, 0x56, 0x34, 0x12, 0, 0, 0 }, 9 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Aml) a = aml_new();

        aml_name_int(a, "V", cases[i].value);

        g_autoptr(GBytes) b = finish(a);
        gsize len;
        const uint8_t *p = g_bytes_get_data(b, &len);

        g_assert_cmpmem(p, 5, "\x08V___", 5);
        g_assert_cmpmem(p + 5, len - 5, cases[i].bytes, cases[i].len);
    }
}

static void test_eisaid(void)
{
    g_autoptr(Aml) a = aml_new();

    aml_name_eisaid(a, "_HID", "PNP0501");

    g_autoptr(GBytes) b = finish(a);
    gsize len;
    const uint8_t *p = g_bytes_get_data(b, &len);

    g_assert_cmpmem(p, len, "\x08_HID\x0c\x41\xd0\x05\x01", 10);
}

static void bad_names(Aml *a)
{
    static const char *const names[] = { "", "ABCDE", "1AB", "ab", "A B" };

    aml_name_int(a, names[g_test_rand_int_range(0, G_N_ELEMENTS(names))], 1);
}

static void bad_eisaid(Aml *a)
{
    aml_name_eisaid(a, "_HID", "PNP05X1");
}

static void bad_ends(Aml *a)
{
    aml_end(a);
}

static void bad_open(Aml *a)
{
    aml_begin_device(a, "DEV");
}

static void bad_irq(Aml *a)
{
    aml_isa_irq(a, 16);
}

static void bad_args(Aml *a)
{
    aml_begin_method(a, "M", 8);
    aml_end(a);
}

static void bad_depth(Aml *a)
{
    for (unsigned i = 0; i < 1000; i++) {
        aml_begin_device(a, "DEV");
    }
    for (unsigned i = 0; i < 1000; i++) {
        aml_end(a);
    }
}

static void bad_size(Aml *a)
{
    for (unsigned i = 0; i < 20; i++) {
        aml_name_int(a, "X", i);
    }
}

static void test_bad(void)
{
    static const struct {
        void (*make)(Aml *a);
        const char *says;
    } cases[] = {
        { bad_names, "name" }, { bad_eisaid, "PNP05X1" }, { bad_ends, "once too often" },
        { bad_open, "not ended" }, { bad_irq, "ISA" }, { bad_args, "arguments" },
        { bad_depth, "deep" }, { bad_size, "more than 64" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Aml) a = aml_new();
        g_autoptr(GError) err = NULL;

        cases[i].make(a);

        GBytes *b = aml_finish(a, 64, &err);

        g_assert_null(b);
        g_assert_nonnull(strstr(err->message, cases[i].says));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/aml/lengths", test_lengths);
    g_test_add_func("/aml/integers", test_integers);
    g_test_add_func("/aml/eisaid", test_eisaid);
    g_test_add_func("/aml/bad", test_bad);
    return g_test_run();
}
