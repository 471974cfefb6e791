/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that were handed in: named ones (getfd, taken once) and sets (add-fd), whose members
 * are opened again and again as /dev/fdset/N. Spec: qmp, getfd/add-fd; channels, fd and file.
 *
 * `lock` guards both tables; it is a leaf. No call blocks but the open() of an ordinary path, which
 * is made without the lock. Any thread.
 */
#include "fd-table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

#define FDSET_PREFIX "/dev/fdset/"
/* What one user may park here; the process has 1024 descriptors as a rule. */
#define MAX_FDS 256

typedef struct FdSet {
    int id;
    GArray *fds; /* of FdSetFd */
} FdSet;

struct FdTable {
    pthread_mutex_t lock;
    GHashTable *named; /* char * -> GINT_TO_POINTER(fd) */
    GPtrArray *sets;   /* of FdSet, ascending id */
};

static void set_free(gpointer p)
{
    FdSet *set = p;

    for (guint i = 0; i < set->fds->len; i++) {
        FdSetFd *f = &g_array_index(set->fds, FdSetFd, i);

        close(f->fd);
        g_free(f->opaque);
    }
    g_array_unref(set->fds);
    g_free(set);
}

FdTable *fd_table_new(void)
{
    FdTable *t = g_new0(FdTable, 1);

    pthread_mutex_init(&t->lock, NULL);
    t->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->sets = g_ptr_array_new_with_free_func(set_free);
    return t;
}

void fd_table_free(FdTable *t)
{
    GHashTableIter iter;
    gpointer fd;

    if (!t) {
        return;
    }
    g_hash_table_iter_init(&iter, t->named);
    while (g_hash_table_iter_next(&iter, NULL, &fd)) {
        close(GPOINTER_TO_INT(fd));
    }
    g_hash_table_unref(t->named);
    g_ptr_array_unref(t->sets);
    pthread_mutex_destroy(&t->lock);
    g_free(t);
}

/* Takes the entry out; -1 if there is none. Lock held. */
static int steal_named(FdTable *t, const char *name)
{
    gpointer fd;

    if (!g_hash_table_lookup_extended(t->named, name, NULL, &fd)) {
        return -1;
    }
    g_hash_table_remove(t->named, name);
    return GPOINTER_TO_INT(fd);
}

bool fd_table_put(FdTable *t, const char *name, int fd, GError **errp)
{
    int old = -1;
    bool full;

    /* A digit in front would make it an inherited number. */
    if (g_ascii_isdigit(name[0]) || !name[0]) {
        close(fd);
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Parameter 'fdname' expects a name not starting with a digit");
    }
    pthread_mutex_lock(&t->lock);
    old = steal_named(t, name);
    full = g_hash_table_size(t->named) >= MAX_FDS;
    if (!full) {
        g_hash_table_insert(t->named, g_strdup(name), GINT_TO_POINTER(fd));
    }
    pthread_mutex_unlock(&t->lock);
    if (old >= 0) {
        close(old);
    }
    if (full) {
        close(fd);
        return gw_fail(errp, GW_ERROR_GENERIC, "more than %d named file descriptors: close some "
                       "with closefd", MAX_FDS);
    }
    return true;
}

bool fd_table_close(FdTable *t, const char *name, GError **errp)
{
    int fd;

    pthread_mutex_lock(&t->lock);
    fd = steal_named(t, name);
    pthread_mutex_unlock(&t->lock);
    if (fd < 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "File descriptor named '%s' not found", name);
    }
    close(fd);
    return true;
}

int fd_table_take(FdTable *t, const char *name, GError **errp)
{
    int fd;

    if (g_ascii_isdigit(name[0])) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(name, 10, 0, INT32_MAX, &number, NULL) ||
            fcntl((int)number, F_GETFD) < 0) {
            gw_fail(errp, GW_ERROR_GENERIC,
                    "File descriptor %s was not handed in by the parent process", name);
            return -1;
        }
        return (int)number;
    }
    pthread_mutex_lock(&t->lock);
    fd = steal_named(t, name);
    pthread_mutex_unlock(&t->lock);
    if (fd < 0) {
        gw_fail(errp, GW_ERROR_GENERIC,
                "File descriptor named '%s' has not been found (hand it in with getfd)", name);
    }
    return fd;
}

/* Lock held. */
static FdSet *find_set(FdTable *t, int id)
{
    for (guint i = 0; i < t->sets->len; i++) {
        FdSet *set = g_ptr_array_index(t->sets, i);

        if (set->id == id) {
            return set;
        }
    }
    return NULL;
}

/* The set of that id, made if need be; id < 0: the lowest that is free. Lock held. */
static FdSet *get_set(FdTable *t, int id)
{
    FdSet *set = id >= 0 ? find_set(t, id) : NULL;
    guint at = 0;

    if (set) {
        return set;
    }
    if (id < 0) {
        for (id = 0; find_set(t, id); id++) {
        }
    }
    while (at < t->sets->len && ((FdSet *)g_ptr_array_index(t->sets, at))->id < id) {
        at++;
    }
    set = g_new0(FdSet, 1);
    set->id = id;
    set->fds = g_array_new(FALSE, FALSE, sizeof(FdSetFd));
    g_ptr_array_insert(t->sets, (gint)at, set);
    return set;
}

