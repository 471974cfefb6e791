/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yank: ends a connection that hangs in every phase. Afterwards the guest runs on one side at most,
 * and waits for its user where neither side can know.
 */
#include "pair-fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "migration/fault.h"

#define PAGES 1024
#define RP_SHUT 1 /* the return path's message */

static void assert_yanked(ToyMachine *src)
{
    g_autofree char *error = NULL;

    gw_migration_wait(src->ms);
    g_assert_cmpint(toy_out_status(src, &error), ==, MIGRATION_STATUS_FAILED);
    g_assert_nonnull(strstr(error, "ended by yank"));
    g_assert_false(gw_migration_can_yank(src->ms));
}

static void wait_out(ToyMachine *m, MigrationStatus s)
{
    while (toy_out_status(m, NULL) != s) {
        g_usleep(500);
    }
}

static void test_nothing(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);

    g_assert_false(gw_migration_can_yank(src->ms));
    gw_migration_yank(src->ms);
    gw_migration_yank(dst->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_NONE);
    g_assert_cmpint(toy_in_status(dst, NULL), ==, MIGRATION_STATUS_NONE);
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* Nobody reads; after the yank the guest goes on, and a second try with a good peer works. */
static void test_precopy(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);
    g_autoptr(GwChannel) a = NULL, b = NULL, c = NULL, d = NULL;
    GError *err = NULL;

    memset(src->ram, 0x5a, src->ram_size);
    toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 0);
    toy_guest_run(src, 3, 500);
    g_assert_true(gw_channel_mem_pair(64 * 1024, &a, &b));
    gw_migrate_channel(src->ms, a, &err);
    g_assert_no_error(err);
    wait_out(src, MIGRATION_STATUS_ACTIVE);
    g_assert_true(gw_migration_can_yank(src->ms));
    gw_migration_yank(src->ms);
    assert_yanked(src);
    g_assert_cmpstr(src->statuses->str, ==, "setup active failing failed ");
    g_assert_true(toy_is_running(src));

    g_assert_true(gw_channel_mem_pair(64 * 1024, &c, &d));
    gw_incoming_start_channel(dst->ms, d, false, &err);
    g_assert_no_error(err);
    gw_migrate_channel(src->ms, c, &err);
    g_assert_no_error(err);
    gw_migration_wait(src->ms);
    gw_incoming_wait(dst->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_true(toy_is_running(dst));
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* A listener whose queue is full lets a further connect hang. */
static int full_listener(int *queued, char **uri)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&sa, len), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sa, &len), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    *queued = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(*queued, (struct sockaddr *)&sa, len), ==, 0);
    *uri = g_strdup_printf("tcp:127.0.0.1:%u", ntohs(sa.sin_port));
    return fd;
}

static void test_connecting(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    g_autofree char *uri = NULL;
    int queued, fd = full_listener(&queued, &uri);
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    GError *err = NULL;

    toy_start(src, NULL);
    gw_migrate(src->ms, addr, false, &err);
    g_assert_no_error(err);
    g_usleep(20000);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_SETUP);
    gw_migration_yank(src->ms);
    assert_yanked(src);
    g_assert_true(toy_is_running(src));
    close(queued);
    close(fd);
    toy_machine_free(src);
}

/* A network that forwards one direction; the other one is the test's to look at. */
typedef struct Relay {
    GwChannel *src_end, *src_far, *dst_end, *dst_far;
    GThread *thread;
} Relay;

static gpointer relay_thread(gpointer opaque)
{
    Relay *r = opaque;
    uint8_t buf[4096];
    ssize_t n;

    do {
        struct iovec iov = {buf, sizeof(buf)};

        n = gw_channel_readv(r->src_far, &iov, 1, NULL);
    } while (n > 0 && gw_channel_write_all(r->dst_far, buf, (size_t)n, NULL));
    gw_channel_shutdown(r->dst_far);
    return NULL;
}

static void relay_read_until_shut(Relay *r)
{
    uint8_t head[4], body[256];

    do {
        g_assert_true(gw_channel_read_all(r->dst_far, head, 4, NULL));
        g_assert_true(gw_channel_read_all(r->dst_far, body, head[3], NULL));
    } while (head[0] || head[1] != RP_SHUT);
}

static void relay_start(Relay *r, ToyMachine *src, ToyMachine *dst)
{
    GError *err = NULL;

    g_assert_true(gw_channel_mem_pair(64 * 1024, &r->src_end, &r->src_far));
    g_assert_true(gw_channel_mem_pair(64 * 1024, &r->dst_far, &r->dst_end));
    r->thread = g_thread_new("relay", relay_thread, r);
    toy_set_cap(src, MIGRATION_CAP_RETURN_PATH, true);
    toy_start(src, NULL);
    gw_incoming_start_channel(dst->ms, r->dst_end, false, &err);
    g_assert_no_error(err);
    gw_migrate_channel(src->ms, r->src_end, &err);
    g_assert_no_error(err);
    relay_read_until_shut(r); /* and keep it */
}

static void relay_free(Relay *r)
{
    g_thread_join(r->thread);
    gw_channel_unref(r->src_end);
    gw_channel_unref(r->src_far);
    gw_channel_unref(r->dst_end);
    gw_channel_unref(r->dst_far);
}

/* The destination has loaded everything and said so, but the source has not heard it: to the
 * destination a yank looks like the source's consent. */
