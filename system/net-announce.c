/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Announcements of network cards, in rounds: the first after `initial` ms, each further one `step`
 * later than the last, but no more than `max` apart. After a migration that goes by the parameters
 * announce-*; the QMP command announce-self has its own.
 *
 * Timers run in the main loop, which also owns the list. The guest's start is reported on any
 * thread: it only schedules.
 */
#include "net-announce.h"

#include <string.h>

#include "machine.h"
#include "net-priv.h"
#include "trace.h"

typedef struct Series {
    Machine *machine;
    char *id;           /* NULL: the one without a name */
    char **names;       /* NULL: all cards */
    NetAnnounceParams p;
    uint64_t round;     /* that were sent */
    GSource *timer;
} Series;

struct NetAnnouncer {
    GPtrArray *series;  /* of Series */
    GSource *arrival;   /* made ready when the guest starts */
    bool arrived;       /* atomic: a guest came by migration and has not been announced */
};

static void series_free(gpointer p)
{
    Series *s = p;

    g_source_destroy(s->timer);
    g_source_unref(s->timer);
    g_free(s->id);
    g_strfreev(s->names);
    g_free(s);
}

static uint64_t delay_of(const NetAnnounceParams *p, uint64_t round)
{
    return round ? MIN(p->initial + round * p->step, p->max) : p->initial;
}

static bool is_meant(const Series *s, const NetBackend *nb)
{
    return !s->names || g_strv_contains((const char *const *)s->names, nb->dev_name) ||
           g_strv_contains((const char *const *)s->names, nb->conf->id);
}

static void announce_all(const Series *s)
{
    const GPtrArray *list = s->machine->netdevs;

    for (guint i = 0; i < list->len; i++) {
        NetBackend *nb = list->pdata[i];

        if (nb->dev_ops && is_meant(s, nb)) {
            net_request(nb, NET_REQUEST_ANNOUNCE);
        }
    }
}

static gboolean round_is_due(gpointer opaque);

static void set_timer(Series *s)
{
    s->timer = g_timeout_source_new(delay_of(&s->p, s->round));
    g_source_set_callback(s->timer, round_is_due, s, NULL);
    g_source_attach(s->timer, NULL);
}

static gboolean round_is_due(gpointer opaque)
{
    Series *s = opaque;

    trace_event(net_announce_round, "%s round %" G_GUINT64_FORMAT, s->id ? s->id : "", s->round);
    announce_all(s);
    if (++s->round < s->p.rounds) {
        g_source_unref(s->timer);
        set_timer(s);
    } else {
        g_ptr_array_remove_fast(s->machine->announcer->series, s);
    }
    return G_SOURCE_REMOVE;
}

void net_announce(Machine *m, const NetAnnounceParams *p, const char *const *names, const char *id)
{
    GPtrArray *list = m->announcer->series;

    for (guint i = 0; i < list->len; i++) {
        if (g_strcmp0(((Series *)list->pdata[i])->id, id) == 0) {
            g_ptr_array_remove_index_fast(list, i);
            break;
        }
    }
    if (!p->rounds) {
        return;
    }
    Series *s = g_new0(Series, 1);

    s->machine = m;
    s->id = g_strdup(id);
    s->names = g_strdupv((char **)names);
    s->p = *p;
    g_ptr_array_add(list, s);
    set_timer(s);
}

/* ---- after a migration ---- */

NetAnnounceParams net_announce_params(Machine *m)
{
    MigrationState *ms = m->migration;

    return (NetAnnounceParams){
        .initial = gw_param_get(ms, MIGRATION_PARAM_ANNOUNCE_INITIAL),
        .max = gw_param_get(ms, MIGRATION_PARAM_ANNOUNCE_MAX),
        .rounds = gw_param_get(ms, MIGRATION_PARAM_ANNOUNCE_ROUNDS),
        .step = gw_param_get(ms, MIGRATION_PARAM_ANNOUNCE_STEP),
    };
}

static gboolean guest_is_here(GSource *source, GSourceFunc callback, gpointer opaque)
{
    Machine *m = opaque;
    NetAnnounceParams p = net_announce_params(m);

    g_source_set_ready_time(source, -1);
    net_announce(m, &p, NULL, NULL);
    return G_SOURCE_CONTINUE;
}

static gboolean call(gpointer opaque)
{
    return G_SOURCE_CONTINUE; /* never called: guest_is_here() does it all */
}

static GSourceFuncs arrival_funcs = { .dispatch = guest_is_here };

/* A guest that arrived stopped is announced when it starts. Any thread. */
static void run_state_changed(void *opaque, RunState old, RunState now)
{
    struct NetAnnouncer *a = ((Machine *)opaque)->announcer;

    if (old == RUN_STATE_INMIGRATE) {
        __atomic_store_n(&a->arrived, true, __ATOMIC_RELAXED);
    }
    if (now == RUN_STATE_RUNNING && __atomic_exchange_n(&a->arrived, false, __ATOMIC_RELAXED)) {
        g_source_set_ready_time(a->arrival, 0);
    }
}

void net_announce_init(Machine *m)
{
    struct NetAnnouncer *a = g_new0(struct NetAnnouncer, 1);

    a->series = g_ptr_array_new_with_free_func(series_free);
    a->arrival = g_source_new(&arrival_funcs, sizeof(GSource));
    g_source_set_callback(a->arrival, call, m, NULL);
    g_source_attach(a->arrival, NULL);
    m->announcer = a;
    runstate_add_notify(m->run_state, run_state_changed, m);
}

void net_announce_free(Machine *m)
{
    struct NetAnnouncer *a = m->announcer;

    if (a) {
        g_source_destroy(a->arrival);
        g_source_unref(a->arrival);
        g_ptr_array_unref(a->series);
        g_clear_pointer(&m->announcer, g_free);
    }
}
