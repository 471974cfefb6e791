/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `stdio`. A terminal is put into raw mode while it is in use (Ctrl-c still ends the
 * process, unless signal=off or mux=on) and put back at the end, also by exit().
 *
 * Standard output is opened anew where that is possible, so that non-blocking mode is not forced
 * upon the shell, which shares the file description. Main thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "chardev-priv.h"
#include "error.h"

/* There is one terminal, and exit() calls with no argument. */
static struct termios saved_mode;
static bool mode_saved;

static void restore_terminal(void)
{
    if (mode_saved) {
        mode_saved = false;
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
    }
}

static void raw_mode(bool keep_signals)
{
    static bool registered;
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &t) < 0) {
        return; /* not a terminal */
    }
    saved_mode = t;
    mode_saved = true;
    if (!registered) {
        registered = true;
        atexit(restore_terminal);
    }
    t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    if (!keep_signals) {
        t.c_lflag &= ~(tcflag_t)ISIG;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

/* A descriptor for output that may be non-blocking without anybody else noticing. */
static int own_stdout(void)
{
    struct stat st;
    int fd;

    if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))) {
        fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
    }
    return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* What could not be opened anew may block: at most one pipe buffer's worth, and only if poll says
 * that it fits. */
static ssize_t stdio_write(Chardev *c, int fd, const uint8_t *buf, size_t len)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };

    if (poll(&pfd, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, buf, MIN(len, 512));
}

static bool stdio_open(Chardev *c, struct FdTable *fds, GError **errp)
{
    int out = own_stdout();

    if (out < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "standard output");
    }
    raw_mode(c->conf.has_signal ? c->conf.signal : !c->conf.mux);
    chardev_attach(c, STDIN_FILENO, out);
    return true;
}

static void stdio_close(Chardev *c)
{
    restore_terminal();
    if (c->out_fd >= 0) {
        close(c->out_fd);
    }
}

const ChardevOps chardev_stdio_ops = {
    .backend = "stdio",
    .open = stdio_open,
    .write = stdio_write,
    .close = stdio_close,
};
