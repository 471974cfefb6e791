/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O on pipes. A thread that is blocked in a pipe's read(2) or write(2) cannot be woken, so the
 * descriptors do not block and the waiting is done in a poll() together with the GwCancel.
 * No state of its own; one reader and one writer thread per descriptor, any thread may wake.
 */
#include "channel-pipe.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "error.h"
#include "io-poll.h"

ssize_t gw_pipe_readv(int fd, const GwCancel *wake, const struct iovec *iov, int n,
                      const char *what, GError **errp)
{
    for (;;) {
        ssize_t got;

        if (gw_cancel_is_triggered(wake)) {
            return 0;
        }
        got = readv(fd, iov, n);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR && (errno != EAGAIN || io_poll(fd, POLLIN, wake, -1) < 0)) {
            gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to read from %s", what);
            return -1;
        }
    }
}

/*
 * writev() that never lets a SIGPIPE out. Pipes have no MSG_NOSIGNAL, and a library must not change
 * the process's disposition: block the signal in this thread, and take away the one we caused.
 */
static ssize_t writev_nosignal(int fd, const struct iovec *iov, int n)
{
    const struct timespec now = { 0, 0 };
    sigset_t pipe_set, old, pending;
    ssize_t put;
    int err;

    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    put = writev(fd, iov, n);
    err = errno;
    if (put < 0 && err == EPIPE && !sigismember(&pending, SIGPIPE)) {
        while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR) {
            continue;
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = err;
    return put;
}

ssize_t gw_pipe_writev(int fd, const GwCancel *wake, const struct iovec *iov, int n,
                       const char *what, GError **errp)
{
    for (;;) {
        ssize_t put;

        if (gw_cancel_is_triggered(wake)) {
            gw_fail(errp, GW_ERROR_IO, "Unable to write to %s: the channel was shut down", what);
            return -1;
        }
        put = writev_nosignal(fd, iov, n);
        if (put >= 0) {
            return put;
        }
        if (errno != EINTR && (errno != EAGAIN || io_poll(fd, POLLOUT, wake, -1) < 0)) {
            gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to write to %s", what);
            return -1;
        }
    }
}

int gw_pipe_wait_readable(int fd, const GwCancel *wake, int timeout_ms, const char *what,
                          GError **errp)
{
    switch (io_poll(fd, POLLIN, wake, timeout_ms)) {
    case IO_POLL_TIMEOUT:
        return 0;
    case IO_POLL_ERROR:
        gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to wait for %s", what);
        return -1;
    default:
        return 1; /* readable, ended, or woken: a read returns at once */
    }
}
