/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The option tables: names are unique, found by name, in range. */
#include "migration/options.h"

#include <string.h>

static void test_names(void)
{
    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        g_assert_cmpint(gw_capability_by_name(gw_capability_desc(i)->name), ==, i);
        g_assert_cmpuint(strlen(gw_capability_desc(i)->help), >, 10);
    }
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        g_assert_cmpint(gw_param_by_name(gw_param_desc(i)->name), ==, i);
        g_assert_cmpuint(strlen(gw_param_desc(i)->help), >, 10);
    }
    g_assert_cmpint(gw_capability_by_name("bogus"), ==, -1);
    g_assert_cmpint(gw_param_by_name("bogus"), ==, -1);
}

static void test_defaults_in_range(void)
{
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        const MigrationParamDesc *d = gw_param_desc(i);

        g_assert_cmpuint(d->def, >=, d->min);
        g_assert_cmpuint(d->def, <=, d->max);
        g_assert_true((d->type == PARAM_ENUM) == (d->words != NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/names", test_names);
    g_test_add_func("/options/defaults-in-range", test_defaults_in_range);
    return g_test_run();
}
