/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MonitorSet: all monitors of one machine and the events that go to them. Private to monitor/.
 * Main loop's thread, except monitor_event(), which any thread may call: it takes `lock`, a leaf.
 */
#ifndef MONITOR_SET_H
#define MONITOR_SET_H

#include <pthread.h>
#include <stdbool.h>

#include <glib.h>

#include "machine.h"
#include "json-util.h"

typedef struct MonitorSet {
    Machine *machine;
    GPtrArray *qmp;      /* of QmpSession, owned by who made them */
    GPtrArray *chardevs; /* of what monitor.c keeps for each */
    pthread_mutex_t lock; /* guards the two below */
    GQueue events;       /* of json_object, oldest first */
    GSource *source;     /* will send them; NULL: none scheduled */
    struct GuestWait *guest_wait; /* guest-wait.c: pages that did not come in time; or NULL */
    bool reset_by_host;  /* system_reset is at work: machine lock */
} MonitorSet;

MonitorSet *monitor_set_new(Machine *m);
void monitor_set_free(MonitorSet *set);
/* Makes it hear of the machine's news; from then on machine_free() frees it. */
void monitor_set_attach(MonitorSet *set);

/* Queues an event for all QMP sessions, stamped now. Takes ownership of data, which may be NULL
 * for an event without any. Any thread; never blocks. */
void monitor_event(MonitorSet *set, const char *name, json_object *data);
/* Sends what is queued. Main loop's thread. */
void monitor_events_flush(MonitorSet *set);
/* {"guest": .., "reason": ..}: the data of SHUTDOWN and RESET. */
json_object *monitor_cause(bool guest, const char *reason);

/* Sends SHUTDOWN with that reason and lets the main loop end with exit code 0. */
void monitor_quit(MonitorSet *set, const char *reason);
/* Resets the machine as system_reset does; a running guest runs on. */
void monitor_reset(MonitorSet *set);
/* Sends POWERDOWN and presses the power button, if there is one. */
void monitor_powerdown(MonitorSet *set);
/* stop: no error if it is stopped already, and then the reason for that stays. */
void monitor_stop_guest(MonitorSet *set);
/* cont: also of a guest that a broken postcopy may have left here (gw_migrate_take_back()), which
 * then goes on soon. */
bool monitor_continue_guest(MonitorSet *set, GError **errp);

#endif
