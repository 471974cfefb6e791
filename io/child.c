/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Child processes of exec: channels: start, wait, end. `lock` guards `state` and `status` and makes
 * waitpid() happen once, so that the pid is never used after it was reaped. Waiting is done on a
 * pidfd, outside the lock.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "io-poll.h"

#define CHILD_PIPE_BYTES  (1024 * 1024) /* what an unprivileged user may set */
#define CHILD_TICK_MS     10            /* between looks at a child without a pidfd */
#define CHILD_CLOSE_MS    100           /* to end by itself once its pipes are closed */
#define CHILD_TERM_MS     500           /* to end after SIGTERM */

struct GwChild {
    pid_t pid;
    int pidfd;
    char *name;           /* for errors: what the user typed */
    pthread_mutex_t lock; /* leaf */
    GwChildState state;
    int status;           /* of waitpid(), once FAILED */
};

static int spawn_with(char *const *argv, int stdin_fd, int stdout_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, pipe_set;
    int err;

    sigemptyset(&none);
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, stdin_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
    posix_spawnattr_init(&attr);
    /* What this process blocks or ignores is no business of the command's. */
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &pipe_set);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    err = posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

/* ours: the end that stays here (0: we read, 1: we write). It lies above stdio, so that the dup2()s
 * in the child cannot overwrite it, even if this process runs without stdio. */
static bool make_pipe(int fds[2], int ours)
{
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (fds[i] <= STDERR_FILENO) {
            const int high = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

            close(fds[i]);
            fds[i] = high;
        }
    }
    fcntl(fds[ours], F_SETPIPE_SZ, CHILD_PIPE_BYTES); /* best effort: fewer wake-ups */
    if (fds[0] < 0 || fds[1] < 0 || !io_set_nonblock(fds[ours], true)) {
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    return true;
}

static GwChild *child_new(pid_t pid, char *const *argv)
{
    GwChild *c = g_new0(GwChild, 1);
    const bool shell = argv[1] && argv[2] && strcmp(argv[1], "-c") == 0;

    c->pid = pid;
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    c->name = shell ? g_strdup(argv[2]) : g_strjoinv(" ", (char **)argv);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

GwChild *gw_child_spawn(char *const *argv, int *in_fd, int *out_fd, GError **errp)
{
    int to[2], from[2];
    pid_t pid;
    int err;

    if (!argv || !argv[0]) {
        gw_fail(errp, GW_ERROR_GENERIC, "exec: the command is missing");
        return NULL;
    }
    if (!make_pipe(to, 1)) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "exec: making a pipe");
        return NULL;
    }
    if (!make_pipe(from, 0)) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "exec: making a pipe");
        close(to[0]);
        close(to[1]);
        return NULL;
    }
    err = spawn_with(argv, to[0], from[1], &pid);
    close(to[0]);
    close(from[1]);
    if (err) {
        close(to[1]);
        close(from[0]);
        gw_fail_errno(errp, GW_ERROR_IO, err, "exec: cannot run '%s'", argv[0]);
        return NULL;
    }
    *in_fd = to[1];
    *out_fd = from[0];
    return child_new(pid, argv);
}

static GwChildState child_look(GwChild *c)
{
    GwChildState state;
    int status = 0;
    pid_t got;

    pthread_mutex_lock(&c->lock);
    if (c->state == GW_CHILD_RUNNING) {
        got = waitpid(c->pid, &status, WNOHANG);
        if (got == c->pid) {
            c->status = status;
            c->state = status ? GW_CHILD_FAILED : GW_CHILD_SUCCEEDED;
        } else if (got < 0 && errno == ECHILD) {
            /* The process ignores SIGCHLD: the kernel reaped it and kept no status. */
            c->state = GW_CHILD_SUCCEEDED;
        }
    }
    state = c->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

GwChildState gw_child_wait(GwChild *c, int timeout_ms, const GwCancel *wake)
{
    const gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    for (;;) {
        const GwChildState state = child_look(c);
        const gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        int wait_ms = timeout_ms < 0 ? -1 : (int)MAX(left, 0);

        if (state != GW_CHILD_RUNNING || wait_ms == 0) {
            return state;
        }
        if (c->pidfd < 0) {
            wait_ms = wait_ms < 0 ? CHILD_TICK_MS : MIN(wait_ms, CHILD_TICK_MS);
        }
        if (io_poll(c->pidfd, POLLIN, wake, wait_ms) == IO_POLL_WOKEN) {
            return child_look(c);
        }
    }
}

bool gw_child_fail(GwChild *c, GError **errp)
{
    int status;

    pthread_mutex_lock(&c->lock);
    status = c->status;
    pthread_mutex_unlock(&c->lock);
    if (WIFSIGNALED(status)) {
        return gw_fail(errp, GW_ERROR_IO, "exec: command '%s' was killed by signal %d (%s)",
                       c->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return gw_fail(errp, GW_ERROR_IO, "exec: command '%s' exited with status %d", c->name,
                   WEXITSTATUS(status));
}

int gw_child_pidfd(const GwChild *c)
{
    return c->pidfd;
}

/* Holding the lock keeps the pid ours: nobody reaps it between the look and the kill. */
static void child_kill(GwChild *c, int sig)
{
    pthread_mutex_lock(&c->lock);
    if (c->state == GW_CHILD_RUNNING) {
        kill(c->pid, sig);
    }
    pthread_mutex_unlock(&c->lock);
}

void gw_child_free(GwChild *c)
{
    if (gw_child_wait(c, CHILD_CLOSE_MS, NULL) == GW_CHILD_RUNNING) {
        child_kill(c, SIGTERM);
        if (gw_child_wait(c, CHILD_TERM_MS, NULL) == GW_CHILD_RUNNING) {
            child_kill(c, SIGKILL);
            gw_child_wait(c, -1, NULL);
        }
    }
    if (c->pidfd >= 0) {
        close(c->pidfd);
    }
    pthread_mutex_destroy(&c->lock);
    g_free(c->name);
    g_free(c);
}
