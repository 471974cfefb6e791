/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a QMP command handler gets and gives. Handlers run on the main loop's thread, must not wait
 * for a peer, and find their arguments checked against the schema. The list of handlers,
 * qmp-handlers.h, is made from the schema.
 */
#ifndef QMP_CALL_H
#define QMP_CALL_H

#include <stdbool.h>

#include <glib.h>

#include "json-util.h"

struct Machine;
struct MonitorSet;
struct QmpSession;

typedef struct QmpCall {
    struct Machine *machine;
    struct MonitorSet *set;
    struct QmpSession *session; /* who asks */
    json_object *args;          /* an object, never NULL */
    json_object *ret;           /* set by the handler, ownership passes; NULL: {} */
    bool quit;                  /* set by the handler: end the process after the reply */
} QmpCall;

/* False with *errp: the code chooses the QMP error class. */
typedef bool (*QmpHandler)(QmpCall *call, GError **errp);

static inline bool qmp_arg_bool(const QmpCall *call, const char *name, bool def)
{
    json_object *v = jo_get(call->args, name);

    return v ? json_object_get_boolean(v) : def;
}

static inline int64_t qmp_arg_int(const QmpCall *call, const char *name, int64_t def)
{
    json_object *v = jo_get(call->args, name);

    return v ? json_object_get_int64(v) : def;
}

static inline const char *qmp_arg_str(const QmpCall *call, const char *name)
{
    return jo_get_str(call->args, name);
}

#endif
