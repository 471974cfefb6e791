/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connects monitors to chardevs: one front end per `-mon`. A client that comes anew to a QMP
 * chardev finds a new session with its own greeting. Main loop's thread.
 */
#include "monitor.h"

#include <string.h>

#include "chardev.h"
#include "error.h"
#include "hmp.h"
#include "monitor-set.h"
#include "qmp.h"

/* One monitor on its chardev; either of qmp and hmp. */
typedef struct MonitorChardev {
    Chardev *chr;
    QmpSession *qmp;
    HmpMonitor *hmp;
} MonitorChardev;

static void chr_write(void *opaque, const char *buf, size_t len)
{
    MonitorChardev *c = opaque;

    chardev_write(c->chr, buf, len);
}

static int chr_take_fd(void *opaque)
{
    MonitorChardev *c = opaque;

    return chardev_take_fd(c->chr);
}

static const QmpSink qmp_sink = {.write = chr_write, .take_fd = chr_take_fd};

static void chr_read(void *opaque, const uint8_t *buf, size_t len)
{
    MonitorChardev *c = opaque;

    if (c->qmp) {
        qmp_session_input(c->qmp, (const char *)buf, len);
    } else {
        hmp_monitor_input(c->hmp, (const char *)buf, len);
    }
}

static void chr_event(void *opaque, ChardevEvent ev)
{
    MonitorChardev *c = opaque;

    if (c->qmp) {
        if (ev == CHARDEV_OPENED) {
            qmp_session_open(c->qmp);
        } else {
            qmp_session_close(c->qmp);
        }
    } else if (ev == CHARDEV_OPENED) {
        hmp_monitor_open(c->hmp);
    } else {
        hmp_monitor_close(c->hmp);
    }
}

static const ChardevHandlers handlers = {.read = chr_read, .event = chr_event};

static Chardev *find_chardev(Machine *m, const char *id)
{
    for (guint i = 0; m->chardevs && i < m->chardevs->len; i++) {
        Chardev *c = g_ptr_array_index(m->chardevs, i);

        if (strcmp(chardev_id(c), id) == 0) {
            return c;
        }
    }
    return NULL;
}

static bool chardev_is_taken(const MonitorSet *set, const Chardev *chr)
{
    for (guint i = 0; i < set->chardevs->len; i++) {
        const MonitorChardev *c = g_ptr_array_index(set->chardevs, i);

        if (c->chr == chr) {
            return true;
        }
    }
    return false;
}

/* Line editing needs the terminal itself: a pty's belongs to whoever opened its other end. */
static bool is_terminal(Chardev *chr)
{
    g_autofree char *what = chardev_describe(chr);

    return chardev_is_tty(chr) && g_str_has_prefix(what, "stdio");
}

static bool start_one(MonitorSet *set, const MonitorConfig *conf, GError **errp)
{
    Chardev *chr = find_chardev(set->machine, conf->chardev);
    MonitorChardev *c;

    if (!chr) {
        return gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND,
                       "monitor '%s': there is no chardev '%s'; give -chardev ...,id=%s",
                       conf->id ? conf->id : "", conf->chardev, conf->chardev);
    }
    if (chardev_is_taken(set, chr)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "monitor '%s': chardev '%s' is in use by another monitor",
                       conf->id ? conf->id : "", conf->chardev);
    }
    c = g_new0(MonitorChardev, 1);
    c->chr = chr;
    if (conf->control) {
        c->qmp = qmp_session_new(set, &qmp_sink, c, conf->pretty);
    } else {
        c->hmp = hmp_monitor_new(set, chr_write, c, is_terminal(chr));
    }
    g_ptr_array_add(set->chardevs, c);
    chardev_set_handlers(chr, &handlers, c);
    return true;
}

bool monitors_start(Machine *m, GError **errp)
{
    MonitorSet *set = monitor_set_new(m);

    m->monitors = set;
    monitor_set_attach(set);
    for (guint i = 0; m->config->monitors && i < m->config->monitors->len; i++) {
        if (!start_one(set, g_ptr_array_index(m->config->monitors, i), errp)) {
            return false;
        }
    }
    return true;
}

void monitors_stop(Machine *m)
{
    MonitorSet *set = m->monitors;

    if (!set) {
        return;
    }
    monitor_events_flush(set);
    for (guint i = 0; i < set->chardevs->len; i++) {
        MonitorChardev *c = g_ptr_array_index(set->chardevs, i);

        if (c->hmp) {
            hmp_monitor_free(c->hmp);
        } else {
            qmp_session_free(c->qmp);
        }
        chardev_flush(c->chr);
        chardev_set_handlers(c->chr, NULL, NULL);
        g_free(c);
    }
    g_ptr_array_set_size(set->chardevs, 0);
    m->monitors = NULL;
}

void monitors_shutdown(Machine *m, const char *reason)
{
    if (m->monitors) {
        monitor_quit(m->monitors, reason);
    } else {
        machine_exit(m, 0);
    }
}
