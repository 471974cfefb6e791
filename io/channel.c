/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GwChannel: the object around an operations table. References, the loops that move all of a
 * buffer, and the channel's name in front of every error. Holds no lock: the name changes before
 * the channel is shared, the count is atomic, everything else is the operations' business.
 */
#include "migration/channel.h"

#include <limits.h>
#include <string.h>

#include "error.h"

struct GwChannel {
    GwChannelOps ops;
    void *opaque;
    unsigned features;
    char *name;
    unsigned refs; /* atomic */
};

GwChannel *gw_channel_new(const GwChannelOps *ops, void *opaque, unsigned features,
                          const char *name)
{
    GwChannel *ch = g_new0(GwChannel, 1);

    /* A caller built against an older header has a shorter table: the rest stays NULL. */
    memcpy(&ch->ops, ops, MIN(ops->size, sizeof(ch->ops)));
    ch->opaque = opaque;
    ch->features = features;
    ch->name = g_strdup(name);
    ch->refs = 1;
    return ch;
}

GwChannel *gw_channel_ref(GwChannel *ch)
{
    __atomic_add_fetch(&ch->refs, 1, __ATOMIC_RELAXED);
    return ch;
}

void gw_channel_unref(GwChannel *ch)
{
    /* Release: our uses happen before the free; acquire: the freeing thread sees them all. */
    if (!ch || __atomic_sub_fetch(&ch->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    if (ch->ops.destroy) {
        ch->ops.destroy(ch->opaque);
    }
    g_free(ch->name);
    g_free(ch);
}

bool gw_channel_has(const GwChannel *ch, GwChannelFeature feature)
{
    return (ch->features & feature) != 0;
}

const char *gw_channel_name(const GwChannel *ch)
{
    return ch->name;
}

void gw_channel_set_name(GwChannel *ch, const char *name)
{
    char *old = ch->name;

    ch->name = g_strdup(name);
    g_free(old);
}

/* Every operation's result passes here, so that its error says which channel it was. */
static ssize_t named(const GwChannel *ch, ssize_t ret, GError **errp)
{
    if (ret < 0) {
        g_prefix_error(errp, "channel '%s': ", ch->name);
    }
    return ret;
}

static ssize_t unsupported(const GwChannel *ch, const char *what, GError **errp)
{
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "channel '%s': %s", ch->name, what);
    return -1;
}

ssize_t gw_channel_readv(GwChannel *ch, const struct iovec *iov, int n, GError **errp)
{
    return named(ch, ch->ops.readv(ch->opaque, iov, MIN(n, IOV_MAX), errp), errp);
}

ssize_t gw_channel_writev(GwChannel *ch, const struct iovec *iov, int n, GError **errp)
{
    return named(ch, ch->ops.writev(ch->opaque, iov, MIN(n, IOV_MAX), errp), errp);
}

bool gw_channel_read_all(GwChannel *ch, void *buf, size_t len, GError **errp)
{
    size_t done = 0;

    while (done < len) {
        const struct iovec iov = { (char *)buf + done, len - done };
        const ssize_t n = gw_channel_readv(ch, &iov, 1, errp);

        if (n < 0) {
            return false;
        }
        if (n == 0) {
            return gw_fail(errp, GW_ERROR_EOF,
                           "channel '%s': the stream ended after %zu of %zu bytes", ch->name, done,
                           len);
        }
        done += (size_t)n;
    }
    return true;
}

bool gw_channel_write_all(GwChannel *ch, const void *buf, size_t len, GError **errp)
{
    struct iovec iov = { (void *)buf, len };

    return gw_channel_writev_all(ch, &iov, 1, errp);
}

bool gw_channel_writev_all(GwChannel *ch, struct iovec *iov, int n, GError **errp)
{
    for (;;) {
        ssize_t put;

        while (n > 0 && iov->iov_len == 0) {
            iov++;
            n--;
        }
        if (n == 0) {
            return true;
        }
        put = gw_channel_writev(ch, iov, n, errp);
        if (put < 0) {
            return false;
        }
        if (put == 0) {
            return gw_fail(errp, GW_ERROR_IO, "channel '%s': it takes no more data", ch->name);
        }
        while (n > 0 && (size_t)put >= iov->iov_len) {
            put -= (ssize_t)iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + put;
            iov->iov_len -= (size_t)put;
        }
    }
}

ssize_t gw_channel_peek(GwChannel *ch, void *buf, size_t len, GError **errp)
{
    if (!ch->ops.peek) {
        return unsupported(ch, "this transport cannot look ahead", errp);
    }
    return named(ch, ch->ops.peek(ch->opaque, buf, len, errp), errp);
}

ssize_t gw_channel_preadv(GwChannel *ch, const struct iovec *iov, int n, off_t at, GError **errp)
{
    if (!ch->ops.preadv) {
        return unsupported(ch, "Migration requires seekable transport (e.g. file)", errp);
    }
    return named(ch, ch->ops.preadv(ch->opaque, iov, MIN(n, IOV_MAX), at, errp), errp);
}

ssize_t gw_channel_pwritev(GwChannel *ch, const struct iovec *iov, int n, off_t at, GError **errp)
{
    if (!ch->ops.pwritev) {
        return unsupported(ch, "Migration requires seekable transport (e.g. file)", errp);
    }
    return named(ch, ch->ops.pwritev(ch->opaque, iov, MIN(n, IOV_MAX), at, errp), errp);
}

int gw_channel_wait_readable(GwChannel *ch, int timeout_ms, GError **errp)
{
    if (!ch->ops.wait_readable) {
        return (int)unsupported(ch, "this transport cannot be waited for", errp);
    }
    return (int)named(ch, ch->ops.wait_readable(ch->opaque, timeout_ms, errp), errp);
}

void gw_channel_shutdown(GwChannel *ch)
{
    if (ch->ops.shutdown) {
        ch->ops.shutdown(ch->opaque);
    }
}

bool gw_channel_finish(GwChannel *ch, GError **errp)
{
    return !ch->ops.finish || named(ch, ch->ops.finish(ch->opaque, errp) ? 0 : -1, errp) == 0;
}

int gw_channel_fd(GwChannel *ch)
{
    return ch->ops.get_fd ? ch->ops.get_fd(ch->opaque) : -1;
}
