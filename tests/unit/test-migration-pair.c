/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes moves from one engine to another in one process. */
#include "pair-fixture.h"

#define PAGES 2048

static void connect_pair(ToyMachine *src, ToyMachine *dst)
{
    g_autoptr(GwChannel) a = NULL;
    g_autoptr(GwChannel) b = NULL;
    GError *err = NULL;

    g_assert_true(gw_channel_mem_pair(256 * 1024, &a, &b));
    gw_incoming_start_channel(dst->ms, b, false, &err);
    g_assert_no_error(err);
    gw_migrate_channel(src->ms, a, &err);
    g_assert_no_error(err);
}

static void wait_both(ToyMachine *src, ToyMachine *dst)
{
    gw_migration_wait(src->ms);
    gw_incoming_wait(dst->ms);
}

static void assert_moved(ToyMachine *src, ToyMachine *dst)
{
    g_autofree char *src_error = NULL;
    g_autofree char *dst_error = NULL;
    MigrationInfo info;

    gw_migration_query(src->ms, &info);
    g_assert_cmpuint(info.ram.dirty_sync_count, ==, src->pass);
    gw_migration_info_clear(&info);
    g_assert_cmpint(toy_out_status(src, &src_error), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpstr(src_error, ==, NULL);
    g_assert_cmpint(toy_in_status(dst, &dst_error), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpstr(dst_error, ==, NULL);
    g_assert_cmpmem(src->ram, src->ram_size, dst->ram, dst->ram_size);
    g_assert_cmpint(memcmp(&src->dev, &dst->dev, sizeof(src->dev)), ==, 0);
    g_assert_cmpstr(src->state, ==, "postmigrate");
    g_assert_cmpstr(dst->state, ==, "running");
    g_assert_false(toy_is_running(src));
    g_assert_cmpuint(dst->starts, ==, 1);
}

static void test_move(gconstpointer return_path)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);

    src->dev = (ToyDevice){.a = 1, .b = 0x1122334455667788, .name = "godwit"};
    toy_set_cap(src, MIGRATION_CAP_RETURN_PATH, GPOINTER_TO_INT(return_path));
    toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 0);
    toy_guest_run(src, 42, 200);
    connect_pair(src, dst);
    wait_both(src, dst);
    assert_moved(src, dst);
    g_assert_cmpstr(src->statuses->str, ==, "setup active device completed ");
    g_assert_cmpstr(dst->in_statuses->str, ==, "setup active completed ");
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* pre-switchover: the guest is stopped, nothing is handed over, until somebody continues. */
static void test_pause_before_switchover(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);
    GError *err = NULL;

    toy_set_cap(src, MIGRATION_CAP_PAUSE_BEFORE_SWITCHOVER, true);
    toy_guest_run(src, 7, 500);
    g_assert_false(gw_migrate_continue(src->ms, MIGRATION_STATUS_PRE_SWITCHOVER, &err));
    g_assert_cmpstr(err->message, ==, "Migration not in expected state: none");
    g_clear_error(&err);
    connect_pair(src, dst);
    while (toy_out_status(src, NULL) != MIGRATION_STATUS_PRE_SWITCHOVER) {
        g_usleep(1000);
    }
    g_assert_false(toy_is_running(src));
    g_assert_cmpstr(toy_run_state(src), ==, "finish-migrate");
    g_assert_true(gw_migrate_continue(src->ms, MIGRATION_STATUS_PRE_SWITCHOVER, NULL));
    wait_both(src, dst);
    assert_moved(src, dst);
    g_assert_cmpstr(src->statuses->str, ==, "setup active pre-switchover device completed ");
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* A cancel frees a source whose peer reads nothing; the guest goes on and a second try succeeds. */
static void test_cancel_then_again(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);
    g_autoptr(GwChannel) a = NULL;
    g_autoptr(GwChannel) b = NULL;
    GError *err = NULL;

    memset(src->ram, 0x5a, src->ram_size);
    toy_guest_run(src, 3, 500);
    g_assert_true(gw_channel_mem_pair(64 * 1024, &a, &b));
    gw_migrate_channel(src->ms, a, &err);
    g_assert_no_error(err);
    while (toy_out_status(src, NULL) != MIGRATION_STATUS_ACTIVE) {
        g_usleep(1000);
    }
    g_assert_false(gw_migrate_channel(src->ms, a, &err));
    g_assert_cmpstr(err->message, ==, "There's a migration process in progress");
    g_clear_error(&err);
    g_assert_true(gw_migrate_cancel(src->ms, NULL));
    gw_migration_wait(src->ms);
    g_assert_cmpstr(src->statuses->str, ==, "setup active cancelling cancelled ");
    g_assert_true(toy_is_running(src));
    g_assert_true(gw_migrate_cancel(src->ms, NULL)); /* nothing runs: fine */

    connect_pair(src, dst);
    wait_both(src, dst);
    assert_moved(src, dst);
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* A destination that vanishes at any moment leaves the guest running at the source. */
static void test_peer_vanishes(void)
{
    for (unsigned kib = 0; kib < 9000; kib += 1500) {
        ToyMachine *src = toy_machine_new(PAGES, false);
        g_autoptr(GwChannel) a = NULL;
        g_autoptr(GwChannel) b = NULL;
        g_autofree char *error = NULL;
        g_autofree char *sink = g_malloc(1024);
        GError *err = NULL;

        memset(src->ram, 0x5a, src->ram_size);
        toy_set_cap(src, MIGRATION_CAP_RETURN_PATH, true);
        toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 0);
        toy_guest_run(src, kib, 500);
        g_assert_true(gw_channel_mem_pair(64 * 1024, &a, &b));
        gw_migrate_channel(src->ms, a, &err);
        g_assert_no_error(err);
        for (unsigned i = 0; i < kib && gw_channel_read_all(b, sink, 1024, NULL); i++) {
        }
        gw_channel_shutdown(b);
        gw_migration_wait(src->ms);
        g_assert_cmpint(toy_out_status(src, &error), ==, MIGRATION_STATUS_FAILED);
        g_assert_nonnull(error);
        g_assert_true(toy_is_running(src));
        g_assert_cmpstr(toy_run_state(src), ==, "running");
        toy_machine_free(src);
    }
}

