/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP and HMP about network cards: set_link, announce-self, info network. Main loop's thread; a
 * card hears of it on its own thread, so that nothing here waits.
 */
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "hmp-run.h"
#include "machine.h"
#include "net-announce.h"
#include "net.h"
#include "qmp-handlers.h"

bool qmp_set_link(QmpCall *call, GError **errp)
{
    return net_set_link(call->machine, qmp_arg_str(call, "name"), qmp_arg_bool(call, "up", false),
                        errp);
}

typedef struct Bound {
    const char *name;
    int64_t most;
} Bound;

/* The numbers of announce-self, within the bounds of the parameters announce-*. */
static bool take_params(const QmpCall *call, NetAnnounceParams *p, GError **errp)
{
    static const Bound bounds[] = {
        { "initial", 100000 }, { "max", 100000 }, { "rounds", 1000 }, { "step", 10000 },
    };
    uint64_t *const values[] = { &p->initial, &p->max, &p->rounds, &p->step };

    for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++) {
        int64_t v = qmp_arg_int(call, bounds[i].name, 0);

        if (v < 0 || v > bounds[i].most) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "Parameter '%s' expects a value between 0 and %" PRId64,
                           bounds[i].name, bounds[i].most);
        }
        *values[i] = v;
    }
    return true;
}

bool qmp_announce_self(QmpCall *call, GError **errp)
{
    json_object *list = jo_get(call->args, "interfaces");
    size_t n = list ? json_object_array_length(list) : 0;
    g_autofree const char **names = g_new0(const char *, n + 1);
    NetAnnounceParams p;

    for (size_t i = 0; i < n; i++) {
        names[i] = json_object_get_string(json_object_array_get_idx(list, i));
    }
    if (!take_params(call, &p, errp)) {
        return false;
    }
    net_announce(call->machine, &p, list ? names : NULL, qmp_arg_str(call, "id"));
    return true;
}

void hmp_set_link(HmpCall *call)
{
    g_autoptr(GError) err = NULL;

    net_set_link(call->machine, call->strings[0], call->flags[1], &err);
    hmp_error(call, err);
}

void hmp_announce_self(HmpCall *call)
{
    const char *list = call->strings[0];
    g_auto(GStrv) names = g_strsplit(list ? list : "", ",", -1);
    NetAnnounceParams p = net_announce_params(call->machine);

    net_announce(call->machine, &p, list ? (const char *const *)names : NULL, call->strings[1]);
}

static void put_card(const NetInfo *i, void *opaque)
{
    HmpCall *call = opaque;

    if (i->device) {
        hmp_printf(call, "%s: index=0,type=nic,model=virtio-net-device,link=%s\n \\ ", i->device,
                   i->link_up ? "up" : "down");
    }
    hmp_printf(call, "%s: index=0,type=%s,%s\n", i->id, i->type, i->text);
    hmp_printf(call, "   queues=%u, to the guest: %" PRIu64 " frames, from the guest: %" PRIu64
               ", dropped: %" PRIu64 "\n", i->queues, i->rx_frames, i->tx_frames, i->dropped);
}

void hmp_info_network(HmpCall *call)
{
    net_foreach(call->machine, put_card, call);
}
