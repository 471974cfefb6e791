/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postcopy between two engines in one process, with userfaultfd for real: a thread at the
 * destination touches every page while they arrive and compares each with the source, whose guest
 * is stopped by then.
 */
#include "postcopy-fixture.h"

#define PAGES 4096

typedef enum Walk { WALK_RANDOM, WALK_UP, WALK_DOWN, WALK_STRIDE } Walk;

typedef struct Reader {
    ToyMachine *src, *dst;
    Walk walk;
    uint64_t wrong;
} Reader;

static size_t step(const Reader *r, size_t i)
{
    switch (r->walk) {
    case WALK_RANDOM:
        return (i * 2654435761u) % PAGES; /* odd factor: every page once */
    case WALK_DOWN:
        return PAGES - 1 - i;
    case WALK_STRIDE:
        return (i * 16) % PAGES + (i * 16) / PAGES;
    default:
        return i;
    }
}

__attribute__((no_sanitize("thread"), noinline)) static bool same(const uint8_t *a,
                                                                 const uint8_t *b)
{
    for (size_t i = 0; i < GW_TARGET_PAGE_SIZE; i += 8) {
        if (*(volatile const uint64_t *)(a + i) != *(volatile const uint64_t *)(b + i)) {
            return false;
        }
    }
    return true;
}

static gpointer reader_thread(gpointer opaque)
{
    Reader *r = opaque;

    while (!toy_is_running(r->dst)) {
        g_usleep(100);
    }
    for (size_t i = 0; i < PAGES; i++) {
        const size_t at = step(r, i) * GW_TARGET_PAGE_SIZE;

        r->wrong += !same(r->dst->ram + at, r->src->ram + at);
    }
    return NULL;
}

static void fill(ToyMachine *m)
{
    for (size_t i = 0; i < PAGES; i++) {
        uint64_t *p = (uint64_t *)(m->ram + i * GW_TARGET_PAGE_SIZE);

        if (i % 5) { /* every fifth page stays zero */
            for (size_t k = 0; k < GW_TARGET_PAGE_SIZE / 8; k++) {
                p[k] = i * 31 + k;
            }
        }
    }
}

static void postcopy_caps(ToyMachine *m, bool preempt, bool hint, bool prefetch)
{
    toy_set_cap(m, MIGRATION_CAP_POSTCOPY_RAM, true);
    toy_set_cap(m, MIGRATION_CAP_POSTCOPY_PREEMPT, preempt);
    toy_set_cap(m, MIGRATION_CAP_POSTCOPY_PREEMPT_HINT, hint);
    toy_set_cap(m, MIGRATION_CAP_POSTCOPY_PREFETCH, prefetch);
}

typedef struct Case {
    bool preempt, hint, prefetch;
    Walk walk;
    unsigned rounds_us; /* let precopy run that long first */
} Case;

