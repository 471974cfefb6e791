/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The edges of the hand-over to postcopy, with a peer that the test plays by hand: a connection
 * that ends in the middle of the package leaves the guest at the source; a return path that has
 * ended makes nobody wait, a blocked write least of all; commands of a postcopy that come out of
 * turn end the load and no more.
 */
#include "postcopy-fixture.h"
#include "bits.h"
#include "postcopy-source.h"
#include "return-path.h"

#define PAGES 64

static ToyMachine *postcopy_source(bool preempt)
{
    ToyMachine *m = toy_machine_new(PAGES, false);

    toy_set_cap(m, MIGRATION_CAP_POSTCOPY_RAM, true);
    toy_set_cap(m, MIGRATION_CAP_POSTCOPY_PREEMPT, preempt);
    toy_set_param(m, MIGRATION_PARAM_DOWNTIME_LIMIT, 0);
    toy_guest_run(m, 5, 200);
    return m;
}

static void assert_stayed(ToyMachine *src)
{
    gw_migration_wait(src->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_FAILED);
    g_assert_true(toy_is_running(src));
    g_assert_null(strstr(src->statuses->str, "paused"));
}

static void read_bytes(GwChannel *ch, void *buf, size_t len)
{
    GError *err = NULL;

    gw_channel_read_all(ch, buf, len, &err);
    g_assert_no_error(err);
}

/* Starts a postcopy over a tiny pipe and reads up to the header of the package. */
static void read_to_package(ToyMachine *src, GwChannel **a, GwChannel **b)
{
    static const uint8_t packaged[] = {0x08, 0, MIG_CMD_PACKAGED, 0, 4};
    GError *err = NULL;
    size_t seen = 0;
    uint8_t byte;

    g_assert_true(gw_channel_mem_pair(64, a, b));
    gw_migrate_channel(src->ms, *a, &err);
    g_assert_no_error(err);
    gw_migrate_start_postcopy(src->ms, &err);
    g_assert_no_error(err);
    while (seen < sizeof(packaged)) {
        read_bytes(*b, &byte, 1);
        seen = byte == packaged[seen] ? seen + 1 : byte == packaged[0];
    }
}

/* The pipe is too small for the rest of it. */
static void test_half_a_package(void)
{
    ToyMachine *src = postcopy_source(false);
    g_autoptr(GwChannel) a = NULL, b = NULL;

    read_to_package(src, &a, &b);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_POSTCOPY_DEVICE);
    gw_channel_shutdown(b);
    assert_stayed(src);
    toy_machine_free(src);
}

/* The peer takes the package, reads no further than into the first pages, and then talks nonsense:
 * the write that waits for it ends, and it is the nonsense that is reported. */
static void test_blocked_write(void)
{
    ToyMachine *src = postcopy_source(false);
    g_autoptr(GwChannel) a = NULL, b = NULL;
    g_autofree uint8_t *package = NULL;
    g_autofree char *why = NULL;
    uint8_t len[4], kind, command[4], payload[64];

    read_to_package(src, &a, &b);
    read_bytes(b, len, sizeof(len));
    package = g_malloc(load_be32(len));
    read_bytes(b, package, load_be32(len));
    for (read_bytes(b, &kind, 1); kind == 0x08; read_bytes(b, &kind, 1)) {
        read_bytes(b, command, sizeof(command));
        g_assert_cmpuint(command[3], <=, sizeof(payload));
        read_bytes(b, payload, command[3]);
    }
    g_assert_true(gw_channel_write_all(b, "\xff\xff\xff\xff", 4, NULL));
    while (toy_out_status(src, NULL) != MIGRATION_STATUS_POSTCOPY_PAUSED) {
        g_usleep(500);
    }
    toy_out_status(src, &why);
    g_assert_nonnull(strstr(why, "return path: Received invalid message 0xffff"));
    g_assert_false(toy_is_running(src));
    toy_machine_free(src);
}

static gpointer drain(gpointer ch)
{
    uint8_t buf[4096];
    struct iovec iov = {buf, sizeof(buf)};

    while (gw_channel_readv(ch, &iov, 1, NULL) > 0) {
        iov = (struct iovec){buf, sizeof(buf)};
    }
    return NULL;
}

