/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QMP session: one client on one byte stream. Main loop's thread only.
 */
#ifndef MONITOR_QMP_H
#define MONITOR_QMP_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>
#include <json-c/json.h>

#include "qmp-parser.h"

struct MonitorSet;

/* The byte stream under a session. */
typedef struct QmpSink {
    void (*write)(void *opaque, const char *buf, size_t len);
    /* The oldest descriptor that came with the input (SCM_RIGHTS), -1 if there is none. */
    int (*take_fd)(void *opaque);
} QmpSink;

typedef struct QmpSession {
    struct MonitorSet *set;
    const QmpSink *sink;
    void *opaque;
    QmpParser *parser;
    bool pretty;
    bool open;       /* a client is there */
    bool negotiated; /* qmp_capabilities was sent */
    bool oob;        /* the client enabled it */
} QmpSession;

QmpSession *qmp_session_new(struct MonitorSet *set, const QmpSink *sink, void *opaque,
                            bool pretty);
void qmp_session_free(QmpSession *s);
/* A client came: sends the greeting. */
void qmp_session_open(QmpSession *s);
void qmp_session_close(QmpSession *s);
void qmp_session_input(QmpSession *s, const char *buf, size_t len);
/* Sends one object (borrowed). */
void qmp_session_send(QmpSession *s, json_object *o);

/* qmp-dispatch.c: carries out one request and returns the response (the caller puts it). *quit is
 * set if the process is to end once the response is sent. */
json_object *qmp_dispatch(QmpSession *s, json_object *request, bool *quit);
/* {"error": ...} for an error that has no request. */
json_object *qmp_error_response(const GError *err, json_object *request);
/* What the greeting and query-version say (ownership passes). */
json_object *qmp_version_info(void);

#endif
