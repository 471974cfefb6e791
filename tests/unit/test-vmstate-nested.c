/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device state that nests: lists, trees, byte arrays, objects made on the fly, subsections and
 * their look-ahead, the order of all hooks, the later phases.
 */
#include "vmstate-helpers.h"

#include "error.h"

typedef struct Item {
    uint16_t v;
} Item;

static const VMStateDescription vmstate_item = {
    .name = "item",
    .version_id = 1,
    .fields = (const VMStateField[]){VMSTATE_UINT16(v, Item), VMSTATE_END},
};

typedef struct Containers {
    GPtrArray *list;
    GTree *tree;
    GByteArray *bytes;
} Containers;

static const VMStateDescription vmstate_containers = {
    .name = "containers",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_QLIST(list, Containers, 3, vmstate_item, Item),
        VMSTATE_GTREE(tree, Containers, 3, vmstate_item, Item),
        VMSTATE_GBYTEARRAY(bytes, Containers, 5), VMSTATE_END,
    },
};

static void containers_clear(Containers *c)
{
    g_clear_pointer(&c->list, g_ptr_array_unref);
    g_clear_pointer(&c->tree, g_tree_unref);
    g_clear_pointer(&c->bytes, g_byte_array_unref);
}

#define CONTAINERS "01 0001 01 0002 00" \
                   "00000002 01 0000000000000005 0003 01 0000000100000000 0004 00" \
                   "00000003 'xyz'"

static void test_containers(void)
{
    Containers c = {0}, empty = {0};
    uint64_t key = 1ull << 32;

    assert_saves(&vmstate_containers, &empty, "00 00000000 00 00000000");
    assert_loads(&vmstate_containers, &c, CONTAINERS);
    g_assert_cmpuint(c.list->len, ==, 2);
    g_assert_cmpuint(((Item *)g_tree_lookup(c.tree, &key))->v, ==, 4);
    g_assert_cmpuint(c.bytes->len, ==, 3);
    assert_saves(&vmstate_containers, &c, CONTAINERS);
    /* Again, into what is there now: replaced, not added to. */
    assert_loads(&vmstate_containers, &c, CONTAINERS);
    assert_saves(&vmstate_containers, &c, CONTAINERS);

    assert_refuses(&vmstate_containers, &c, "01 0001 02", "containers/list: element 1 begins with");
    assert_refuses(&vmstate_containers, &c, "01 0001 01 0001 01 0001 01 0001",
                   "containers/list: more than 3 elements");
    assert_refuses(&vmstate_containers, &c, "00 00000001 00", "1 nodes announced, 0 came");
    assert_refuses(&vmstate_containers, &c, "00 00000001 01 0000000000000005 0003 01 "
                   "0000000000000006 0003 00", "1 nodes announced, 2 came");
    assert_refuses(&vmstate_containers, &c, "00 00000002 01 0000000000000005 0003 01 "
                   "0000000000000005 0003 00", "key 0x5 comes twice");
    assert_refuses(&vmstate_containers, &c, "00 00000000 00 00000006",
                   "containers/bytes: 6 bytes announced, at most 5");
    assert_refuses(&vmstate_containers, &c, "00 00000000 00 00000004 'xyz'", "containers/bytes: ");
    containers_clear(&c);
}

typedef struct Reg80 {
    uint64_t mantissa;
    uint16_t sign_exponent;
} Reg80;

typedef struct Reg80Tmp {
    Reg80 *parent;
    uint32_t low, high;
    uint16_t exponent;
} Reg80Tmp;

static bool tmp_pre_save(void *opaque, GError **errp)
{
    Reg80Tmp *t = opaque;

    t->low = (uint32_t)t->parent->mantissa;
    t->high = (uint32_t)(t->parent->mantissa >> 32);
    t->exponent = t->parent->sign_exponent;
    return true;
}

static bool tmp_post_load(void *opaque, int version_id, GError **errp)
{
    Reg80Tmp *t = opaque;

    t->parent->mantissa = (uint64_t)t->high << 32 | t->low;
    t->parent->sign_exponent = t->exponent;
    return true;
}

