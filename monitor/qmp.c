/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP sessions: greeting, requests in, responses and events out. Requests are carried out at once
 * and in order, out-of-band ones too: no handler waits, so that nothing could be overtaken.
 * Events that came before a response was made are sent before it. Main loop's thread.
 * Spec: qmp 5.3.
 */
#include "qmp.h"

#include <string.h>

#include "error.h"
#include "monitor-set.h"

static void on_value(void *opaque, json_object *value, const char *error)
{
    QmpSession *s = opaque;
    json_object *response;
    bool quit = false;

    if (error) {
        g_autoptr(GError) err = g_error_new_literal(GW_ERROR, GW_ERROR_GENERIC, error);

        response = qmp_error_response(err, NULL);
    } else {
        response = qmp_dispatch(s, value, &quit);
    }
    monitor_events_flush(s->set);
    qmp_session_send(s, response);
    json_object_put(response);
    if (quit) {
        monitor_quit(s->set, "host-qmp-quit");
    }
}

QmpSession *qmp_session_new(struct MonitorSet *set, const QmpSink *sink, void *opaque, bool pretty)
{
    QmpSession *s = g_new0(QmpSession, 1);

    s->set = set;
    s->sink = sink;
    s->opaque = opaque;
    s->pretty = pretty;
    s->parser = qmp_parser_new(on_value, s);
    g_ptr_array_add(set->qmp, s);
    return s;
}

void qmp_session_free(QmpSession *s)
{
    g_ptr_array_remove(s->set->qmp, s);
    qmp_parser_free(s->parser);
    g_free(s);
}

void qmp_session_send(QmpSession *s, json_object *o)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                (s->pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                           : JSON_C_TO_STRING_PLAIN);
    g_autofree char *text = NULL;

    if (s->open) {
        text = g_strconcat(json_object_to_json_string_ext(o, flags), "\r\n", NULL);
        s->sink->write(s->opaque, text, strlen(text));
    }
}

static json_object *greeting(void)
{
    json_object *o = jo_new(), *qmp = jo_new(), *caps = jo_array();

    json_object_array_add(caps, json_object_new_string("oob"));
    json_object_object_add(qmp, "version", qmp_version_info());
    json_object_object_add(qmp, "capabilities", caps);
    json_object_object_add(o, "QMP", qmp);
    return o;
}

void qmp_session_open(QmpSession *s)
{
    json_object *o = greeting();

    qmp_session_close(s);
    s->open = true;
    qmp_session_send(s, o);
    json_object_put(o);
}

void qmp_session_close(QmpSession *s)
{
    s->open = s->negotiated = s->oob = false;
    qmp_parser_reset(s->parser);
}

void qmp_session_input(QmpSession *s, const char *buf, size_t len)
{
    qmp_parser_feed(s->parser, buf, len);
}