static void test_source_at_the_end(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);
    Relay r;

    relay_start(&r, src, dst);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_DEVICE);
    gw_migration_yank(src->ms);
    assert_yanked(src);
    gw_incoming_wait(dst->ms);
    g_assert_true(toy_is_running(dst));
    g_assert_false(toy_is_running(src));
    g_assert_cmpstr(toy_run_state(src), ==, "paused");
    relay_free(&r);
    toy_machine_free(src);
    toy_machine_free(dst);
}

static void test_destination_at_the_end(void)
{
    ToyMachine *src = toy_machine_new(PAGES, false);
    ToyMachine *dst = toy_machine_new(PAGES, true);
    g_autofree char *error = NULL;
    Relay r;

    relay_start(&r, src, dst);
    g_assert_true(gw_migration_can_yank(dst->ms));
    gw_migration_yank(dst->ms);
    gw_incoming_wait(dst->ms);
    g_assert_cmpint(toy_in_status(dst, &error), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_nonnull(strstr(error, "ended by yank"));
    g_assert_false(toy_is_running(dst));
    g_assert_false(gw_migration_can_yank(dst->ms));
    gw_channel_shutdown(r.src_far);
    gw_migration_wait(src->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_FAILED);
    g_assert_true(toy_is_running(src));
    relay_free(&r);
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* ---- postcopy ---- */

static bool postcopy_possible(void)
{
    g_autoptr(GError) err = NULL;
    void *fs = gw_fault_source_userfaultfd()->open(NULL, &err);

    if (!fs) {
        g_test_skip(err->message);
        return false;
    }
    gw_fault_source_userfaultfd()->close(fs);
    return true;
}

static GwAddress *new_address(void)
{
    static int n;
    g_autofree char *uri = g_strdup_printf("unix:%s/godwit-yank-%d-%d", g_get_tmp_dir(), getpid(),
                                           n++);

    return gw_address_parse_uri(uri, NULL);
}

static void start_postcopy(ToyMachine *src, ToyMachine *dst, bool preempt)
{
    g_autoptr(GwAddress) addr = new_address();
    ToyMachine *both[] = {src, dst};
    GError *err = NULL;

    memset(src->ram, 0x5a, src->ram_size);
    for (int i = 0; i < 2; i++) {
        toy_set_cap(both[i], MIGRATION_CAP_POSTCOPY_RAM, true);
        toy_set_cap(both[i], MIGRATION_CAP_POSTCOPY_PREEMPT, preempt);
    }
    toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 1 << 20);
    toy_set_param(src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 1);
    toy_start(src, NULL);
    gw_incoming_start(dst->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migrate(src->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migrate_start_postcopy(src->ms, &err);
    g_assert_no_error(err);
}

static void wait_both(ToyMachine *src, ToyMachine *dst, MigrationStatus s)
{
    wait_out(src, s);
    while (toy_in_status(dst, NULL) != s) {
        g_usleep(500);
    }
}

/* Connects the source to something that never answers, and frees it from that. */
static void resume_into_nothing(ToyMachine *src)
{
    g_autofree char *uri = NULL;
    int queued, fd = full_listener(&queued, &uri);
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    GError *err = NULL;

    gw_migrate(src->ms, addr, true, &err);
    g_assert_no_error(err);
    wait_out(src, MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP);
    g_assert_true(gw_migration_can_yank(src->ms));
    gw_migration_yank(src->ms);
    wait_out(src, MIGRATION_STATUS_POSTCOPY_PAUSED);
    close(queued);
    close(fd);
}

static void test_postcopy(gconstpointer preempt)
{
    ToyMachine *src, *dst;
    GError *err = NULL;

    if (!postcopy_possible()) {
        return;
    }
    src = toy_machine_new(PAGES, false);
    dst = toy_machine_new(PAGES, true);
    start_postcopy(src, dst, preempt != NULL);
    for (int i = 0; i < 3; i++) {
        g_autoptr(GwAddress) addr = new_address();

        wait_both(src, dst, MIGRATION_STATUS_POSTCOPY_ACTIVE);
        gw_migration_yank(i % 2 ? src->ms : dst->ms);
        wait_both(src, dst, MIGRATION_STATUS_POSTCOPY_PAUSED);
        g_assert_false(gw_migration_can_yank(src->ms));
        g_assert_false(gw_migration_can_yank(dst->ms));
        resume_into_nothing(src);
        g_assert_false(toy_is_running(src));
        g_assert_true(toy_is_running(dst));
        gw_incoming_recover(dst->ms, addr, &err);
        g_assert_no_error(err);
        gw_migrate(src->ms, addr, true, &err);
        g_assert_no_error(err);
    }
    toy_set_param(src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 0);
    gw_migration_wait(src->ms);
    gw_incoming_wait(dst->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(toy_in_status(dst, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpmem(src->ram, src->ram_size, dst->ram, dst->ram_size);
    g_assert_false(toy_is_running(src));
    g_assert_cmpuint(dst->starts, ==, 1);
    toy_machine_free(src);
    toy_machine_free(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yank/nothing", test_nothing);
    g_test_add_func("/yank/precopy", test_precopy);
    g_test_add_func("/yank/connecting", test_connecting);
    g_test_add_func("/yank/source-at-the-end", test_source_at_the_end);
    g_test_add_func("/yank/destination-at-the-end", test_destination_at_the_end);
    g_test_add_data_func("/yank/postcopy", NULL, test_postcopy);
    g_test_add_data_func("/yank/postcopy-preempt", "preempt", test_postcopy);
    return g_test_run();
}
