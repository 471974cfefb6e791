/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory backends with a descriptor: memfd (of ordinary or huge pages), a file, a directory (an
 * unnamed file in it: hugetlbfs as a rule). Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend-internal.h"
#include "error.h"

size_t memory_fd_page_size(int fd)
{
    struct statfs fs;

    if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize >= 4096) {
        return fs.f_bsize;
    }
    return 4096;
}

/* Grows the file to hold the memory. hugetlbfs wants whole pages, which the caller checks later
 * with a better message, so round up here. */
static bool set_length(MemoryBackend *b, GError **errp)
{
    uint64_t end = b->fd_offset + b->size;
    uint64_t rounded = (end + b->page_size - 1) / b->page_size * b->page_size;

    if (ftruncate(b->fd, rounded) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno,
                             "memory backend '%s': cannot make room for %" PRIu64 " bytes", b->id,
                             rounded);
    }
    return true;
}

bool backend_open_memfd(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp)
{
    unsigned flags = MFD_CLOEXEC;

    if (c->hugetlbsize && (!c->hugetlb || (c->hugetlbsize & (c->hugetlbsize - 1)))) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory backend '%s': hugetlbsize must be a power of two and needs "
                       "hugetlb=on", b->id);
    }
    if (c->hugetlb) {
        flags |= MFD_HUGETLB;
        if (c->hugetlbsize) {
            flags |= (unsigned)__builtin_ctzll(c->hugetlbsize) << MFD_HUGE_SHIFT;
        }
    }
    b->fd = memfd_create(b->id, flags);
    if (b->fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno,
                             "memory backend '%s': cannot create a memfd%s", b->id,
                             c->hugetlb ? " of huge pages of that size" : "");
    }
    b->page_size = memory_fd_page_size(b->fd);
    return set_length(b, errp);
}

/* A directory: a file in it that nobody else ever sees. */
static int open_unnamed(const char *dir)
{
    g_autofree char *path = g_strdup_printf("%s/godwit-ram-XXXXXX", dir);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static int open_path(MemoryBackend *b, const MemoryBackendConfig *c)
{
    struct stat st;

    if (stat(c->mem_path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return open_unnamed(c->mem_path);
    }
    b->named_file = true;
    return open(c->mem_path, c->readonly ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC,
                0644);
}

/* An existing file keeps its size, an empty one gets what is needed. */
static bool fit_file(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp)
{
    struct stat st;

    if (fstat(b->fd, &st) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "memory backend '%s': %s", b->id,
                             c->mem_path);
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0 &&
        (uint64_t)st.st_size < b->fd_offset + b->size) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory backend '%s': file %s has %" PRIu64 " bytes, size and offset ask "
                       "for %" PRIu64, b->id, c->mem_path, (uint64_t)st.st_size,
                       b->fd_offset + b->size);
    }
    if (S_ISREG(st.st_mode) && st.st_size == 0) {
        if (c->readonly) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "memory backend '%s': file %s is empty and readonly", b->id,
                           c->mem_path);
        }
        return set_length(b, errp);
    }
    return true;
}

bool backend_open_file(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp)
{
    if (!c->mem_path) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory backend '%s': mem-path is missing", b->id);
    }
    b->fd = open_path(b, c);
    if (b->fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno,
                             "memory backend '%s': cannot open %s", b->id, c->mem_path);
    }
    b->page_size = memory_fd_page_size(b->fd);
    return fit_file(b, c, errp);
}