static const VMStateDescription vmstate_reg80_tmp = {
    .name = "reg80_tmp",
    .pre_save = tmp_pre_save,
    .post_load = tmp_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(low, Reg80Tmp), VMSTATE_UINT32(high, Reg80Tmp),
        VMSTATE_UINT16(exponent, Reg80Tmp), VMSTATE_END,
    },
};

static const VMStateDescription vmstate_reg80 = {
    .name = "reg80",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_WITH_TMP(Reg80Tmp, vmstate_reg80_tmp), VMSTATE_END,
    },
};

static void test_tmp(void)
{
    Reg80 r = {0x1122334455667788, 0x99aa}, got = {0};

    assert_saves(&vmstate_reg80, &r, "55667788 11223344 99aa");
    assert_loads(&vmstate_reg80, &got, "55667788 11223344 99aa");
    g_assert_cmpuint(got.mantissa, ==, r.mantissa);
    g_assert_cmpuint(got.sign_exponent, ==, r.sign_exponent);
}

/* An outer object whose nested array may be followed by subsections of either. */
typedef struct Inner {
    uint8_t v, extra, deep;
    bool has_extra, has_deep;
} Inner;

typedef struct Outer {
    Inner inner[2];
    uint8_t last, more;
    bool has_more, has_sipi;
} Outer;

static bool deep_needed(void *opaque)
{
    return ((Inner *)opaque)->has_deep;
}

static bool extra_needed(void *opaque)
{
    return ((Inner *)opaque)->has_extra;
}

static bool more_needed(void *opaque)
{
    return ((Outer *)opaque)->has_more;
}

static bool sipi_needed(void *opaque)
{
    return ((Outer *)opaque)->has_sipi;
}

static const VMStateDescription vmstate_deep = {
    .name = "inner/extra/deep",
    .version_id = 1,
    .needed = deep_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT8(deep, Inner), VMSTATE_END},
};

static const VMStateDescription vmstate_extra = {
    .name = "inner/extra",
    .version_id = 2,
    .minimum_version_id = 1,
    .needed = extra_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT8(extra, Inner), VMSTATE_END},
    .subsections = (const VMStateDescription *const[]){&vmstate_deep, NULL},
};

static const VMStateDescription vmstate_inner = {
    .name = "inner",
    .version_id = 1,
    .fields = (const VMStateField[]){VMSTATE_UINT8(v, Inner), VMSTATE_END},
    .subsections = (const VMStateDescription *const[]){&vmstate_extra, NULL},
};

static const VMStateDescription vmstate_more = {
    .name = "outer/more",
    .version_id = 1,
    .needed = more_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT8(more, Outer), VMSTATE_END},
};

static const VMStateDescription vmstate_sipi = {
    .name = "outer_sipi", /* the parent's name without a slash after it, as apic_sipi has it */
    .version_id = 0,
    .needed = sipi_needed,
    .fields = (const VMStateField[]){VMSTATE_UNUSED(1), VMSTATE_END},
};

static const VMStateDescription vmstate_outer = {
    .name = "outer",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT_ARRAY(inner, Outer, 2, vmstate_inner, Inner), VMSTATE_END,
    },
    .subsections = (const VMStateDescription *const[]){&vmstate_more, &vmstate_sipi, NULL},
};

static const VMStateDescription vmstate_outer_tail = {
    .name = "outer",
    .version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT_ARRAY(inner, Outer, 2, vmstate_inner, Inner), VMSTATE_UINT8(last, Outer),
        VMSTATE_END,
    },
};

