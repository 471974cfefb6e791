/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Destination side of the return path: writes whole messages, from any thread, one at a time under
 * in.rp_lock (a leaf lock that only return-path writers take; a write blocks only while the source
 * does not read, and a shutdown of the channel ends it).
 * Wire: spec commands 3.2.
 */
#include "return-path.h"

#include <string.h>

#include "error.h"

static GwChannel *open_channel(MigrationState *ms, GError **errp)
{
    LOCK_GUARD(&ms->lock);

    if (ms->in.rp_open && ms->in.channel) {
        return gw_channel_ref(ms->in.channel);
    }
    gw_fail(errp, GW_ERROR_IO, "return path: it is not open");
    return NULL;
}

bool rp_send_locked(MigrationState *ms, uint16_t type, const void *payload, uint16_t len,
                    GError **errp)
{
    uint16_t head[2] = {GUINT16_TO_BE(type), GUINT16_TO_BE(len)};
    struct iovec iov[2] = {
        {.iov_base = head, .iov_len = sizeof(head)},
        {.iov_base = (void *)payload, .iov_len = len},
    };
    g_autoptr(GwChannel) ch = open_channel(ms, errp);

    return ch && gw_channel_writev_all(ch, iov, len ? 2 : 1, errp);
}

bool rp_send_blob_locked(MigrationState *ms, const void *blob, size_t len, GError **errp)
{
    g_autoptr(GwChannel) ch = open_channel(ms, errp);

    return ch && gw_channel_write_all(ch, blob, len, errp);
}

bool rp_send(MigrationState *ms, uint16_t type, const void *payload, uint16_t len, GError **errp)
{
    LOCK_GUARD(&ms->in.rp_lock);

    return rp_send_locked(ms, type, payload, len, errp);
}

bool rp_send_u32(MigrationState *ms, uint16_t type, uint32_t value, GError **errp)
{
    const uint32_t be = GUINT32_TO_BE(value);

    return rp_send(ms, type, &be, sizeof(be), errp);
}
