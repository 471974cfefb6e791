/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP yank and query-yank. The migration's connection is the only one that can hang: chardevs never
 * wait for their peer. Main loop's thread; nothing here waits.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "error.h"
#include "machine.h"

bool qmp_yank(QmpCall *call, GError **errp)
{
    MigrationState *ms = call->machine->migration;
    json_object *list = jo_get(call->args, "instances");
    const size_t n = json_object_array_length(list);

    for (size_t i = 0; i < n; i++) {
        const char *type = jo_get_str(json_object_array_get_idx(list, i), "type");

        if (strcmp(type, "migration") != 0 || !gw_migration_can_yank(ms)) {
            return gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND, "Instance not found");
        }
    }
    if (n > 0) {
        gw_migration_yank(ms);
    }
    return true;
}

bool qmp_query_yank(QmpCall *call, GError **errp)
{
    call->ret = jo_array();
    if (gw_migration_can_yank(call->machine->migration)) {
        json_object *o = jo_new();

        jo_str(o, "type", "migration");
        json_object_array_add(call->ret, o);
    }
    return true;
}
