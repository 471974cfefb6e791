/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is sent: the header and its subsections byte by byte, sections in order with their footers,
 * commands, the compatibility switches, the description. Bytes are those of spec stream 1.2, 1.6.
 */
#include "toy-sections.h"
#include "vmstate-helpers.h"


static const uint8_t uuid[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

static void assert_bytes(StreamWriter *w, const char *expected)
{
    g_autoptr(GByteArray) want = unhex(expected), got = stream_writer_steal(w);
    g_autofree char *want_text = hex(want->data, want->len), *got_text = hex(got->data, got->len);

    g_assert_cmpstr(got_text, ==, want_text);
}

static void test_header(void)
{
    g_autoptr(Engine) none = engine_new("none", NULL);
    g_autoptr(Engine) named = engine_new("none", uuid);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    MigrationCapabilityChange change = {MIGRATION_CAP_VALIDATE_UUID, true};

    savevm_put_header(none->ms, w);
    assert_bytes(w, "51 45 56 4d 00 00 00 03 07 00 00 00 04 6e 6f 6e 65");
    savevm_put_header(named->ms, w);
    assert_bytes(w, "51 45 56 4d 00 00 00 03 07 00 00 00 04 6e 6f 6e 65");
    g_assert_true(gw_capabilities_set(named->ms, &change, 1, NULL));
    savevm_put_header(named->ms, w);
    assert_bytes(w, "5145564d 00000003 07 00000004 6e6f6e65 05 12"
                    "636f6e66696775726174696f6e2f75756964 00000001"
                    "00112233445566778899aabbccddeeff");
    g_assert_true(gw_capabilities_set(none->ms, &change, 1, NULL));
    savevm_put_header(none->ms, w);
    assert_bytes(w, "51 45 56 4d 00 00 00 03 07 00 00 00 04 6e 6f 6e 65");
    g_assert_true(gw_compat_set(none->ms, "send-configuration", false, NULL));
    savevm_put_header(none->ms, w);
    assert_bytes(w, "5145564d 00000003");
}

static void test_commands(void)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);

    savevm_put_command(w, 1, NULL, 0);
    savevm_put_command(w, 2, "\0\0\0\1", 4);
    assert_bytes(w, "08 0001 0000  08 0002 0004 00000001");
}

static void test_whole(void)
{
    g_autoptr(Engine) e = engine_new("none", NULL);
    g_autoptr(ToySections) t = toy_sections_new(e);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autofree char *vmdesc = NULL;
    uint64_t pending;
    bool done;

    toy_sections_fill(t);
    g_assert_true(savevm_state_setup(e->ms, w, NULL));
    assert_bytes(w, "01 00000001 06'chunks' 00000000 00000004  00000000  7e 00000001");
    g_assert_true(savevm_state_pending(e->ms, false, &pending, NULL) && pending == 20);
    g_assert_true(savevm_state_iterate(e->ms, w, 100, &done, NULL));
    g_assert_false(done);
    assert_bytes(w, "02 00000001  00000002 cccc  7e 00000001");
    g_assert_true(savevm_state_iterate(e->ms, w, 100, &done, NULL));
    g_assert_true(done);
    assert_bytes(w, "02 00000001  00000001 cc  7e 00000001");
    /* Nothing left: no empty round. */
    g_assert_true(savevm_state_iterate(e->ms, w, 100, &done, NULL));
    g_assert_true(done);
    assert_bytes(w, "");
    /* What goes on in postcopy has its END later, once. */
    g_assert_true(savevm_state_complete_iterable(e->ms, w, true, NULL));
    assert_bytes(w, "");
    g_assert_true(savevm_state_complete_iterable(e->ms, w, false, NULL));
    assert_bytes(w, "03 00000001  00000000  7e 00000001");
    g_assert_true(savevm_state_complete_iterable(e->ms, w, false, NULL));
    assert_bytes(w, "");
    g_assert_true(savevm_state_complete_devices(e->ms, w, NULL, NULL));
    assert_bytes(w, "04 00000003 05'timer' 00000000 00000002"
                    "   ffffffffffffffff 0000000000000000 1122334455667788  7e 00000003"
                    "04 00000002 03'toy' 00000000 00000003"
                    "   01 00000070 02 01 0002 03 0004 0003 'abc' 00000041"
                    "   0000000000000000 0000000000000001 01 05 0006 00 00000000 00"
                    "   00000002 'xy' 30 31 07 0008"
                    "   05 09'toy/extra' 00000001 0009  7e 00000002");
    savevm_put_vmdesc(w, "{}");
    assert_bytes(w, "06 00000002 '{}'");
    g_assert_cmpuint(t->chunks.cleanups, ==, 0);
    savevm_state_cleanup(e->ms);
    savevm_state_cleanup(e->ms);
    g_assert_cmpuint(t->chunks.setups, ==, 1);
    g_assert_cmpuint(t->chunks.cleanups, ==, 1);
}

