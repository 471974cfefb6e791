/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process: going into the background, the pid file, ending with the parent. Main thread. */
#ifndef MAIN_DAEMON_H
#define MAIN_DAEMON_H

#include <stdbool.h>

#include <glib.h>

/* Forks; the parent waits until the child is ready, and leaves with its success. Returns in the
 * child, with a descriptor for daemon_ready(); -1 with *errp. Before any thread exists. */
int daemon_fork(GError **errp);
/* Lets the parent leave with status 0, and lets go of the directory and of descriptors 0 to 2. */
bool daemon_ready(int fd, GError **errp);

/* Writes the process id, locks the file, returns its descriptor; -1 with *errp. */
int pidfile_write(const char *path, GError **errp);

/* Arranges that SIGTERM comes when the process that started this one ends. */
bool exit_with_parent(GError **errp);

#endif
