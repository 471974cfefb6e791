/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The write-protection dirty log on every kind of memory: a write is reported exactly once, none is
 * lost while other threads write, untouched and merely read pages are never reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bits.h"
#include "dirty-pagemap.h"
#include "migration/error.h"

#define PAGE     4096UL
#define HUGE     (2UL << 20)
#define LEN      (4 * HUGE)
#define NPAGES   (LEN / PAGE)
#define PER_HUGE (HUGE / PAGE)

typedef struct Kind {
    const char *name;
    size_t page_size;
    int map_flags;
    int memfd_flags; /* -1: anonymous; -2: a file */
} Kind;

static const Kind kinds[] = {
    { "anonymous", PAGE, MAP_PRIVATE, -1 },
    { "shared", PAGE, MAP_SHARED, -1 },
    { "memfd-shared", PAGE, MAP_SHARED, 0 },
    { "memfd-private", PAGE, MAP_PRIVATE, 0 },
    { "file-shared", PAGE, MAP_SHARED, -2 },
    { "file-private", PAGE, MAP_PRIVATE, -2 },
    { "hugetlb", HUGE, MAP_SHARED, MFD_HUGETLB },
};

/* What the tests need of the host; NULL with the test skipped. */
static PagemapLog *log_or_skip(void)
{
    g_autoptr(GError) err = NULL;
    PagemapLog *log = pagemap_log_new(&err);

    if (!log) {
        g_test_skip(err->message);
    }
    return log;
}

static int backing_fd(const Kind *k)
{
    char path[] = "/tmp/godwit-dirty-XXXXXX";
    int fd = -1;

    if (k->memfd_flags == -1) {
        return -1;
    }
    if (k->memfd_flags >= 0) {
        fd = memfd_create("test", MFD_CLOEXEC | (unsigned)k->memfd_flags);
    } else {
        fd = mkstemp(path);
        unlink(path);
    }
    if (fd >= 0) {
        g_assert_cmpint(ftruncate(fd, LEN), ==, 0);
    }
    return fd;
}

/* Aligned to a huge page; NULL if the host has no such memory. */
static uint8_t *map_kind(const Kind *k)
{
    const int fd = backing_fd(k);
    const int flags = k->map_flags | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0);
    char *space = mmap(NULL, LEN + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uintptr_t at = ((uintptr_t)space + HUGE - 1) & ~(HUGE - 1);
    void *host;

    g_assert_true(space != MAP_FAILED);
    munmap(space, at - (uintptr_t)space);
    munmap((char *)at + LEN, HUGE - (at - (uintptr_t)space));
    host = mmap((void *)at, LEN, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (fd >= 0) {
        close(fd);
    }
    if (host == MAP_FAILED) {
        munmap((void *)at, LEN);
        return NULL;
    }
    return host;
}

static void add(PagemapLog *log, uint8_t *host, const Kind *k)
{
    g_autoptr(GError) err = NULL;

    pagemap_log_add(log, host, LEN, k->page_size, k->name, &err);
    g_assert_no_error(err);
}

/* Syncs pages [first, first + n) and requires exactly the bits of `expected` (of all pages). */
static void check_range(PagemapLog *log, uint8_t *host, uint64_t first, uint64_t n,
                        const uint64_t *expected)
{
    g_autofree uint64_t *got = bits_new(n);
    g_autoptr(GError) err = NULL;

    pagemap_log_sync(log, host, first, n, got, &err);
    g_assert_no_error(err);
    for (uint64_t i = 0; i < n; i++) {
        if (bits_test(got, i) != bits_test(expected, first + i)) {
            g_error("page %lu: reported %d", (unsigned long)(first + i), bits_test(got, i));
        }
    }
}

static void write_page(uint8_t *host, uint64_t page, const Kind *k, uint64_t *expected)
{
    const uint64_t per = k->page_size / PAGE;

    host[page * PAGE + page % PAGE]++;
    bits_set_range(expected, page / per * per, per);
}

static void test_once(gconstpointer opaque)
{
    const Kind *k = opaque;
    uint64_t none[NPAGES / 64] = { 0 };
    PagemapLog *log = log_or_skip();
    uint8_t *host = log ? map_kind(k) : NULL;

    if (log && !host) {
        g_test_skip("this host has no such memory now (hugetlb: vm.nr_hugepages)");
    }
    if (!host) {
        pagemap_log_free(log);
        return;
    }
    memset(host, 1, LEN / 2); /* half is populated, half is not */
    add(log, host, k);
    g_assert_true(pagemap_log_has(log, host));
    check_range(log, host, 0, NPAGES, none);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t expected[NPAGES / 64] = { 0 };
        volatile uint8_t sink = 0;

        for (uint64_t page = round; page < NPAGES; page += 97 + 500 * round) {
            write_page(host, page, k, expected);
            sink += host[(page + 1) % NPAGES * PAGE]; /* reads do not count */
        }
        check_range(log, host, 0, NPAGES, expected);
        check_range(log, host, 0, NPAGES, none);
    }
    pagemap_log_free(log);
    host[0] = 1; /* writable as before */
    munmap(host, LEN);
}

