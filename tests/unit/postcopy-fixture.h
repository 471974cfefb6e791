/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests of the postcopy share: whether it is possible here, two toy machines with a
 * postcopy between them, its pause and its recovery. The test's thread.
 */
#ifndef TESTS_POSTCOPY_FIXTURE_H
#define TESTS_POSTCOPY_FIXTURE_H

#include "pair-fixture.h"

#include <unistd.h>

#include "migration/fault.h"

/* False, and the test is skipped, where userfaultfd is not allowed. */
static inline bool postcopy_possible(void)
{
    GError *err = NULL;
    void *fs = gw_fault_source_userfaultfd()->open(NULL, &err);

    if (!fs) {
        g_test_skip(err->message);
        g_error_free(err);
        return false;
    }
    gw_fault_source_userfaultfd()->close(fs);
    return true;
}

static inline GwAddress *postcopy_address(const char *what)
{
    g_autofree char *uri =
        g_strdup_printf("unix:%s/godwit-%s-%d", g_get_tmp_dir(), what, getpid());

    return gw_address_parse_uri(uri, NULL);
}

/* Begins a postcopy at once: precopy does not end by itself. */
static inline void postcopy_begin(ToyMachine *src, ToyMachine *dst)
{
    g_autoptr(GwAddress) addr = postcopy_address("postcopy");
    GError *err = NULL;

    toy_set_param(src, MIGRATION_PARAM_DOWNTIME_LIMIT, 0);
    toy_set_cap(src, MIGRATION_CAP_POSTCOPY_RAM, true);
    toy_set_cap(dst, MIGRATION_CAP_POSTCOPY_RAM, true);
    gw_incoming_start(dst->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migrate(src->ms, addr, false, &err);
    g_assert_no_error(err);
    gw_migrate_start_postcopy(src->ms, &err);
    g_assert_no_error(err);
}

static inline void postcopy_wait(ToyMachine *src, ToyMachine *dst, MigrationStatus s)
{
    while (toy_in_status(dst, NULL) != s || toy_out_status(src, NULL) != s) {
        g_usleep(500);
    }
}

/* Both are paused: a new connection. */
static inline void postcopy_recover(ToyMachine *src, ToyMachine *dst)
{
    g_autoptr(GwAddress) addr = postcopy_address("recover");
    GError *err = NULL;

    gw_incoming_recover(dst->ms, addr, &err);
    g_assert_no_error(err);
    gw_migrate(src->ms, addr, true, &err);
    g_assert_no_error(err);
}

/* To the end, which has to be a good one. */
static inline void postcopy_complete(ToyMachine *src, ToyMachine *dst)
{
    toy_set_param(src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 0);
    gw_migration_wait(src->ms);
    gw_incoming_wait(dst->ms);
    g_assert_cmpint(toy_out_status(src, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(toy_in_status(dst, NULL), ==, MIGRATION_STATUS_COMPLETED);
    g_assert_cmpint(memcmp(src->ram, dst->ram, src->ram_size), ==, 0);
    g_assert_cmpuint(dst->starts, ==, 1);
    g_assert_false(toy_is_running(src));
}

#endif