static void test_no_footers(void)
{
    g_autoptr(Engine) e = engine_new("none", NULL);
    g_autoptr(ToySections) t = toy_sections_new(e);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);

    g_assert_true(gw_compat_set(e->ms, "send-section-footer", false, NULL));
    gw_vmstate_unregister(e->ms, &vmstate_toy_device, &t->toy);
    g_assert_true(savevm_state_setup(e->ms, w, NULL));
    g_assert_true(savevm_state_complete_devices(e->ms, w, NULL, NULL));
    assert_bytes(w, "01 00000001 06'chunks' 00000000 00000004 00000000"
                    "04 00000003 05'timer' 00000000 00000002"
                    "   0000000000000000 0000000000000000 0000000000000000");
}

static void test_errors(void)
{
    g_autoptr(Engine) e = engine_new("none", NULL);
    g_autoptr(ToySections) t = toy_sections_new(e);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GError) err = NULL;
    bool done;

    t->chunks.left = 1;
    t->chunks.fail = true;
    g_assert_false(savevm_state_iterate(e->ms, w, 100, &done, &err));
    g_assert_cmpstr(err->message, ==,
                    "Saving section 'chunks' instance 0 failed: chunks are out");
    g_clear_error(&err);
    t->toy.n = 5;
    g_assert_false(savevm_state_complete_devices(e->ms, w, NULL, &err));
    g_assert_nonnull(strstr(err->message, "'toy' instance 0 failed: toy/items: "));
}

static void test_registry(void)
{
    g_autoptr(Engine) e = engine_new("none", NULL);
    SaveRegistry *reg = &e->ms->registry;
    g_autofree char *longer = g_strnfill(256, 'x');
    g_autoptr(GError) err = NULL;
    ToyTimer timer[3];
    static const uint32_t order[] = {1, 5, 6, 0};

    g_assert_true(gw_vmstate_register(e->ms, "a", 0, &vmstate_toy_timer, &timer[0],
                                      MIGRATION_PRIORITY_LOW, NULL));
    g_assert_true(gw_vmstate_register(e->ms, "a", 1, &vmstate_toy_timer, &timer[1],
                                      MIGRATION_PRIORITY_APIC, NULL));
    g_assert_true(gw_vmstate_register(e->ms, "a", 5, &vmstate_toy_timer, &timer[2],
                                      MIGRATION_PRIORITY_DEFAULT, NULL));
    g_assert_true(gw_vmstate_register(e->ms, "a", VMSTATE_INSTANCE_ANY, &vmstate_toy_timer, NULL,
                                      MIGRATION_PRIORITY_DEFAULT, NULL));
    for (guint i = 0; i < reg->entries->len; i++) {
        SaveStateEntry *se = g_ptr_array_index(reg->entries, i);

        g_assert_cmpuint(se->instance_id, ==, order[i]);
    }
    g_assert_false(gw_vmstate_register(e->ms, "a", 5, &vmstate_toy_timer, NULL,
                                       MIGRATION_PRIORITY_DEFAULT, &err));
    g_assert_nonnull(strstr(err->message, "section 'a' instance 5 is registered already"));
    g_assert_false(gw_vmstate_register(e->ms, "", 0, &vmstate_toy_timer, NULL,
                                       MIGRATION_PRIORITY_DEFAULT, NULL));
    g_assert_false(gw_vmstate_register(e->ms, longer, 0, &vmstate_toy_timer, NULL,
                                       MIGRATION_PRIORITY_DEFAULT, NULL));
    gw_vmstate_unregister(e->ms, &vmstate_toy_timer, &timer[1]);
    g_assert_null(save_registry_find(reg, "a", 1));
    g_assert_nonnull(save_registry_find(reg, "a", 5));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/savevm/header", test_header);
    g_test_add_func("/savevm/commands", test_commands);
    g_test_add_func("/savevm/whole", test_whole);
    g_test_add_func("/savevm/no-footers", test_no_footers);
    g_test_add_func("/savevm/errors", test_errors);
    g_test_add_func("/savevm/registry", test_registry);
    return g_test_run();
}