static void test_subsections(void)
{
    Outer o = {.inner = {{.v = 1, .extra = 2, .deep = 3, .has_extra = true, .has_deep = true},
                         {.v = 4}},
               .more = 5, .has_more = true, .has_sipi = true};
    Outer got = {0};
    static const char text[] = "01 05 0b 'inner/extra' 00000002 02"
                               "   05 10 'inner/extra/deep' 00000001 03"
                               "04 05 0a 'outer/more' 00000001 05 05 0a 'outer_sipi' 00000000 00";

    assert_saves(&vmstate_outer, &o, text);
    assert_loads(&vmstate_outer, &got, text);
    g_assert_cmpuint(got.inner[0].extra, ==, 2);
    g_assert_cmpuint(got.inner[0].deep, ==, 3);
    g_assert_cmpuint(got.inner[1].v, ==, 4);
    g_assert_cmpuint(got.more, ==, 5);
    /* Any order is fine. */
    assert_loads(&vmstate_outer, &got, "01 04 05 0a 'outer_sipi' 00000000 00"
                                       "05 0a 'outer/more' 00000001 06");
    g_assert_cmpuint(got.more, ==, 6);
    assert_refuses(&vmstate_outer, &got, "01 04 05 0a 'outer/less' 00000001 06",
                   "VM subsection 'outer/less' in 'outer' does not exist");
    assert_refuses(&vmstate_outer, &got, "01 05 0b 'inner/other' 00000001 06",
                   "VM subsection 'inner/other' in 'inner' does not exist");
    assert_refuses(&vmstate_outer, &got, "01 04 05 0a 'outer/more' 00000002 06",
                   "outer/more: incoming version_id 2 is too new for local version_id 1");
    assert_refuses(&vmstate_outer, &got, "01 05 0b 'inner/extra' 00000000 06",
                   "inner/extra: incoming version_id 0 is too old");
    assert_refuses(&vmstate_outer, &got, "01 05 0b 'inner/extra' ffffffff 06", "is too new");
    assert_refuses(&vmstate_outer, &got,
                   "01 04 05 0a 'outer/more' 00000001 06 05 0a 'outer/more' 00000001 06",
                   "'outer/more' in 'outer' comes twice");
}

/* 0x05 that is data, or that is another's: left where it is. */
static void test_lookahead(void)
{
    g_autoptr(GByteArray) bytes = NULL;
    Outer got = {0};

    assert_loads(&vmstate_outer_tail, &got, "01 02 05");
    g_assert_cmpuint(got.last, ==, 5);
    for (unsigned next = 0; next < 256; next++) {
        g_autofree char *text = g_strdup_printf("01 02 05 %02x 'innes/xxxxxxxxxx'", next);
        g_autoptr(GByteArray) b = unhex(text);

        got.last = 0;
        g_assert_cmpint(load_bytes(&vmstate_outer_tail, &got, 1, b, NULL), ==, 17);
        g_assert_cmpuint(got.last, ==, 5);
    }
    /* Behind the last field of a section: the loop around it sees the byte. */
    bytes = unhex("01 02 05 0a 'inner' 00");
    g_assert_cmpint(load_bytes(&vmstate_outer, &got, 1, bytes, NULL), ==, 8);
    g_byte_array_set_size(bytes, 2);
    g_assert_cmpint(load_bytes(&vmstate_outer, &got, 1, bytes, NULL), ==, 0);
}

/* ---- hooks ---- */

static GString *hook_log;
static const char *hook_fails;

static bool hook(const char *what, GError **errp)
{
    g_string_append_printf(hook_log, "%s ", what);
    return g_strcmp0(hook_fails, what) != 0 || gw_fail(errp, GW_ERROR_GENERIC, "%s failed", what);
}

typedef struct Child {
    uint8_t v;
} Child;

typedef struct Parent {
    Child child;
    uint8_t v;
} Parent;

