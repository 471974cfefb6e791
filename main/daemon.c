/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process: -daemonize, -pidfile, -run-with exit-with-parent=on.
 *
 * The parent of a daemon leaves only when the child tells that its sockets listen and the pid file
 * is written: management tools connect as soon as it has gone. Until then the child keeps standard
 * error, so that its errors are seen, and the parent's exit status tells of failure.
 * Main thread.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* The parent: waits for the byte that says "ready"; the end of the pipe without it is failure. */
static void wait_for_child(int fd)
{
    char byte;
    ssize_t n;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

int daemon_fork(GError **errp)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "-daemonize: pipe");
        return -1;
    }
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "-daemonize: fork");
        return -1;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for_child(fds[0]);
    }
    close(fds[0]);
    setsid();
    /* Not the session's leader any more: never to get a controlling terminal by opening one. */
    pid = fork();
    if (pid < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "-daemonize: fork");
        return -1;
    }
    if (pid > 0) {
        _exit(0);
    }
    umask(027);
    return fds[1];
}

bool daemon_ready(int fd, GError **errp)
{
    int null = open("/dev/null", O_RDWR);
    char byte = 0;
    ssize_t n;

    if (null < 0 || chdir("/") < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "-daemonize: %s",
                             null < 0 ? "/dev/null" : "/");
    }
    fflush(NULL);
    for (int std = STDIN_FILENO; std <= STDERR_FILENO; std++) {
        dup2(null, std);
    }
    if (null > STDERR_FILENO) {
        close(null);
    }
    do {
        n = write(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    close(fd);
    return true;
}

int pidfile_write(const char *path, GError **errp)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    char text[32];
    int len;

    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "cannot create PID file: Cannot open pid file "
                      "'%s'", path);
        return -1;
    }
    if (fcntl(fd, F_SETLK, &whole) < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "cannot create PID file: '%s' is in use by "
                      "another process", path);
        close(fd);
        return -1;
    }
    len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)len) != len) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "cannot create PID file: Failed to write '%s'",
                      path);
        close(fd);
        return -1;
    }
    return fd;
}

bool exit_with_parent(GError **errp)
{
    pid_t parent = getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "-run-with exit-with-parent=on");
    }
    /* It may have gone in between; then the signal never comes. */
    if (getppid() != parent) {
        raise(SIGTERM);
    }
    return true;
}
