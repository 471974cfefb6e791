/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a request to its response: checks the envelope, finds the command, checks the arguments
 * against the schema, calls the handler, turns its GError into a QMP error class. Error texts are
 * those that QMP clients match on. Main loop's thread.
 */
#include "qapi.h"
#include "qmp.h"

#include <string.h>

#include "error.h"
#include "monitor-set.h"
#include "qmp-handlers.h"
#include "trace.h"

json_object *qmp_error_response(const GError *err, json_object *request)
{
    json_object *response = jo_new(), *error = jo_new(), *id;
    const char *class = "GenericError";

    if (g_error_matches(err, GW_ERROR, GW_ERROR_COMMAND_NOT_FOUND)) {
        class = "CommandNotFound";
    } else if (g_error_matches(err, GW_ERROR, GW_ERROR_DEVICE_NOT_FOUND)) {
        class = "DeviceNotFound";
    }
    jo_str(error, "class", class);
    jo_str(error, "desc", err->message);
    json_object_object_add(response, "error", error);
    if (request && json_object_object_get_ex(request, "id", &id)) {
        json_object_object_add(response, "id", json_object_get(id));
    }
    return response;
}

/* One member of the envelope. */
static bool check_member(const QmpSession *s, json_object *request, const char *name,
                         json_object *v, GError **errp)
{
    bool is_command = strcmp(name, "execute") == 0 ||
                      (strcmp(name, "exec-oob") == 0 && s->oob);

    if (is_command) {
        if (json_object_get_type(v) != json_type_string) {
            return gw_fail(errp, GW_ERROR_GENERIC, "QMP input member '%s' must be a string", name);
        }
    } else if (strcmp(name, "arguments") == 0) {
        if (json_object_get_type(v) != json_type_object) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "QMP input member 'arguments' must be an object");
        }
    } else if (strcmp(name, "id") != 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "QMP input member '%s' is unexpected", name);
    }
    return true;
}

static bool check_envelope(const QmpSession *s, json_object *request, GError **errp)
{
    struct json_object_iterator it, end;
    bool execute, oob;

    if (json_object_get_type(request) != json_type_object) {
        return gw_fail(errp, GW_ERROR_GENERIC, "QMP input must be a JSON object");
    }
    it = json_object_iter_begin(request);
    end = json_object_iter_end(request);
    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
        if (!check_member(s, request, json_object_iter_peek_name(&it),
                          json_object_iter_peek_value(&it), errp)) {
            return false;
        }
    }
    execute = json_object_object_get_ex(request, "execute", NULL);
    oob = json_object_object_get_ex(request, "exec-oob", NULL);
    if (execute && oob) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "QMP input member 'execute' clashes with 'exec-oob'");
    }
    if (!execute && !oob) {
        return gw_fail(errp, GW_ERROR_GENERIC, "QMP input lacks member 'execute'");
    }
    return true;
}

/* Index of the command that may run now, -1 with *errp. */
static int find_command(const QmpSession *s, const char *name, bool oob, GError **errp)
{
    const bool negotiate = strcmp(name, "qmp_capabilities") == 0;
    int i = qapi_command_by_name(name);

    if (!s->negotiated && !negotiate) {
        gw_fail(errp, GW_ERROR_COMMAND_NOT_FOUND,
                "Expecting capabilities negotiation with 'qmp_capabilities'");
        return -1;
    }
    if (s->negotiated && negotiate) {
        gw_fail(errp, GW_ERROR_COMMAND_NOT_FOUND,
                "Capabilities negotiation is already complete, command ignored");
        return -1;
    }
    if (i < 0) {
        gw_fail(errp, GW_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found", name);
        return -1;
    }
    if (oob && !qapi_commands[i].oob) {
        gw_fail(errp, GW_ERROR_GENERIC, "The command %s does not support OOB", name);
        return -1;
    }
    return i;
}

static bool run(QmpSession *s, json_object *request, QmpCall *call, GError **errp)
{
    const char *name;
    bool oob, ok;
    int i;

    if (!check_envelope(s, request, errp)) {
        return false;
    }
    oob = json_object_object_get_ex(request, "exec-oob", NULL);
    name = jo_get_str(request, oob ? "exec-oob" : "execute");
    i = find_command(s, name, oob, errp);
    if (i < 0) {
        return false;
    }
    call->args = json_object_get(jo_get(request, "arguments"));
    if (!call->args) {
        call->args = jo_new();
    }
    trace_event(qmp_command, "%s %s", name, json_object_to_json_string(call->args));
    ok = qapi_check(qapi_commands[i].args, call->args, NULL, errp) && qmp_handlers[i](call, errp);
    json_object_put(call->args);
    return ok;
}

json_object *qmp_dispatch(QmpSession *s, json_object *request, bool *quit)
{
    QmpCall call = {.machine = s->set->machine, .set = s->set, .session = s};
    g_autoptr(GError) err = NULL;
    json_object *response, *id;

    if (!run(s, request, &call, &err)) {
        json_object_put(call.ret);
        return qmp_error_response(err, json_object_is_type(request, json_type_object) ? request
                                                                                     : NULL);
    }
    *quit = call.quit;
    response = jo_new();
    json_object_object_add(response, "return", call.ret ? call.ret : jo_new());
    if (json_object_object_get_ex(request, "id", &id)) {
        json_object_object_add(response, "id", json_object_get(id));
    }
    return response;
}
