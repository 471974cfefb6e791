/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file:PATH[,offset=SIZE]. The stream runs at the file's position; positional I/O (fixed-offset
 * formats) does not move it and may come from several threads at once. A file never waits for a
 * peer, so shutdown only sets an atomic flag that ends the calls that follow.
 * Spec: channels 4.1 and trap 8: everything behind the offset is lost, bytes before it are kept.
 */
#include "channel-fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "io-poll.h"

typedef struct FileChannel {
    int fd;
    bool shut; /* atomic */
} FileChannel;

static bool is_shut(const FileChannel *f)
{
    return __atomic_load_n(&f->shut, __ATOMIC_ACQUIRE);
}

/* The common end of all reads and writes: at < 0 uses the file's own position. */
static ssize_t file_io(FileChannel *f, const struct iovec *iov, int n, off_t at, bool writing,
                       GError **errp)
{
    ssize_t done;

    if (is_shut(f)) {
        if (!writing) {
            return 0;
        }
        gw_fail(errp, GW_ERROR_IO, "Unable to write to file: the channel was shut down");
        return -1;
    }
    do {
        if (writing) {
            done = at < 0 ? writev(f->fd, iov, n) : pwritev(f->fd, iov, n, at);
        } else {
            done = at < 0 ? readv(f->fd, iov, n) : preadv(f->fd, iov, n, at);
        }
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to %s file",
                      writing ? "write to" : "read from");
    }
    return done;
}

static bool check_position(off_t at, GError **errp)
{
    return at >= 0 || gw_fail(errp, GW_ERROR_GENERIC, "a file has no negative positions");
}

static ssize_t file_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    return file_io(opaque, iov, n, -1, false, errp);
}

static ssize_t file_writev(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    return file_io(opaque, iov, n, -1, true, errp);
}

static ssize_t file_preadv(void *opaque, const struct iovec *iov, int n, off_t at, GError **errp)
{
    return check_position(at, errp) ? file_io(opaque, iov, n, at, false, errp) : -1;
}

static ssize_t file_pwritev(void *opaque, const struct iovec *iov, int n, off_t at, GError **errp)
{
    return check_position(at, errp) ? file_io(opaque, iov, n, at, true, errp) : -1;
}

static void file_shutdown(void *opaque)
{
    FileChannel *f = opaque;

    __atomic_store_n(&f->shut, true, __ATOMIC_RELEASE);
}

static int file_wait_readable(void *opaque, int timeout_ms, GError **errp)
{
    return 1; /* data or the end of the file: never a wait */
}

static bool file_finish(void *opaque, GError **errp)
{
    FileChannel *f = opaque;
    const int copy = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);

    /* Network file systems report a full disk when a descriptor of the file is closed. No fsync():
     * the caller decides whether a saved guest must survive a power cut. */
    return (copy >= 0 && close(copy) == 0) ||
           gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to write to file");
}

static int file_get_fd(void *opaque)
{
    return ((FileChannel *)opaque)->fd;
}

static void file_destroy(void *opaque)
{
    FileChannel *f = opaque;

    close(f->fd);
    g_free(f);
}

static const GwChannelOps file_ops = {
    .size = sizeof(GwChannelOps),
    .readv = file_readv,
    .writev = file_writev,
    .preadv = file_preadv,
    .pwritev = file_pwritev,
    .shutdown = file_shutdown,
    .wait_readable = file_wait_readable,
    .finish = file_finish,
    .get_fd = file_get_fd,
    .destroy = file_destroy,
};

static bool prepare(int fd, const GwAddress *addr, bool incoming, unsigned *features,
                    GError **errp)
{
    const off_t offset = (off_t)addr->offset;
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return gw_fail_errno(errp, GW_ERROR_IO, errno, "file: '%s'", addr->path);
    }
    if (S_ISFIFO(st.st_mode)) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "file: '%s' is a pipe: use exec:cat or fd: instead", addr->path);
    }
    if (!incoming && S_ISREG(st.st_mode) && ftruncate(fd, offset) < 0) {
        return gw_fail_errno(errp, GW_ERROR_IO, errno, "file: '%s': truncating at %" PRIu64,
                             addr->path, addr->offset);
    }
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
        *features = GW_CHANNEL_SEEKABLE;
        if (lseek(fd, offset, SEEK_SET) < 0) {
            return gw_fail_errno(errp, GW_ERROR_IO, errno, "file: '%s': seeking to %" PRIu64,
                                 addr->path, addr->offset);
        }
    }
    return io_set_nonblock(fd, false) ||
           gw_fail_errno(errp, GW_ERROR_IO, errno, "file: '%s'", addr->path);
}

/* A path of an fd set is the embedder's to open. */
static int open_path(const char *path, bool incoming, GwFdResolver fds, void *fds_opaque,
                     GError **errp)
{
    /* O_NONBLOCK so that a named pipe without a peer is an error, not a wait. */
    const int flags = (incoming ? O_RDONLY : O_WRONLY | O_CREAT) | O_CLOEXEC | O_NONBLOCK;
    int fd;

    if (fds && g_str_has_prefix(path, "/dev/fdset/")) {
        return fds(fds_opaque, path, incoming ? O_RDONLY : O_WRONLY, errp);
    }
    fd = open(path, flags, 0600);
    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to open '%s'", path);
    }
    return fd;
}

GwChannel *gw_channel_open_file(const GwAddress *addr, bool incoming, GwFdResolver fds,
                                void *fds_opaque, GError **errp)
{
    FileChannel *f;
    unsigned features = 0;
    int fd;

    if (!addr->path || *addr->path == '\0' || addr->offset > INT64_MAX) {
        gw_fail(errp, GW_ERROR_GENERIC, "file: the path is missing or the offset is too large");
        return NULL;
    }
    fd = open_path(addr->path, incoming, fds, fds_opaque, errp);
    if (fd < 0) {
        return NULL;
    }
    if (!prepare(fd, addr, incoming, &features, errp)) {
        close(fd);
        return NULL;
    }
    f = g_new0(FileChannel, 1);
    f->fd = fd;
    return gw_channel_new(&file_ops, f, features, "main");
}
