/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yank: ends a connection that hangs, on this side and without asking the peer. Precopy fails and
 * the guest goes on here; postcopy enters postcopy-paused. Any thread; ms->lock is held only while
 * channels are shut down, which never blocks. The threads that own them see the broken channel and
 * do the rest.
 */
#include "incoming.h"
#include "outgoing.h"
#include "postcopy-source.h"
#include "postcopy.h"
#include "trace.h"

static void shut(GwChannel *ch)
{
    if (ch) {
        gw_channel_shutdown(ch);
    }
}

/* Whether the outgoing half has, or tries to get, a connection. ms->lock held. */
static bool outgoing_is_connected(const MigrationState *ms)
{
    return outgoing_status_is_running(ms->out.status) &&
           ms->out.status != MIGRATION_STATUS_POSTCOPY_PAUSED;
}

static void yank_outgoing(MigrationState *ms)
{
    Outgoing *out = &ms->out;

    if (!outgoing_is_connected(ms)) {
        return;
    }
    out->yanked = true;
    out->pause_requested = outgoing_status_is_postcopy(out->status);
    gw_cancel_trigger(out->cancel);
    shut(out->channel);
    if (ms->postcopy_source) {
        shut(ms->postcopy_source->preempt.channel);
    }
    pthread_cond_broadcast(&out->cond);
}

static void yank_incoming(MigrationState *ms)
{
    Incoming *in = &ms->in;

    if (!in->channel) {
        return; /* at most it listens: nothing to be cut */
    }
    in->yanked = true;
    in->pause_requested = outgoing_status_is_postcopy(in->status);
    shut(in->channel);
    if (ms->postcopy_incoming) {
        shut(ms->postcopy_incoming->preempt_channel);
    }
    if (in->listener) {
        gw_listener_cancel(in->listener); /* the preempt connection may be waited for */
    }
    pthread_cond_broadcast(&in->cond);
}

bool gw_migration_can_yank(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    return outgoing_is_connected(ms) || ms->in.channel;
}

void gw_migration_yank(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    trace_event(migration_yank, "outgoing %s, incoming %s",
                gw_migration_status_name(ms->out.status), gw_migration_status_name(ms->in.status));
    yank_outgoing(ms);
    yank_incoming(ms);
}