/* A destination that says "loaded" and hangs up before it has read the description owns the guest:
 * the source's failing write changes nothing about that. */
static void test_description_is_not_wanted(void)
{
    static const uint8_t loaded[] = {0, 1, 0, 4, 0, 0, 0, 0}; /* SHUT 0 */
    ToyMachine *src = toy_machine_new(16, false);
    g_autoptr(GwChannel) a = NULL;
    g_autoptr(GwChannel) b = NULL;
    g_autofree char *error = NULL;
    GString *seen = g_string_new(NULL);
    GError *err = NULL;
    char c;

    toy_set_cap(src, MIGRATION_CAP_RETURN_PATH, true);
    g_assert_true(gw_channel_mem_pair(16, &a, &b)); /* most of the description is unwritten yet */
    gw_migrate_channel(src->ms, a, &err);
    g_assert_no_error(err);
    while (!g_str_has_suffix(seen->str, "{\"configuration\"") &&
           gw_channel_read_all(b, &c, 1, NULL)) {
        g_string_append_c(seen, c ? c : ' ');
    }
    g_assert_true(gw_channel_write_all(b, loaded, sizeof(loaded), NULL));
    gw_channel_shutdown(b);
    gw_migration_wait(src->ms);
    g_assert_cmpint(toy_out_status(src, &error), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_false(toy_is_running(src));
    g_assert_cmpstr(toy_run_state(src), ==, "postmigrate");
    g_string_free(seen, TRUE);
    toy_machine_free(src);
}

/* The destination refuses the device state: the source hears it and goes on, at once: the dirty log
 * ends after that. */
static void test_destination_refuses(void)
{
    static const VMStateField fields[] = {VMSTATE_UINT32(a, ToyDevice), VMSTATE_END};
    static const VMStateDescription newer = {
        .name = "extra", .version_id = 1, .minimum_version_id = 1, .fields = fields,
    };
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);
    g_autofree char *src_error = NULL;
    g_autofree char *dst_error = NULL;

    gw_vmstate_register(src->ms, NULL, 0, &newer, &src->dev, MIGRATION_PRIORITY_DEFAULT, NULL);
    toy_set_cap(src, MIGRATION_CAP_RETURN_PATH, true);
    toy_guest_run(src, 11, 500);
    connect_pair(src, dst);
    wait_both(src, dst);
    g_assert_cmpint(toy_out_status(src, &src_error), ==, MIGRATION_STATUS_FAILED);
    g_assert_cmpint(toy_in_status(dst, &dst_error), ==, MIGRATION_STATUS_FAILED);
    g_assert_nonnull(strstr(src_error, "Sibling indicated error 1"));
    g_assert_nonnull(strstr(dst_error, "extra"));
    g_assert_true(toy_is_running(src));
    g_assert_true(src->started_logged);
    g_assert_false(src->logging);
    g_assert_false(toy_is_running(dst));
    toy_machine_free(src);
    toy_machine_free(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/pair/move", GINT_TO_POINTER(false), test_move);
    g_test_add_data_func("/pair/move-with-return-path", GINT_TO_POINTER(true), test_move);
    g_test_add_func("/pair/pause-before-switchover", test_pause_before_switchover);
    g_test_add_func("/pair/cancel-then-again", test_cancel_then_again);
    g_test_add_func("/pair/peer-vanishes", test_peer_vanishes);
    g_test_add_func("/pair/description-is-not-wanted", test_description_is_not_wanted);
    g_test_add_func("/pair/destination-refuses", test_destination_refuses);
    return g_test_run();
}