static void start_pair(ToyMachine *src, ToyMachine *dst, const Case *c)
{
    g_autofree char *uri = g_strdup_printf("unix:%s/godwit-postcopy-%d", g_get_tmp_dir(), getpid());
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    GError *err = NULL;

    toy_set_param(src, MIGRATION_PARAM_DOWNTIME_LIMIT, 0); /* precopy does not end by itself */
    postcopy_caps(src, c->preempt, c->hint, c->prefetch);
    postcopy_caps(dst, c->preempt, c->hint, c->prefetch);
    gw_incoming_start(dst->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migrate(src->ms, addr, false, &err);
    g_assert_no_error(err);
    g_usleep(c->rounds_us);
    gw_migrate_start_postcopy(src->ms, &err);
    g_assert_no_error(err);
}

static void test_postcopy(gconstpointer data)
{
    const Case *c = data;
    ToyMachine *src, *dst;
    Reader r = {.walk = c->walk};
    g_autofree char *src_error = NULL;
    g_autofree char *dst_error = NULL;
    GThread *reader;

    if (!postcopy_possible()) {
        return;
    }
    r.src = src = toy_machine_new(PAGES, false);
    r.dst = dst = toy_machine_new(PAGES, true);
    fill(src);
    src->dev.b = 99;
    toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 8 << 20); /* room for a slow machine */
    toy_guest_run(src, 42, 200);
    start_pair(src, dst, c);
    reader = g_thread_new("reader", reader_thread, &r);
    gw_migration_wait(src->ms);
    gw_incoming_wait(dst->ms);
    g_assert_cmpint(toy_out_status(src, &src_error), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(toy_in_status(dst, &dst_error), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpstr(src_error, ==, NULL);
    g_assert_cmpstr(dst_error, ==, NULL);
    g_thread_join(reader);
    g_assert_cmpuint(r.wrong, ==, 0);
    g_assert_cmpint(memcmp(&src->dev, &dst->dev, sizeof(src->dev)), ==, 0);
    g_assert_false(toy_is_running(src));
    g_assert_cmpuint(dst->starts, ==, 1);
    g_assert_cmpstr(src->state, ==, "postmigrate");
    g_assert_nonnull(strstr(src->statuses->str,
                            "device postcopy-device postcopy-active completed"));
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* migrate-pause breaks the connection; recovery goes on with what is missing, twice. */
static void test_recover(gconstpointer data)
{
    const Case *c = data;
    ToyMachine *src, *dst;
    Reader r = {.walk = c->walk};
    GThread *reader;
    GError *err = NULL;

    if (!postcopy_possible()) {
        return;
    }
    r.src = src = toy_machine_new(PAGES, false);
    r.dst = dst = toy_machine_new(PAGES, true);
    fill(src);
    toy_start(src, NULL);
    toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 1 << 20);
    toy_set_param(src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 1); /* it does not end by itself */
    start_pair(src, dst, c);
    while (toy_in_status(dst, NULL) != MIGRATION_STATUS_POSTCOPY_ACTIVE ||
           toy_out_status(src, NULL) != MIGRATION_STATUS_POSTCOPY_ACTIVE) {
        g_usleep(1000);
    }
    for (int i = 0; i < 2; i++) {
        g_autofree char *uri =
            g_strdup_printf("unix:%s/godwit-recover-%d-%d", g_get_tmp_dir(), getpid(), i);
        g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);

        g_assert_false(gw_incoming_recover(dst->ms, addr, &err));
        g_clear_error(&err);
        g_assert_false(gw_migrate(src->ms, addr, true, &err));
        g_clear_error(&err);
        gw_migrate_pause(i ? src->ms : dst->ms, &err);
        g_assert_no_error(err);
        while (toy_in_status(dst, NULL) != MIGRATION_STATUS_POSTCOPY_PAUSED ||
               toy_out_status(src, NULL) != MIGRATION_STATUS_POSTCOPY_PAUSED) {
            g_usleep(1000);
        }
        g_assert_false(gw_migrate_cancel(src->ms, &err));
        g_clear_error(&err);
        g_assert_false(toy_is_running(src));
        g_assert_true(toy_is_running(dst));
        gw_incoming_recover(dst->ms, addr, &err);
        g_assert_no_error(err);
        gw_migrate(src->ms, addr, true, &err);
        g_assert_no_error(err);
        while (toy_out_status(src, NULL) != MIGRATION_STATUS_POSTCOPY_ACTIVE) {
            g_usleep(1000);
        }
    }
    toy_set_param(src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 0);
    reader = g_thread_new("reader", reader_thread, &r);
    gw_migration_wait(src->ms);
    gw_incoming_wait(dst->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(toy_in_status(dst, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_thread_join(reader);
    g_assert_cmpuint(r.wrong, ==, 0);
    g_assert_cmpuint(dst->starts, ==, 1);
    g_assert_cmpuint(src->starts, ==, 1);
    toy_machine_free(src);
    toy_machine_free(dst);
}

int main(int argc, char **argv)
{
    static const Case cases[] = {
        {false, false, false, WALK_RANDOM, 0},
        {false, false, false, WALK_UP, 30000},
        {true, false, false, WALK_RANDOM, 0},
        {true, false, false, WALK_RANDOM, 50000},
        {true, true, false, WALK_UP, 0},
        {true, false, true, WALK_UP, 0},
        {true, true, true, WALK_DOWN, 0},
        {true, true, true, WALK_STRIDE, 20000},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_autofree char *name = g_strdup_printf(
            "/postcopy/%zu%s%s%s", i, c->preempt ? "-preempt" : "", c->hint ? "-hint" : "",
            c->prefetch ? "-prefetch" : "");

        g_test_add_data_func(name, c, test_postcopy);
    }
    g_test_add_data_func("/postcopy/recover", &cases[0], test_recover);
    g_test_add_data_func("/postcopy/recover-preempt", &cases[2], test_recover);
    return g_test_run();
}
