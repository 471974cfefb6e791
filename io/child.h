/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child process whose standard input and output are pipes of ours. Several threads may ask for
 * its exit; a lock inside makes sure that it is reaped once. Private to io/.
 */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include "migration/channel.h"

typedef struct GwChild GwChild;

typedef enum GwChildState {
    GW_CHILD_RUNNING,
    GW_CHILD_SUCCEEDED, /* exit status 0 */
    GW_CHILD_FAILED,    /* another status, or killed by a signal */
} GwChildState;

/* Starts argv (searched in PATH). *in_fd writes to its stdin, *out_fd reads its stdout; neither
 * blocks, the caller closes them. */
GwChild *gw_child_spawn(char *const *argv, int *in_fd, int *out_fd, GError **errp);
/* Looks, or waits up to timeout_ms (-1: for ever) or until the wake-up. Reaps the child. */
GwChildState gw_child_wait(GwChild *c, int timeout_ms, const GwCancel *wake);
/* Raises the error of a child that FAILED: "command 'X' exited with status N". Returns false. */
bool gw_child_fail(GwChild *c, GError **errp);
/* Ends the child if it still runs, within a second, and frees. */
void gw_child_free(GwChild *c);
/* Becomes readable when the child has ended; -1 on kernels without pidfd. */
int gw_child_pidfd(const GwChild *c);

#endif
