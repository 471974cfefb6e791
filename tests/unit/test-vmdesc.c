/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The JSON description: its shape is that of spec stream 1.5 and of real descriptions, its sizes
 * are those of the wire.
 */
#include "toy-sections.h"
#include "vmstate-helpers.h"

#include <json.h>

static void test_timer_only(void)
{
    g_autoptr(Engine) e = engine_new("none", NULL);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(VMDesc) vmdesc = vmdesc_new();
    ToyTimer timer = {0};
    GString *text;

    g_assert_true(gw_vmstate_register(e->ms, NULL, 0, &vmstate_toy_timer, &timer,
                                      MIGRATION_PRIORITY_DEFAULT, NULL));
    g_assert_true(savevm_state_complete_devices(e->ms, w, vmdesc, NULL));
    text = vmdesc_text(e->ms, vmdesc);
    g_assert_cmpstr(text->str, ==,
                    "{\"configuration\":{\"vmsd_name\":\"configuration\",\"version\":1,\"fields\":["
                    "{\"name\":\"len\",\"type\":\"uint32\",\"size\":4},"
                    "{\"name\":\"name\",\"type\":\"buffer\",\"size\":4}]},"
                    "\"page_size\":4096,\"devices\":["
                    "{\"name\":\"timer\",\"instance_id\":0,\"vmsd_name\":\"timer\",\"version\":2,"
                    "\"fields\":[{\"name\":\"ticks\",\"type\":\"int64\",\"size\":8},"
                    "{\"name\":\"unused\",\"type\":\"unused_buffer\",\"size\":8},"
                    "{\"name\":\"clock\",\"type\":\"int64\",\"size\":8}]}]}");
    g_string_free(text, TRUE);
}

/* What the pause costs: a note of each field, none of an array's further leaves. */
static void test_notes(void)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GArray) notes = vmstate_notes_new();
    ToyTimer timer = {0};

    g_assert_true(vmstate_save(w, &vmstate_toy_timer, &timer, notes, NULL));
    g_assert_cmpuint(notes->len, ==, 1 + 3 * 2);
    g_assert_cmpuint(g_array_index(notes, VMStateNote, 0).span, ==, notes->len);
}

/* The names of devices are the user's. */
static void test_strings(void)
{
    GString *text = g_string_new(NULL);

    vmstate_describe_string(text, "a/b");
    vmstate_describe_string(text, "q\"\\\n");
    g_assert_cmpstr(text->str, ==, "\"a/b\"\"q\\\"\\\\\\n\"");
    g_string_free(text, TRUE);
}

typedef struct Desc {
    uint16_t regs[3];
    ToyItem alike[2];
    ToyItem *slots[3];
    uint8_t one[1];
    uint32_t old, now;
    bool has_sub;
} Desc;

typedef struct DescTmp {
    Desc *parent;
    uint64_t mantissa;
    uint16_t exponent;
} DescTmp;

static const VMStateDescription vmstate_desc_tmp = {
    .name = "desc_tmp",
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(mantissa, DescTmp), VMSTATE_UINT16(exponent, DescTmp), VMSTATE_END,
    },
};

static bool never(void *opaque, int version_id)
{
    return false;
}

static bool sub_needed(void *opaque)
{
    return ((Desc *)opaque)->has_sub;
}

static const VMStateDescription vmstate_desc_sub = {
    .name = "desc/sub",
    .version_id = 0,
    .needed = sub_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT32(old, Desc), VMSTATE_END},
};

static const VMStateDescription vmstate_desc = {
    .name = "desc",
    .version_id = 4,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16_ARRAY(regs, Desc, 3),
        VMSTATE_STRUCT_ARRAY(alike, Desc, 2, vmstate_toy_item, ToyItem),
        VMSTATE_ARRAY_OF_POINTER_TO_STRUCT(slots, Desc, 3, vmstate_toy_item, ToyItem),
        VMSTATE_UINT8_ARRAY(one, Desc, 1),
        /* The same name twice, one of them never sent: numbered all the same. */
        VMSTATE_UINT32_TEST(old, Desc, never), VMSTATE_UINT32(old, Desc),
        VMSTATE_WITH_TMP(DescTmp, vmstate_desc_tmp), VMSTATE_END,
    },
    .subsections = (const VMStateDescription *const[]){&vmstate_desc_sub, NULL},
};

