/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * skip-zero-pages between two engines in one process. The target's memory is never empty here:
 * without the clearing, the agreement or the rule for postcopy these tests see the wrong bytes, or
 * a page that is waited for and never comes.
 */
#include "pair-fixture.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "migration/fault.h"
#include "dirty-bitmap.h"
#include "postcopy.h"
#include "ram-save.h"

#define PAGES 4096

typedef struct Pair {
    ToyMachine *src, *dst;
    uint64_t zeros; /* pages of the source that are zero */
} Pair;

static uint64_t *page_of(ToyMachine *m, size_t i)
{
    return (uint64_t *)(m->ram + i * GW_TARGET_PAGE_SIZE);
}

/* Of four pages one is data, one zero but touched, two untouched. */
static void fill_source(Pair *p)
{
    for (size_t i = 0; i < PAGES; i++) {
        if (i % 4 == 0) {
            for (size_t k = 0; k < GW_TARGET_PAGE_SIZE / 8; k++) {
                page_of(p->src, i)[k] = i * 31 + k + 1;
            }
        } else {
            p->zeros++;
            if (i % 4 == 1) {
                page_of(p->src, i)[7] = 1;
                page_of(p->src, i)[7] = 0;
            }
        }
    }
}

/* What firmware or a guest that was here before leaves: every eleventh page. Returns how many. */
static uint64_t litter(ToyMachine *m)
{
    uint64_t n = 0;

    for (size_t i = 0; i < PAGES; i += 11, n++) {
        page_of(m, i)[i % 512] = 0xbad;
    }
    return n;
}

static Pair pair_new(bool src_cap, bool dst_cap)
{
    Pair p = {.src = toy_machine_new(PAGES, false), .dst = toy_machine_new(PAGES, true)};

    toy_set_cap(p.src, MIGRATION_CAP_SKIP_ZERO_PAGES, src_cap);
    toy_set_cap(p.dst, MIGRATION_CAP_SKIP_ZERO_PAGES, dst_cap);
    toy_set_param(p.src, MIGRATION_PARAM_MAX_BANDWIDTH, 0);
    fill_source(&p);
    toy_start(p.src, NULL);
    return p;
}

static void pair_free(Pair *p)
{
    toy_machine_free(p->src);
    toy_machine_free(p->dst);
}

static GwAddress *address(const char *scheme)
{
    g_autofree char *uri = g_strdup_printf("%s:%s/godwit-skip-%d", scheme, g_get_tmp_dir(),
                                           getpid());

    return gw_address_parse_uri(uri, NULL);
}

