/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP events. Any thread queues them under set->lock (a leaf); the main loop sends them, oldest
 * first, to every session that has negotiated. The time in an event is that of its making.
 */
#include "monitor-set.h"

#include "qapi.h"
#include "qmp.h"
#include "trace.h"

static gboolean on_idle(gpointer opaque)
{
    monitor_events_flush(opaque);
    return G_SOURCE_REMOVE;
}

static json_object *make_event(const char *name, json_object *data)
{
    json_object *o = jo_new(), *stamp = jo_new();
    gint64 now = g_get_real_time();

    jo_int(stamp, "seconds", now / G_USEC_PER_SEC);
    jo_int(stamp, "microseconds", now % G_USEC_PER_SEC);
    json_object_object_add(o, "timestamp", stamp);
    jo_str(o, "event", name);
    if (data) {
        json_object_object_add(o, "data", data);
    }
    return o;
}

/* set->lock held. */
static void schedule(MonitorSet *set)
{
    GMainLoop *loop = set->machine->loop;

    if (set->source) {
        return;
    }
    set->source = g_idle_source_new();
    g_source_set_priority(set->source, G_PRIORITY_HIGH);
    g_source_set_callback(set->source, on_idle, set, NULL);
    g_source_attach(set->source, loop ? g_main_loop_get_context(loop) : NULL);
}

void monitor_event(MonitorSet *set, const char *name, json_object *data)
{
    g_return_if_fail(qapi_event_by_name(name));
    trace_event(qmp_event, "%s", name);

    /* Stamped under the lock: the order of the queue is the order of the stamps. */
    pthread_mutex_lock(&set->lock);
    g_queue_push_tail(&set->events, make_event(name, data));
    schedule(set);
    pthread_mutex_unlock(&set->lock);
}

static json_object *pop(MonitorSet *set)
{
    json_object *o;

    pthread_mutex_lock(&set->lock);
    o = g_queue_pop_head(&set->events);
    if (!o && set->source) {
        g_source_destroy(set->source);
        g_clear_pointer(&set->source, g_source_unref);
    }
    pthread_mutex_unlock(&set->lock);
    return o;
}

void monitor_events_flush(MonitorSet *set)
{
    json_object *o;

    while ((o = pop(set))) {
        for (guint i = 0; i < set->qmp->len; i++) {
            QmpSession *s = g_ptr_array_index(set->qmp, i);

            if (s->negotiated) {
                qmp_session_send(s, o);
            }
        }
        json_object_put(o);
    }
}

json_object *monitor_cause(bool guest, const char *reason)
{
    json_object *o = jo_new();

    jo_bool(o, "guest", guest);
    jo_str(o, "reason", reason);
    return o;
}