#define HOOKS(NAME) \
    static bool NAME##_pre_save(void *o, GError **e) { return hook(#NAME ".pre_save", e); } \
    static void NAME##_post_save(void *o) { hook(#NAME ".post_save", NULL); } \
    static bool NAME##_pre_load(void *o, GError **e) { return hook(#NAME ".pre_load", e); } \
    static bool NAME##_post_load(void *o, int v, GError **e) \
    { return hook(#NAME ".post_load", e); } \
    static bool NAME##_apply(void *o, GError **e) { return hook(#NAME ".apply", e); } \
    static bool NAME##_post_commit(void *o, GError **e) { return hook(#NAME ".post_commit", e); }
#define USE_HOOKS(NAME) \
    .pre_save = NAME##_pre_save, .post_save = NAME##_post_save, .pre_load = NAME##_pre_load, \
    .post_load = NAME##_post_load, .apply = NAME##_apply, .post_commit = NAME##_post_commit

HOOKS(child)
HOOKS(sub)
HOOKS(parent)

static const VMStateDescription vmstate_child = {
    .name = "child", .version_id = 1, USE_HOOKS(child),
    .fields = (const VMStateField[]){VMSTATE_UINT8(v, Child), VMSTATE_END},
};

static const VMStateDescription vmstate_sub = {
    .name = "parent/sub", .version_id = 1, USE_HOOKS(sub),
    .fields = (const VMStateField[]){VMSTATE_UINT8(v, Parent), VMSTATE_END},
};

static const VMStateDescription vmstate_parent = {
    .name = "parent", .version_id = 1, USE_HOOKS(parent),
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(child, Parent, vmstate_child, Child), VMSTATE_END,
    },
    .subsections = (const VMStateDescription *const[]){&vmstate_sub, NULL},
};

#define PARENT "01 05 0a 'parent/sub' 00000001 02"

static void assert_log(const char *expected)
{
    g_assert_cmpstr(hook_log->str, ==, expected);
    g_string_truncate(hook_log, 0);
}

static void test_hook_order(void)
{
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    g_autoptr(GByteArray) bytes = unhex(PARENT);
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "test");
    Parent p = {{1}, 2};

    hook_log = g_string_new(NULL);
    assert_saves(&vmstate_parent, &p, PARENT);
    assert_log("parent.pre_save child.pre_save child.post_save sub.pre_save sub.post_save "
               "parent.post_save ");
    g_assert_true(vmstate_load(r, &vmstate_parent, &p, 1, loaded, NULL));
    assert_log("parent.pre_load child.pre_load child.post_load sub.pre_load sub.post_load "
               "parent.post_load ");
    g_assert_true(vmstate_apply(loaded, NULL));
    assert_log("child.apply sub.apply parent.apply ");
    g_assert_true(vmstate_post_commit(loaded, NULL));
    assert_log("child.post_commit sub.post_commit parent.post_commit ");
    g_string_free(hook_log, TRUE);
}

static void test_hook_errors(void)
{
    static const char *const load_hooks[][2] = {
        {"parent.pre_load", "parent: parent.pre_load failed"},
        {"child.pre_load", "parent/child: child: child.pre_load failed"},
        {"child.post_load", "parent/child: child: child.post_load failed"},
        {"sub.post_load", "Loading VM subsection 'parent/sub' in 'parent' failed: parent/sub: "},
        {"parent.post_load", "parent: parent.post_load failed"},
    };
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GError) err = NULL;
    Parent p = {{1}, 2};

    hook_log = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(load_hooks); i++) {
        hook_fails = load_hooks[i][0];
        assert_refuses(&vmstate_parent, &p, PARENT, load_hooks[i][1]);
    }
    g_string_truncate(hook_log, 0);
    hook_fails = "child.pre_save";
    g_assert_false(vmstate_save(w, &vmstate_parent, &p, NULL, &err));
    g_assert_nonnull(strstr(err->message, "parent/child: child: child.pre_save failed"));
    assert_log("parent.pre_save child.pre_save parent.post_save ");
    hook_fails = NULL;
    g_string_free(hook_log, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmstate/containers", test_containers);
    g_test_add_func("/vmstate/tmp", test_tmp);
    g_test_add_func("/vmstate/subsections", test_subsections);
    g_test_add_func("/vmstate/lookahead", test_lookahead);
    g_test_add_func("/vmstate/hook-order", test_hook_order);
    g_test_add_func("/vmstate/hook-errors", test_hook_errors);
    return g_test_run();
}