#define ITEM "{\"vmsd_name\":\"toy_item\",\"version\":1,\"fields\":[" \
             "{\"name\":\"kind\",\"type\":\"uint8\",\"size\":1}," \
             "{\"name\":\"value\",\"type\":\"uint16\",\"size\":2}]}"

static void test_shapes(void)
{
    ToyItem item = {1, 2};
    Desc d = {.slots = {&item, NULL, &item}, .has_sub = true};
    g_autofree char *text = describe(&vmstate_desc, &d);

    g_assert_cmpstr(
        text, ==,
        "{\"vmsd_name\":\"desc\",\"version\":4,\"fields\":["
        "{\"name\":\"regs\",\"array_len\":3,\"type\":\"uint16\",\"size\":2},"
        "{\"name\":\"alike\",\"array_len\":2,\"type\":\"struct\",\"struct\":" ITEM ",\"size\":3},"
        "{\"name\":\"slots\",\"index\":0,\"type\":\"struct\",\"struct\":" ITEM ",\"size\":3},"
        "{\"name\":\"slots\",\"index\":1,\"type\":\"nullptr\",\"size\":1},"
        "{\"name\":\"slots\",\"index\":2,\"type\":\"struct\",\"struct\":" ITEM ",\"size\":3},"
        "{\"name\":\"one\",\"type\":\"uint8\",\"size\":1},"
        "{\"name\":\"old[1]\",\"type\":\"uint32\",\"size\":4},"
        "{\"name\":\"tmp\",\"type\":\"tmp\",\"vmsd_name\":\"desc_tmp\",\"version\":0,\"fields\":["
        "{\"name\":\"mantissa\",\"type\":\"uint64\",\"size\":8},"
        "{\"name\":\"exponent\",\"type\":\"uint16\",\"size\":2}],\"size\":10}],"
        "\"subsections\":[{\"vmsd_name\":\"desc/sub\",\"version\":0,\"fields\":["
        "{\"name\":\"old\",\"type\":\"uint32\",\"size\":4}]}]}");
}

static size_t sum(json_object *object)
{
    json_object *fields = json_object_object_get(object, "fields"), *subs = NULL, *n;
    size_t total = 0;

    for (size_t i = 0; i < json_object_array_length(fields); i++) {
        json_object *f = json_object_array_get_idx(fields, i);
        size_t times = json_object_object_get_ex(f, "array_len", &n) ? json_object_get_int64(n) : 1;

        total += times * json_object_get_int64(json_object_object_get(f, "size"));
    }
    if (json_object_object_get_ex(object, "subsections", &subs)) {
        for (size_t i = 0; i < json_object_array_length(subs); i++) {
            json_object *s = json_object_array_get_idx(subs, i);

            total += 6 + strlen(json_object_get_string(json_object_object_get(s, "vmsd_name")));
            total += sum(s);
        }
    }
    return total;
}

/* Adds up to what is on the wire, for all containers. */
static void test_sizes(void)
{
    g_autoptr(Engine) e = engine_new("none", NULL);
    g_autoptr(ToySections) t = toy_sections_new(e);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autofree char *text = NULL;
    json_object *desc;

    toy_sections_fill(t);
    g_assert_true(vmstate_save(w, &vmstate_toy_device, &t->toy, NULL, NULL));
    text = describe(&vmstate_toy_device, &t->toy);
    desc = json_tokener_parse(text);
    g_assert_cmpuint(sum(desc), ==, stream_written(w));
    json_object_put(desc);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmdesc/timer-only", test_timer_only);
    g_test_add_func("/vmdesc/shapes", test_shapes);
    g_test_add_func("/vmdesc/sizes", test_sizes);
    g_test_add_func("/vmdesc/notes", test_notes);
    g_test_add_func("/vmdesc/strings", test_strings);
    return g_test_run();
}
