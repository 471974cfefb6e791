/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands that save guest memory to files. Main loop's thread. */
#include "qmp-handlers.h"

#include "error.h"
#include "guest-memory.h"
#include "machine.h"

static bool save(QmpCall *call, int vcpu, GError **errp)
{
    const GuestView view = {.set = call->set, .vcpu = vcpu};
    const uint64_t addr = (uint64_t)qmp_arg_int(call, "val", 0);
    const int64_t size = qmp_arg_int(call, "size", 0);

    if (size < 0 || addr + (uint64_t)size < addr) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Invalid addr 0x%016" G_GINT64_MODIFIER "x/size %" G_GINT64_FORMAT
                       " specified", addr, size);
    }
    return guest_view_save(&view, addr, (uint64_t)size, qmp_arg_str(call, "filename"), errp);
}

bool qmp_memsave(QmpCall *call, GError **errp)
{
    const int64_t cpu = qmp_arg_int(call, "cpu-index", 0);

    if (cpu < 0 || cpu >= call->machine->nr_vcpus) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter 'cpu-index' expects a CPU number");
    }
    return save(call, (int)cpu, errp);
}

bool qmp_pmemsave(QmpCall *call, GError **errp)
{
    return save(call, -1, errp);
}