int fd_table_set_add(FdTable *t, int set, int fd, const char *opaque, GError **errp)
{
    FdSetFd member = { .fd = fd, .opaque = g_strdup(opaque) };
    unsigned total = 0;
    FdSet *s;

    pthread_mutex_lock(&t->lock);
    for (guint i = 0; i < t->sets->len; i++) {
        total += ((FdSet *)g_ptr_array_index(t->sets, i))->fds->len;
    }
    if (total >= MAX_FDS) {
        pthread_mutex_unlock(&t->lock);
        close(fd);
        g_free(member.opaque);
        gw_fail(errp, GW_ERROR_GENERIC,
                "more than %d file descriptors in sets: remove some with remove-fd", MAX_FDS);
        return -1;
    }
    s = get_set(t, set);
    g_array_append_val(s->fds, member);
    set = s->id;
    pthread_mutex_unlock(&t->lock);
    return set;
}

bool fd_table_set_remove(FdTable *t, int set, int fd, GError **errp)
{
    bool found = false;
    FdSet *s;

    pthread_mutex_lock(&t->lock);
    s = find_set(t, set);
    if (s && fd < 0) {
        g_ptr_array_remove(t->sets, s);
        found = true;
    }
    for (guint i = 0; s && fd >= 0 && i < s->fds->len; i++) {
        FdSetFd *f = &g_array_index(s->fds, FdSetFd, i);

        if (f->fd == fd) {
            close(f->fd);
            g_free(f->opaque);
            g_array_remove_index(s->fds, i);
            found = true;
            break;
        }
    }
    if (s && fd >= 0 && s->fds->len == 0) {
        g_ptr_array_remove(t->sets, s);
    }
    pthread_mutex_unlock(&t->lock);
    if (!found && fd >= 0) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "File descriptor named 'fdset-id:%d, fd:%d' not found", set, fd);
    }
    if (!found) {
        return gw_fail(errp, GW_ERROR_GENERIC, "File descriptor named 'fdset-id:%d' not found",
                       set);
    }
    return true;
}

void fd_table_sets_foreach(FdTable *t, void (*fn)(int set, const FdSetFd *fd, void *opaque),
                           void *opaque)
{
    pthread_mutex_lock(&t->lock);
    for (guint i = 0; i < t->sets->len; i++) {
        FdSet *s = g_ptr_array_index(t->sets, i);

        for (guint k = 0; k < s->fds->len; k++) {
            fn(s->id, &g_array_index(s->fds, FdSetFd, k), opaque);
        }
    }
    pthread_mutex_unlock(&t->lock);
}

/* A dup of the first member with exactly the access mode asked for. Lock held; -1 with errno. */
static int dup_member(FdTable *t, int id, int flags)
{
    FdSet *s = find_set(t, id);
    int both = -1;

    if (!s) {
        errno = ENOENT;
        return -1;
    }
    for (guint i = 0; i < s->fds->len; i++) {
        int fd = g_array_index(s->fds, FdSetFd, i).fd;
        int have = fcntl(fd, F_GETFL);

        if (have < 0) {
            continue;
        }
        if ((have & O_ACCMODE) == (flags & O_ACCMODE)) {
            return fcntl(fd, F_DUPFD_CLOEXEC, 3);
        }
        if ((have & O_ACCMODE) == O_RDWR) {
            both = fd; /* does as well, if there is no exact one */
        }
    }
    errno = EACCES;
    return both >= 0 ? fcntl(both, F_DUPFD_CLOEXEC, 3) : -1;
}

static int open_fdset(FdTable *t, const char *path, int flags, GError **errp)
{
    guint64 id;
    int fd, err;

    if (!g_ascii_string_to_unsigned(path + strlen(FDSET_PREFIX), 10, 0, INT32_MAX, &id, NULL)) {
        gw_fail(errp, GW_ERROR_GENERIC, "Could not open '%s': not a set number", path);
        return -1;
    }
    pthread_mutex_lock(&t->lock);
    fd = dup_member(t, (int)id, flags);
    err = errno;
    pthread_mutex_unlock(&t->lock);
    if (fd < 0 && err == EACCES) {
        gw_fail(errp, GW_ERROR_GENERIC, "Could not open '%s': the set has no descriptor opened for "
                "%s", path, (flags & O_ACCMODE) == O_RDONLY   ? "reading"
                            : (flags & O_ACCMODE) == O_WRONLY ? "writing"
                                                              : "reading and writing");
    } else if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, err, "Could not open '%s'", path);
    } else if ((flags & O_TRUNC) && ftruncate(fd, 0) < 0 && errno != EINVAL) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Could not truncate '%s'", path);
        close(fd);
        return -1;
    } else if (flags & O_APPEND) {
        /* The status flags are shared with whoever handed it in, which is what append means. */
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
    }
    return fd;
}

int fd_table_open(FdTable *t, const char *path, int flags, int mode, GError **errp)
{
    int fd;

    if (t && g_str_has_prefix(path, FDSET_PREFIX)) {
        return open_fdset(t, path, flags, errp);
    }
    fd = open(path, flags | O_CLOEXEC, mode);
    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Could not open '%s'", path);
    }
    return fd;
}