static void start(Pair *p, const GwAddress *addr)
{
    GError *err = NULL;

    gw_incoming_start(p->dst->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migrate(p->src->ms, addr, false, &err);
    g_assert_no_error(err);
}

static void finish(Pair *p)
{
    gw_migration_wait(p->src->ms);
    gw_incoming_wait(p->dst->ms);
    g_assert_cmpint(toy_out_status(p->src, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(toy_in_status(p->dst, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(memcmp(p->src->ram, p->dst->ram, p->src->ram_size), ==, 0);
}

static void query(Pair *p, MigrationInfo *src, MigrationInfo *dst)
{
    gw_migration_query(p->src->ms, src);
    gw_incoming_query(p->dst->ms, dst);
    gw_migration_info_clear(src);
    gw_migration_info_clear(dst);
}

/* Over a socket the source asks; `return_path`: it is there anyhow. */
static void test_agree(gconstpointer return_path)
{
    Pair p = pair_new(true, true);
    const uint64_t littered = litter(p.dst);
    g_autoptr(GwAddress) addr = address("unix");
    MigrationInfo src, dst;

    toy_set_cap(p.src, MIGRATION_CAP_RETURN_PATH, return_path != NULL);
    start(&p, addr);
    finish(&p);
    query(&p, &src, &dst);
    g_assert_true(src.has_zero_target && src.zero_target_agreed && dst.has_zero_target);
    g_assert_cmpuint(src.ram.skipped_pages, ==, p.zeros);
    g_assert_cmpuint(src.ram.duplicate_pages, ==, 0);
    g_assert_cmpuint(src.ram.normal_pages, ==, PAGES - p.zeros);
    /* Nothing at all for a zero page: what is not pages is headers and the device. */
    g_assert_cmpuint(src.ram.transferred, <, src.ram.normal_pages * 4104 + 2000);
    g_assert_cmpuint(dst.zero_target.cleared_pages, ==, littered);
    g_assert_cmpuint(dst.zero_target.fresh_pages, >=, PAGES / 2); /* huge pages take in some */
    pair_free(&p);
}

static void expect_as_ever(Pair *p)
{
    MigrationInfo src, dst;

    query(p, &src, &dst);
    g_assert_false(src.zero_target_agreed || dst.has_zero_target);
    g_assert_cmpuint(src.ram.skipped_pages, ==, 0);
    g_assert_cmpuint(src.ram.duplicate_pages, ==, p->zeros);
}

/* A destination that does not want to gets zero pages as ever; so does one whose source does
 * not. */
static void test_one_side_only(gconstpointer source)
{
    Pair p = pair_new(source != NULL, source == NULL);
    g_autoptr(GwAddress) addr = address("unix");

    litter(p.dst);
    start(&p, addr);
    finish(&p);
    expect_as_ever(&p);
    pair_free(&p);
}

static void test_detection_none(void)
{
    Pair p = pair_new(true, true);
    g_autoptr(GwAddress) addr = address("unix");
    MigrationInfo src, dst;

    toy_set_param(p.src, MIGRATION_PARAM_ZERO_PAGE_DETECTION, ZERO_PAGE_DETECTION_NONE);
    litter(p.dst);
    start(&p, addr);
    finish(&p);
    query(&p, &src, &dst);
    g_assert_cmpuint(src.ram.skipped_pages + src.ram.duplicate_pages, ==, 0);
    g_assert_cmpuint(src.ram.normal_pages, ==, PAGES);
    pair_free(&p);
}

/* A file has no way back: the stream says it, and who loads it clears or refuses. */
static void test_file(gconstpointer willing)
{
    Pair p = pair_new(true, willing != NULL);
    const uint64_t littered = litter(p.dst);
    g_autoptr(GwAddress) addr = address("file");
    g_autofree char *error = NULL;
    MigrationInfo src, dst;
    GError *err = NULL;

    gw_migrate(p.src->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migration_wait(p.src->ms);
    gw_incoming_start(p.dst->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_incoming_wait(p.dst->ms);
    g_unlink(addr->path);
    if (willing) {
        finish(&p);
        query(&p, &src, &dst);
        g_assert_cmpuint(src.ram.skipped_pages, ==, p.zeros);
        g_assert_cmpuint(dst.zero_target.cleared_pages, ==, littered);
    } else {
        g_assert_cmpint(toy_in_status(p.dst, &error), ==, MIGRATION_STATUS_FAILED);
        g_assert_nonnull(strstr(error, "skip-zero-pages is off here"));
    }
    pair_free(&p);
}

static uint64_t skipped(Pair *p)
{
    MigrationInfo src, dst;

    query(p, &src, &dst);
    return src.ram.skipped_pages;
}

/* The first attempt ends half way; what it left must not show through in the second. */
static void test_restored_into_twice(void)
{
    Pair p = pair_new(true, true);
    g_autoptr(GwAddress) addr = address("unix");
    MigrationInfo src, dst;

    for (size_t i = 0; i < PAGES; i++) {
        page_of(p.src, i)[i % 512] = i + 1;
    }
    toy_set_param(p.src, MIGRATION_PARAM_MAX_BANDWIDTH, 32 << 20);
    start(&p, addr);
    do {
        query(&p, &src, &dst);
    } while (src.ram.normal_pages < 500);
    gw_migrate_cancel(p.src->ms, NULL);
    gw_migration_wait(p.src->ms);
    gw_incoming_wait(p.dst->ms);
    g_assert_cmpint(toy_in_status(p.dst, NULL), ==, MIGRATION_STATUS_FAILED);
    memset(p.src->ram, 0, p.src->ram_size);
    toy_set_param(p.src, MIGRATION_PARAM_MAX_BANDWIDTH, 0);
    start(&p, addr);
    finish(&p);
    query(&p, &src, &dst);
    g_assert_cmpuint(src.ram.skipped_pages, ==, PAGES);
    g_assert_cmpuint(dst.zero_target.cleared_pages, >, 100);
    pair_free(&p);
}

/* A guest that writes all the time, into pages that both threads that look for zeros have seen or
 * are about to see: whatever it wrote last is there in the end. */
static void test_guest_writes(void)
{
    const size_t pages = 8 * DIRTY_CHUNK_PAGES;
    Pair p = {.src = toy_machine_new(pages, false), .dst = toy_machine_new(pages, true)};
    g_autoptr(GwAddress) addr = address("unix");

    for (size_t i = 0; i < pages; i += 50) {
        page_of(p.src, i)[i % 512] = 1;
    }
    toy_set_cap(p.src, MIGRATION_CAP_SKIP_ZERO_PAGES, true);
    toy_set_cap(p.dst, MIGRATION_CAP_SKIP_ZERO_PAGES, true);
    toy_set_param(p.src, MIGRATION_PARAM_MAX_BANDWIDTH, 0);
    toy_guest_run(p.src, 5, 50);
    start(&p, addr);
    finish(&p);
    g_assert_cmpuint(skipped(&p), >, pages / 2);
    pair_free(&p);
}

static void wait_both(Pair *p, MigrationStatus s)
{
    while (toy_in_status(p->dst, NULL) != s || toy_out_status(p->src, NULL) != s) {
        g_usleep(500);
    }
}

static void wait_out(Pair *p, MigrationStatus s)
{
    while (toy_out_status(p->src, NULL) != s) {
        g_usleep(500);
    }
}

/* The received bitmap has the skipped pages: they are not sent after all. */
static void break_and_recover(Pair *p)
{
    g_autofree char *uri = g_strdup_printf("unix:%s/godwit-skip-again-%d", g_get_tmp_dir(),
                                           getpid());
    g_autoptr(GwAddress) addr = gw_address_parse_uri(uri, NULL);
    GError *err = NULL;

    wait_both(p, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    gw_migrate_pause(p->dst->ms, &err);
    g_assert_no_error(err);
    wait_both(p, MIGRATION_STATUS_POSTCOPY_PAUSED);
    gw_incoming_recover(p->dst->ms, addr, &err);
    g_assert_no_error(err);
    gw_migrate(p->src->ms, addr, true, &err);
    g_assert_no_error(err);
}

/* The switch to postcopy comes in the middle of the first pass. A page that was skipped reads as
 * zero at once, without a request; zero pages that were not reached yet are asked for and come. */
static void test_postcopy(gconstpointer preempt)
{
    g_autoptr(GwAddress) addr = address("unix");
    GError *err = NULL;
    void *fs = gw_fault_source_userfaultfd()->open(NULL, &err);
    uint64_t sum = 0, n;
    MigrationInfo src, dst;

    if (!fs) {
        g_test_skip(err->message);
        g_error_free(err);
        return;
    }
    gw_fault_source_userfaultfd()->close(fs);
    Pair p = pair_new(true, true);

    for (int i = 0; i < 2; i++) {
        ToyMachine *m = i ? p.dst : p.src;

        toy_set_cap(m, MIGRATION_CAP_POSTCOPY_RAM, true);
        toy_set_cap(m, MIGRATION_CAP_POSTCOPY_PREEMPT, preempt != NULL);
    }
    litter(p.dst);
    toy_set_param(p.src, MIGRATION_PARAM_DOWNTIME_LIMIT, 0);
    toy_set_param(p.src, MIGRATION_PARAM_MAX_BANDWIDTH, 1 << 19);
    toy_set_param(p.src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 10);
    start(&p, addr);
    while (skipped(&p) < 50) {
        g_usleep(500);
    }
    gw_migrate_start_postcopy(p.src->ms, NULL);
    while (toy_in_status(p.dst, NULL) != MIGRATION_STATUS_POSTCOPY_ACTIVE) {
        g_usleep(500);
    }
    wait_out(&p, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    g_assert_null(p.src->ms->ram_save->sweep); /* it would skip what somebody waits for */
    n = skipped(&p);
    g_assert_cmpuint(n, <, p.zeros);
    /* In order: the first pages were looked at, and those that are zero were skipped. */
    for (size_t i = 0, seen = 0; seen < n; i++) {
        if (i % 4) {
            sum += ((volatile uint64_t *)page_of(p.dst, i))[i % 512];
            seen++;
        }
    }
    g_assert_cmpuint(sum, ==, 0);
    g_assert_cmpuint(STAT_GET(p.dst->ms->postcopy_incoming->requests), ==, 0);
    /* The last page is zero and was not reached. */
    g_assert_cmpuint(((volatile uint64_t *)page_of(p.dst, PAGES - 1))[0], ==, 0);
    if (!preempt) {
        break_and_recover(&p);
    }
    toy_set_param(p.src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 0);
    finish(&p);
    query(&p, &src, &dst);
    g_assert_cmpuint(src.ram.skipped_pages, ==, n);
    /* What was on its way when the connection broke is sent again. */
    g_assert_cmpuint(src.ram.duplicate_pages, >=, p.zeros - n);
    g_assert_cmpuint(src.ram.duplicate_pages, <, p.zeros - n / 2);
    pair_free(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/skip-zero/agree", NULL, test_agree);
    g_test_add_data_func("/skip-zero/agree-return-path", "y", test_agree);
    g_test_add_data_func("/skip-zero/destination-only", NULL, test_one_side_only);
    g_test_add_data_func("/skip-zero/source-only", "y", test_one_side_only);
    g_test_add_func("/skip-zero/detection-none", test_detection_none);
    g_test_add_data_func("/skip-zero/file", "y", test_file);
    g_test_add_data_func("/skip-zero/file-refused", NULL, test_file);
    g_test_add_func("/skip-zero/twice", test_restored_into_twice);
    g_test_add_func("/skip-zero/guest-writes", test_guest_writes);
    g_test_add_data_func("/skip-zero/postcopy", NULL, test_postcopy);
    g_test_add_data_func("/skip-zero/postcopy-preempt", "y", test_postcopy);
    return g_test_run();
}
