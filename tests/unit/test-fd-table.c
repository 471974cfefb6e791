/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named descriptors, sets, /dev/fdset/N: who owns what, and what is refused. */
#include "fd-table.h"

#include <fcntl.h>
#include <unistd.h>

static int null_fd(int flags)
{
    int fd = open("/dev/null", flags);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

#define assert_message(err, text) \
    do { \
        g_assert_nonnull(err); \
        g_assert_cmpstr((err)->message, ==, text); \
        g_clear_error(&(err)); \
    } while (0)

static void test_named(void)
{
    FdTable *t = fd_table_new();
    g_autoptr(GError) err = NULL;
    int a = null_fd(O_RDONLY), b = null_fd(O_RDONLY), c = null_fd(O_RDONLY);

    g_assert_true(fd_table_put(t, "fd-mig", a, &err));
    g_assert_true(fd_table_put(t, "fd-mig", b, &err));
    g_assert_false(is_open(a)); /* replaced */
    g_assert_cmpint(fd_table_take(t, "fd-mig", &err), ==, b);
    g_assert_cmpint(fd_table_take(t, "fd-mig", &err), ==, -1);
    g_assert_nonnull(err);
    g_clear_error(&err);
    g_assert_false(fd_table_close(t, "fd-mig", &err));
    assert_message(err, "File descriptor named 'fd-mig' not found");
    g_assert_true(is_open(b));
    close(b);

    g_assert_false(fd_table_put(t, "1abc", c, &err));
    assert_message(err, "Parameter 'fdname' expects a name not starting with a digit");
    g_assert_false(is_open(c));
    fd_table_free(t);
}

static void test_close_and_free(void)
{
    FdTable *t = fd_table_new();
    int a = null_fd(O_RDONLY), b = null_fd(O_RDONLY), c = null_fd(O_RDONLY);

    g_assert_true(fd_table_put(t, "a", a, NULL));
    g_assert_true(fd_table_put(t, "b", b, NULL));
    g_assert_cmpint(fd_table_set_add(t, -1, c, NULL, NULL), ==, 0);
    g_assert_true(fd_table_close(t, "a", NULL));
    g_assert_false(is_open(a));
    fd_table_free(t);
    g_assert_false(is_open(b));
    g_assert_false(is_open(c));
}

static void test_inherited(void)
{
    FdTable *t = fd_table_new();
    g_autoptr(GError) err = NULL;
    int a = null_fd(O_RDONLY);
    g_autofree char *name = g_strdup_printf("%d", a);

    g_assert_cmpint(fd_table_take(t, name, &err), ==, a);
    close(a);
    g_assert_cmpint(fd_table_take(t, name, &err), ==, -1);
    g_clear_error(&err);
    g_assert_cmpint(fd_table_take(t, "3x", &err), ==, -1);
    g_clear_error(&err);
    g_assert_cmpint(fd_table_take(t, "99999999999999999999", &err), ==, -1);
    g_clear_error(&err);
    fd_table_free(t);
}

static void collect(int set, const FdSetFd *fd, void *opaque)
{
    g_string_append_printf(opaque, "%d:%s ", set, fd->opaque ? fd->opaque : "-");
}

static void test_sets(void)
{
    FdTable *t = fd_table_new();
    g_autoptr(GError) err = NULL;
    g_autoptr(GString) seen = g_string_new(NULL);
    int a = null_fd(O_RDONLY), b = null_fd(O_RDONLY), c = null_fd(O_RDONLY);

    g_assert_cmpint(fd_table_set_add(t, 2, a, "two", &err), ==, 2);
    g_assert_cmpint(fd_table_set_add(t, -1, b, NULL, &err), ==, 0);
    g_assert_cmpint(fd_table_set_add(t, 2, c, "more", &err), ==, 2);
    fd_table_sets_foreach(t, collect, seen);
    g_assert_cmpstr(seen->str, ==, "0:- 2:two 2:more ");
    g_assert_true(fd_table_set_remove(t, 2, a, &err));
    g_assert_false(is_open(a));
    g_assert_false(fd_table_set_remove(t, 2, a, &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    g_assert_true(fd_table_set_remove(t, 2, -1, &err));
    g_assert_false(is_open(c));
    g_assert_false(fd_table_set_remove(t, 2, -1, &err));
    assert_message(err, "File descriptor named 'fdset-id:2' not found");
    g_assert_true(fd_table_set_remove(t, 0, b, &err)); /* an empty set goes */
    g_string_truncate(seen, 0);
    fd_table_sets_foreach(t, collect, seen);
    g_assert_cmpstr(seen->str, ==, "");
    fd_table_free(t);
}

static void test_open(void)
{
    FdTable *t = fd_table_new();
    g_autoptr(GError) err = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("fdset-XXXXXX", &path, NULL), got;

    g_assert_cmpint(write(fd, "old", 3), ==, 3);
    close(fd);
    fd_table_set_add(t, 1, open(path, O_WRONLY), NULL, NULL);
    got = fd_table_open(t, "/dev/fdset/1", O_WRONLY | O_TRUNC, 0, &err);
    g_assert_no_error(err);
    g_assert_cmpint(lseek(got, 0, SEEK_END), ==, 0); /* truncated */
    close(got);
    got = fd_table_open(t, "/dev/fdset/1", O_WRONLY, 0, &err); /* again and again */
    g_assert_cmpint(got, >=, 0);
    close(got);
    g_assert_cmpint(fd_table_open(t, "/dev/fdset/1", O_RDONLY, 0, &err), ==, -1);
    assert_message(err, "Could not open '/dev/fdset/1': the set has no descriptor opened for "
                        "reading");
    g_assert_cmpint(fd_table_open(t, "/dev/fdset/7", O_RDONLY, 0, &err), ==, -1);
    assert_message(err, "Could not open '/dev/fdset/7': No such file or directory");
    g_assert_cmpint(fd_table_open(t, "/dev/fdset/x", O_RDONLY, 0, &err), ==, -1);
    g_clear_error(&err);
    got = fd_table_open(t, path, O_RDONLY, 0, &err);
    g_assert_cmpint(got, >=, 0);
    close(got);
    unlink(path);
    fd_table_free(t);
}

static void test_bound(void)
{
    FdTable *t = fd_table_new();
    g_autoptr(GError) err = NULL;
    int n = 0;

    while (n < 1000 && fd_table_set_add(t, 0, null_fd(O_RDONLY), NULL, &err) == 0) {
        n++;
    }
    g_assert_cmpint(n, ==, 256);
    g_assert_nonnull(err);
    fd_table_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fd-table/named", test_named);
    g_test_add_func("/fd-table/close-and-free", test_close_and_free);
    g_test_add_func("/fd-table/inherited", test_inherited);
    g_test_add_func("/fd-table/sets", test_sets);
    g_test_add_func("/fd-table/open", test_open);
    g_test_add_func("/fd-table/bound", test_bound);
    return g_test_run();
}