/* The peer says something that ends the return path, and never the PONG that preempt waits for. */
static void test_return_path_ended(void)
{
    ToyMachine *src = postcopy_source(true);
    g_autofree char *uri = g_strdup_printf("unix:%s/godwit-handover-%d", g_get_tmp_dir(), getpid());
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    GError *err = NULL;
    GwListener *l = gw_listener_new(addr, 4, NULL, NULL, &err);
    GwChannel *peer;
    GThread *reader;

    g_assert_no_error(err);
    gw_migrate(src->ms, addr, false, &err);
    g_assert_no_error(err);
    peer = gw_listener_accept(l, &err);
    g_assert_no_error(err);
    reader = g_thread_new("drain", drain, peer);
    g_assert_true(gw_channel_write_all(peer, "\xff\xff\xff\xff", 4, NULL));
    g_usleep(20000); /* too short at worst: then it ends while it is waited for */
    gw_migrate_start_postcopy(src->ms, &err);
    g_assert_no_error(err);
    assert_stayed(src);
    g_thread_join(reader);
    gw_channel_unref(peer);
    gw_listener_free(l);
    toy_machine_free(src);
}

static void test_out_of_turn(gconstpointer data)
{
    const uint16_t cmd = (uint16_t)GPOINTER_TO_UINT(data);
    ToyMachine *src = toy_machine_new(PAGES, false), *dst = toy_machine_new(PAGES, true);
    g_autoptr(GwChannel) a = NULL, b = NULL;
    g_autoptr(StreamWriter) w = NULL;
    g_autofree char *why = NULL;
    const char name[] = "\003ram";
    GError *err = NULL;

    if (postcopy_possible()) {
        toy_set_cap(dst, MIGRATION_CAP_POSTCOPY_RAM, true);
        g_assert_true(gw_channel_mem_pair(64 * 1024, &a, &b));
        gw_incoming_start_channel(dst->ms, b, false, &err);
        g_assert_no_error(err);
        w = stream_writer_new(a);
        savevm_put_header(src->ms, w);
        savevm_put_command(w, MIG_CMD_OPEN_RETURN_PATH, NULL, 0);
        postcopy_put_advise(src->ms, w);
        savevm_put_command(w, cmd, name, cmd == MIG_CMD_RECV_BITMAP ? 4 : 0);
        g_assert_true(stream_flush(w, NULL));
        gw_incoming_wait(dst->ms);
        g_assert_cmpint(toy_in_status(dst, &why), ==, MIGRATION_STATUS_FAILED);
        g_assert_nonnull(strstr(why, cmd == MIG_CMD_RECV_BITMAP     ? "RECV_BITMAP"
                                     : cmd == MIG_CMD_POSTCOPY_RUN    ? "POSTCOPY_RUN"
                                     : cmd == MIG_CMD_POSTCOPY_LISTEN ? "POSTCOPY_LISTEN"
                                                                      : "nothing was paused"));
    }
    toy_machine_free(src);
    toy_machine_free(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/handover/half-a-package", test_half_a_package);
    g_test_add_func("/handover/blocked-write", test_blocked_write);
    g_test_add_func("/handover/return-path-ended", test_return_path_ended);
    g_test_add_data_func("/handover/resume-out-of-turn",
                         GUINT_TO_POINTER(MIG_CMD_POSTCOPY_RESUME), test_out_of_turn);
    g_test_add_data_func("/handover/recv-bitmap-out-of-turn",
                         GUINT_TO_POINTER(MIG_CMD_RECV_BITMAP), test_out_of_turn);
    g_test_add_data_func("/handover/run-out-of-turn", GUINT_TO_POINTER(MIG_CMD_POSTCOPY_RUN),
                         test_out_of_turn);
    g_test_add_data_func("/handover/listen-out-of-turn",
                         GUINT_TO_POINTER(MIG_CMD_POSTCOPY_LISTEN), test_out_of_turn);
    return g_test_run();
}
