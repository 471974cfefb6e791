/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory backends: alignment, sharing, files and their sizes, preallocation, huge pages where the
 * host has some reserved, and messages that name the backend. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"

#define MIB (UINT64_C(1) << 20)

static char *dir;

static void check_usable(MemoryBackend *b, uint64_t size)
{
    g_assert_cmpuint(b->size, ==, size);
    g_assert_cmpuint((uintptr_t)b->host % (2 * MIB), ==, 0);
    g_assert_cmphex(b->host[0], ==, 0);
    b->host[0] = 1;
    b->host[size - 1] = 2;
}

static void test_anonymous(void)
{
    MemoryBackendConfig c = { .id = (char *)"a", .qom_type = (char *)"memory-backend-ram",
                              .size = 3 * MIB };
    GError *err = NULL;
    g_autoptr(MemoryBackend) b = memory_backend_new(&c, &err);

    g_assert_no_error(err);
    check_usable(b, 3 * MIB);
    g_assert_cmpint(b->fd, ==, -1);
    g_assert_cmpuint(b->page_size, ==, 4096);
    g_assert_false(b->shared);
}

static void test_memfd(void)
{
    MemoryBackendConfig c = { .id = (char *)"m", .qom_type = (char *)"memory-backend-memfd",
                              .size = 2 * MIB, .prealloc = true };
    GError *err = NULL;
    g_autoptr(MemoryBackend) b = memory_backend_new(&c, &err);
    uint8_t byte = 0;
    struct stat st;

    g_assert_no_error(err);
    check_usable(b, 2 * MIB);
    g_assert_true(b->shared); /* as in QEMU, unless share=off */
    g_assert_cmpint(pread(b->fd, &byte, 1, 2 * MIB - 1), ==, 1);
    g_assert_cmphex(byte, ==, 2);
    g_assert_cmpint(fstat(b->fd, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, >=, 2 * MIB); /* preallocated */
}

static void test_file(void)
{
    g_autofree char *path = g_build_filename(dir, "ram", NULL);
    MemoryBackendConfig c = { .id = (char *)"f", .qom_type = (char *)"memory-backend-file",
                              .size = MIB, .mem_path = path, .share = true, .has_share = true,
                              .offset = 4096 };
    GError *err = NULL;
    g_autofree char *text = NULL;
    gsize len;
    MemoryBackend *b = memory_backend_new(&c, &err);

    g_assert_no_error(err);
    check_usable(b, MIB);
    g_assert_true(b->named_file);
    memory_backend_free(b);
    g_assert_true(g_file_get_contents(path, &text, &len, NULL));
    g_assert_cmpuint(len, ==, MIB + 4096);
    g_assert_cmphex(text[4096], ==, 1);

    /* Private: what the guest writes stays out of the file, what is in it is seen. */
    c.share = false;
    b = memory_backend_new(&c, &err);
    g_assert_no_error(err);
    g_assert_cmphex(b->host[0], ==, 1);
    b->host[0] = 9;
    memory_backend_free(b);
    g_free(text);
    g_assert_true(g_file_get_contents(path, &text, &len, NULL));
    g_assert_cmphex(text[4096], ==, 1);

    c.size = 2 * MIB;
    g_assert_null(memory_backend_new(&c, &err));
    g_assert_nonnull(strstr(err->message, "'f'"));
    g_assert_nonnull(strstr(err->message, "ask for"));
    g_clear_error(&err);
}

static void test_directory(void)
{
    MemoryBackendConfig c = { .id = (char *)"d", .qom_type = (char *)"memory-backend-file",
                              .size = MIB, .mem_path = dir };
    GError *err = NULL;
    g_autoptr(MemoryBackend) b = memory_backend_new(&c, &err);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;

    g_assert_no_error(err);
    check_usable(b, MIB);
    g_assert_false(b->named_file);
    while ((name = g_dir_read_name(d))) {
        g_assert_false(g_str_has_prefix(name, "godwit-ram-"));
    }
}

static void test_errors(void)
{
    static const struct {
        MemoryBackendConfig c;
        const char *error;
    } cases[] = {
        { { .qom_type = (char *)"memory-backend-ram" }, "size is 0" },
        { { .qom_type = (char *)"memory-backend-ram", .size = 4095 }, "multiples" },
        { { .qom_type = (char *)"memory-backend-ram", .size = UINT64_MAX & ~4095ULL },
          "too large" },
        { { .qom_type = (char *)"memory-backend-ram", .size = MIB, .align = 12288 },
          "power of two" },
        { { .qom_type = (char *)"memory-backend-bogus", .size = MIB }, "not supported" },
        { { .qom_type = (char *)"memory-backend-file", .size = MIB }, "mem-path" },
        { { .qom_type = (char *)"memory-backend-file", .size = MIB,
            .mem_path = (char *)"/nonexistent/dir/file" }, "/nonexistent/dir/file" },
        { { .qom_type = (char *)"memory-backend-memfd", .size = MIB, .hugetlbsize = 2 * MIB },
          "needs hugetlb=on" },
        { { .qom_type = (char *)"memory-backend-memfd", .size = 4 * MIB, .hugetlb = true,
            .hugetlbsize = UINT64_C(1) << 62 }, "huge pages" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        MemoryBackendConfig c = cases[i].c;
        g_autoptr(GError) err = NULL;

        c.id = (char *)"bad";
        g_assert_null(memory_backend_new(&c, &err));
        g_assert_nonnull(strstr(err->message, "'bad'"));
        if (!strstr(err->message, cases[i].error)) {
            g_error("case %zu: '%s' does not say '%s'", i, err->message, cases[i].error);
        }
    }
}

static void test_huge(void)
{
    MemoryBackendConfig c = { .id = (char *)"h", .qom_type = (char *)"memory-backend-memfd",
                              .size = 4 * MIB, .hugetlb = true, .hugetlbsize = 2 * MIB,
                              .prealloc = true };
    g_autoptr(GError) err = NULL;
    g_autoptr(MemoryBackend) b = memory_backend_new(&c, &err);

    if (!b) {
        g_test_skip("no huge pages are reserved (vm.nr_hugepages)");
        return;
    }
    g_assert_cmpuint(b->page_size, ==, 2 * MIB);
    check_usable(b, 4 * MIB);
    c.size = 3 * MIB;
    g_assert_null(memory_backend_new(&c, &err));
    g_assert_nonnull(strstr(err->message, "page size 0x200000"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-backend-XXXXXX", NULL);
    g_assert_nonnull(dir);
    g_test_add_func("/backend/anonymous", test_anonymous);
    g_test_add_func("/backend/memfd", test_memfd);
    g_test_add_func("/backend/file", test_file);
    g_test_add_func("/backend/directory", test_directory);
    g_test_add_func("/backend/errors", test_errors);
    g_test_add_func("/backend/huge", test_huge);

    int rc = g_test_run();
    g_autofree char *path = g_build_filename(dir, "ram", NULL);

    g_unlink(path);
    g_rmdir(dir);
    g_free(dir);
    return rc;
}
