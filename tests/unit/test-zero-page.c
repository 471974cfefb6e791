/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every zero-page method that this CPU has agrees with the plain definition, for a set bit at every
 * byte of the page. */
#include "zero-page.h"

#include <string.h>

#include "migration/ram.h"

static uint8_t page[GW_TARGET_PAGE_SIZE] __attribute__((aligned(64)));

static void test_methods(void)
{
    unsigned n, usable = 0;
    g_autofree ZeroPageMethod *all = zero_page_methods(&n);

    for (unsigned i = 0; i < n; i++) {
        if (!all[i].usable) {
            g_test_message("%s: not on this CPU", all[i].name);
            continue;
        }
        usable++;
        g_test_message("%s", all[i].name);
        memset(page, 0, sizeof(page));
        g_assert_true(all[i].is_zero(page));
        for (size_t k = 0; k < sizeof(page); k++) {
            page[k] = (uint8_t)(1u << k % 8);
            g_assert_false(all[i].is_zero(page));
            page[k] = 0;
        }
        memset(page, 0xff, sizeof(page));
        g_assert_false(all[i].is_zero(page));
    }
    g_assert_cmpuint(usable, >=, 1);
}

static void test_best(void)
{
    ZeroPageFn best = zero_page_best();

    memset(page, 0, sizeof(page));
    g_assert_true(best(page));
    page[GW_TARGET_PAGE_SIZE - 1] = 1;
    g_assert_false(best(page));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zero-page/methods", test_methods);
    g_test_add_func("/zero-page/best", test_best);
    return g_test_run();
}
