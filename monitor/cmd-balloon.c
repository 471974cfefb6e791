/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP balloon and query-balloon, HMP balloon and info balloon. Main loop's thread; never waits for
 * the guest, which takes its time: BALLOON_CHANGE says how far it is.
 */
#include "qmp-handlers.h"

#include "error.h"
#include "hmp-run.h"
#include "monitor-set.h"

static bool need(const Machine *m, GError **errp)
{
    return m->balloon || gw_fail(errp, GW_ERROR_GENERIC, "No balloon device has been activated: "
                                 "give -device virtio-balloon-device");
}

bool qmp_balloon(QmpCall *call, GError **errp)
{
    const MachineBalloon *b = call->machine->balloon;
    const int64_t value = qmp_arg_int(call, "value", 0);

    if (!need(call->machine, errp)) {
        return false;
    }
    if (value <= 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter 'target' expects a size");
    }
    b->set_target(b->opaque, (uint64_t)value);
    return true;
}

bool qmp_query_balloon(QmpCall *call, GError **errp)
{
    const MachineBalloon *b = call->machine->balloon;

    if (!need(call->machine, errp)) {
        return false;
    }
    call->ret = jo_new();
    jo_uint(call->ret, "actual", b->actual(b->opaque));
    return true;
}

void hmp_balloon(HmpCall *call)
{
    const MachineBalloon *b = call->machine->balloon;
    g_autoptr(GError) err = NULL;
    const uint64_t mib = call->numbers[0];

    if (!need(call->machine, &err)) {
        hmp_error(call, err);
    } else if (mib > 0 && mib <= UINT64_MAX >> 20) {
        b->set_target(b->opaque, mib << 20);
    } else {
        hmp_printf(call, "Error: Parameter 'target' expects a size in MiB\n");
    }
}

void hmp_info_balloon(HmpCall *call)
{
    const MachineBalloon *b = call->machine->balloon;
    g_autoptr(GError) err = NULL;

    if (!need(call->machine, &err)) {
        hmp_error(call, err);
        return;
    }
    hmp_printf(call, "balloon: actual=%" G_GUINT64_FORMAT "\n", b->actual(b->opaque) >> 20);
}
