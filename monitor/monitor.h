/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitors: QMP for programs, HMP for people, as many of each as -qmp, -mon and -monitor asked
 * for. Everything runs on the main loop's thread; no command waits for a peer.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>

#include <glib.h>

struct Machine;

/* Opens the monitors of m->config on the machine's chardevs. Call after the chardevs and the
 * machine exist and before the main loop runs; once per machine. */
bool monitors_start(struct Machine *m, GError **errp);
/* Sends what is still queued and lets go of the chardevs. After the main loop, before the chardevs
 * are freed and before machine_free(). */
void monitors_stop(struct Machine *m);
/* Tells QMP clients that the process ends and lets the main loop return with exit code 0. `reason`
 * is a ShutdownCause of the schema: "host-signal" for SIGTERM. Main loop's thread. */
void monitors_shutdown(struct Machine *m, const char *reason);

#endif