/* Parts may be synced one after the other, also parts of a huge page. */
static void test_parts(gconstpointer opaque)
{
    const Kind *k = opaque;
    uint64_t none[NPAGES / 64] = { 0 };
    uint64_t expected[NPAGES / 64] = { 0 };
    PagemapLog *log = log_or_skip();
    uint8_t *host = log ? map_kind(k) : NULL;

    if (log && !host) {
        g_test_skip("this host has no such memory now (hugetlb: vm.nr_hugepages)");
    }
    if (!host) {
        pagemap_log_free(log);
        return;
    }
    add(log, host, k);
    for (uint64_t page = 0; page < NPAGES; page += PER_HUGE + 65) {
        write_page(host, page, k, expected);
    }
    for (uint64_t at = 0; at < NPAGES; at += 192) {
        check_range(log, host, at, MIN(192, NPAGES - at), expected);
    }
    for (uint64_t at = 0; at < NPAGES; at += 64) {
        check_range(log, host, at, 64, none);
    }
    pagemap_log_free(log);
    munmap(host, LEN);
}

#define WRITERS 3
#define REPORTS (20 * NPAGES) /* pages to be reported before the writers stop */

typedef struct Writer {
    pthread_t thread;
    uint8_t *host;
    unsigned index;
    bool *stop; /* atomic */
} Writer;

static uint64_t *counter(uint8_t *host, uint64_t page, unsigned writer)
{
    return (uint64_t *)(host + page * PAGE) + writer;
}

static void *writer_run(void *opaque)
{
    const Writer *w = opaque;
    uint64_t x = 88172645463325252ULL + w->index;

    while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        __atomic_fetch_add(counter(w->host, x % NPAGES, w->index), 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A copy made of reported pages only, each copied after its report, ends equal to the memory. */
static uint64_t copy_reported(PagemapLog *log, uint8_t *host, uint64_t (*copy)[WRITERS])
{
    uint64_t got[NPAGES / 64] = { 0 };
    uint64_t reported = 0;
    g_autoptr(GError) err = NULL;

    pagemap_log_sync(log, host, 0, NPAGES, got, &err);
    g_assert_no_error(err);
    for (uint64_t page = bits_find_set(got, 0, NPAGES); page < NPAGES;
         page = bits_find_set(got, page + 1, NPAGES)) {
        reported++;
        for (unsigned w = 0; w < WRITERS; w++) {
            copy[page][w] = __atomic_load_n(counter(host, page, w), __ATOMIC_RELAXED);
        }
    }
    return reported;
}

static void test_concurrent(gconstpointer opaque)
{
    const Kind *k = opaque;
    g_autofree uint64_t(*copy)[WRITERS] = g_malloc0(NPAGES * sizeof(*copy));
    PagemapLog *log = log_or_skip();
    uint8_t *host = log ? map_kind(k) : NULL;
    Writer writers[WRITERS];
    uint64_t reported = 0;
    bool stop = false;

    if (log && !host) {
        g_test_skip("this host has no such memory now (hugetlb: vm.nr_hugepages)");
    }
    if (!host) {
        pagemap_log_free(log);
        return;
    }
    add(log, host, k);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (Writer){ .host = host, .index = i, .stop = &stop };
        g_assert_cmpint(pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]), ==, 0);
    }
    while (reported < REPORTS) {
        reported += copy_reported(log, host, copy);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    copy_reported(log, host, copy);
    for (uint64_t page = 0; page < NPAGES; page++) {
        for (unsigned w = 0; w < WRITERS; w++) {
            g_assert_cmpuint(copy[page][w], ==, *counter(host, page, w));
        }
    }
    pagemap_log_free(log);
    munmap(host, LEN);
}

static void test_refused(void)
{
    PagemapLog *log = log_or_skip();
    g_autoptr(GError) err = NULL;
    uint64_t bits;
    uint8_t *host;

    if (!log) {
        return;
    }
    host = map_kind(&kinds[0]);
    munmap(host, LEN);
    g_assert_false(pagemap_log_add(log, host, LEN, PAGE, "gone", &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_UNSUPPORTED);
    g_assert_true(g_str_has_prefix(err->message, "dirty tracking of memory 'gone': "));
    g_assert_false(pagemap_log_has(log, host));
    g_clear_error(&err);
    g_assert_false(pagemap_log_sync(log, host, 0, 64, &bits, &err));
    g_assert_error(err, GW_ERROR, GW_ERROR_GENERIC);
    pagemap_log_free(log);
}

static void add_tests(const char *what, void (*test)(gconstpointer))
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/dirty-pagemap/%s/%s", what, kinds[i].name);

        g_test_add_data_func(path, &kinds[i], test);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_tests("once", test_once);
    add_tests("parts", test_parts);
    add_tests("concurrent", test_concurrent);
    g_test_add_func("/dirty-pagemap/refused", test_refused);
    return g_test_run();
}
