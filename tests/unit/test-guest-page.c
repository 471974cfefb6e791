/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test guest's own judgement: whatever goes wrong with a page in a migration, page_verify()
 * sees it and says what it is. Compiles the guest's page.c against an ordinary buffer. One thread.
 */
#include <string.h>

#include <glib.h>

#include "../guest/page.c"

#define PAGES 256
#define GENERATION 5

struct options options;
struct memory memory = { .pages = PAGES };
static uint64_t buffer[PAGES][PAGE_WORDS];

uint64_t *memory_page(uint64_t index)
{
    return buffer[index];
}

static void fill(uint64_t zero_percent, uint32_t generation)
{
    options.seed = 7;
    options.zero = zero_percent;
    for (uint64_t i = 0; i < PAGES; i++) {
        page_fill(i, generation);
    }
}

static uint64_t page_of_kind(bool zero)
{
    uint64_t i = 0;

    while (page_is_zero_kind(i) != zero) {
        i++;
    }
    return i;
}

static void test_untouched_pages_are_right(void)
{
    for (uint64_t zero = 0; zero <= 100; zero += 50) {
        for (uint32_t generation = 0; generation < 9; generation++) {
            fill(zero, generation);
            for (uint64_t i = 0; i < PAGES; i++) {
                g_assert_cmpint(page_verify(i, generation), ==, RIGHT);
            }
        }
    }
}

static void test_one_flipped_bit_anywhere_is_found(void)
{
    fill(50, GENERATION);
    for (uint64_t i = 0; i < PAGES; i += 5) {
        for (unsigned bit = 0; bit < PAGE_SIZE * 8; bit += 97) {
            buffer[i][bit / 64] ^= 1ull << bit % 64;
            g_assert_cmpint(page_verify(i, GENERATION), !=, RIGHT);
            buffer[i][bit / 64] ^= 1ull << bit % 64;
        }
        g_assert_cmpint(page_verify(i, GENERATION), ==, RIGHT);
    }
}

static void test_a_lost_page_is_zero(void)
{
    fill(0, GENERATION);
    memset(buffer[3], 0, PAGE_SIZE);
    g_assert_cmpint(page_verify(3, GENERATION), ==, WRONG_ZERO);
}

static void test_an_old_page_is_stale_and_a_later_one_newer(void)
{
    fill(0, GENERATION);
    page_fill(3, GENERATION - 1);
    g_assert_cmpint(page_verify(3, GENERATION), ==, WRONG_STALE);
    page_fill(3, GENERATION + 1);
    g_assert_cmpint(page_verify(3, GENERATION), ==, WRONG_NEWER);
}

static void test_another_page_is_misplaced(void)
{
    fill(0, GENERATION);
    memcpy(buffer[3], buffer[4], PAGE_SIZE);
    g_assert_cmpint(page_verify(3, GENERATION), ==, WRONG_PLACE);
}

static void test_a_page_of_another_guest_is_misplaced(void)
{
    fill(0, GENERATION);
    options.seed = 8;
    page_fill(3, GENERATION);
    options.seed = 7;
    g_assert_cmpint(page_verify(3, GENERATION), ==, WRONG_PLACE);
}

static void test_half_a_page_is_torn(void)
{
    uint64_t old[PAGE_WORDS];

    fill(0, GENERATION);
    memcpy(old, buffer[3], PAGE_SIZE);
    page_fill(3, GENERATION + 1);
    memcpy((char *)buffer[3] + PAGE_SIZE / 2, (char *)old + PAGE_SIZE / 2, PAGE_SIZE / 2);
    g_assert_cmpint(page_verify(3, GENERATION + 1), ==, WRONG_TORN);
}

static void test_a_page_that_became_zero_again_is_zero(void)
{
    uint64_t index;

    fill(50, 3);
    index = page_of_kind(true);
    g_assert_cmpint(page_verify(index, 3), ==, RIGHT);
    /* Generation 4 of this kind is all zero; the old content is stale. */
    g_assert_cmpint(page_verify(index, 4), ==, WRONG_STALE);
    page_fill(index, 4);
    g_assert_cmpint(page_verify(index, 4), ==, RIGHT);
}

static void test_junk_is_found(void)
{
    fill(0, GENERATION);
    memset(buffer[3], 0xa5, PAGE_SIZE);
    g_assert_cmpint(page_verify(3, GENERATION), ==, WRONG_OTHER);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-page/untouched", test_untouched_pages_are_right);
    g_test_add_func("/guest-page/flipped-bit", test_one_flipped_bit_anywhere_is_found);
    g_test_add_func("/guest-page/lost", test_a_lost_page_is_zero);
    g_test_add_func("/guest-page/stale-and-newer", test_an_old_page_is_stale_and_a_later_one_newer);
    g_test_add_func("/guest-page/misplaced", test_another_page_is_misplaced);
    g_test_add_func("/guest-page/other-guest", test_a_page_of_another_guest_is_misplaced);
    g_test_add_func("/guest-page/torn", test_half_a_page_is_torn);
    g_test_add_func("/guest-page/zero-again", test_a_page_that_became_zero_again_is_zero);
    g_test_add_func("/guest-page/junk", test_junk_is_found);
    return g_test_run();
}
