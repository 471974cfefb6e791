/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: a byte stream to or from a peer, and the addresses that name one.
 *
 * A channel is an object with operations, so that page placement and page source are not tied to
 * TCP: sockets, pipes, files, TLS sessions and in-memory pairs of a test all look alike.
 * All calls block. gw_channel_shutdown() may be called from any thread and makes every blocked and
 * future call of the other threads return; everything else belongs to one reader and one writer.
 * Wire facts: the transports table of the protocol pages in docs/devel/migration/.
 */
#ifndef MIGRATION_CHANNEL_H
#define MIGRATION_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <glib.h>

typedef struct GwChannel GwChannel;

typedef enum GwChannelFeature {
    GW_CHANNEL_DUPLEX = 1 << 0,   /* the other direction works: a return path is possible */
    GW_CHANNEL_PEEK = 1 << 1,     /* gw_channel_peek() works */
    GW_CHANNEL_SEEKABLE = 1 << 2, /* positional reads and writes work */
    GW_CHANNEL_MULTI = 1 << 3,    /* further connections to the same address are possible */
} GwChannelFeature;

/* Operations; `size` is sizeof(GwChannelOps) of the caller, so that the table can grow. */
typedef struct GwChannelOps {
    size_t size;
    /* Bytes read (at least 1), 0 at the end of the stream, -1 with *errp. May be short. */
    ssize_t (*readv)(void *opaque, const struct iovec *iov, int n, GError **errp);
    /* Bytes written (at least 1), -1 with *errp. May be short. */
    ssize_t (*writev)(void *opaque, const struct iovec *iov, int n, GError **errp);
    /* Optional: copies up to len bytes that wait to be read, without consuming them. Blocks until
     * there is at least one. Same results as readv. */
    ssize_t (*peek)(void *opaque, void *buf, size_t len, GError **errp);
    /* Optional: positional I/O, for GW_CHANNEL_SEEKABLE. */
    ssize_t (*preadv)(void *opaque, const struct iovec *iov, int n, off_t at, GError **errp);
    ssize_t (*pwritev)(void *opaque, const struct iovec *iov, int n, off_t at, GError **errp);
    /* Wakes every blocked call, now and later. Any thread, any number of times. */
    void (*shutdown)(void *opaque);
    /* Waits until a read would not block: 1 readable (or ended), 0 timed out, -1 with *errp.
     * timeout_ms -1 waits for ever, 0 only looks. */
    int (*wait_readable)(void *opaque, int timeout_ms, GError **errp);
    /* Optional: flushes and ends the writing direction; errors that only show now (a full disk, a
     * failed command) are reported here. */
    bool (*finish)(void *opaque, GError **errp);
    /* Optional: the file descriptor, for tuning of buffers; -1 if there is none. */
    int (*get_fd)(void *opaque);
    /* Closes and frees. Called once, when the last reference goes. */
    void (*destroy)(void *opaque);
} GwChannelOps;

/* Makes a channel; the caller owns one reference. `name` is used in errors ("main", "preempt").
 * `features` is a mask of GwChannelFeature. */
GwChannel *gw_channel_new(const GwChannelOps *ops, void *opaque, unsigned features,
                          const char *name);
GwChannel *gw_channel_ref(GwChannel *ch);
void gw_channel_unref(GwChannel *ch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GwChannel, gw_channel_unref)

bool gw_channel_has(const GwChannel *ch, GwChannelFeature feature);
const char *gw_channel_name(const GwChannel *ch);
void gw_channel_set_name(GwChannel *ch, const char *name);
ssize_t gw_channel_readv(GwChannel *ch, const struct iovec *iov, int n, GError **errp);
ssize_t gw_channel_writev(GwChannel *ch, const struct iovec *iov, int n, GError **errp);
/* All of it or an error; a short stream is GW_ERROR_EOF. writev_all may change iov. */
bool gw_channel_read_all(GwChannel *ch, void *buf, size_t len, GError **errp);
bool gw_channel_write_all(GwChannel *ch, const void *buf, size_t len, GError **errp);
bool gw_channel_writev_all(GwChannel *ch, struct iovec *iov, int n, GError **errp);
ssize_t gw_channel_peek(GwChannel *ch, void *buf, size_t len, GError **errp);
ssize_t gw_channel_preadv(GwChannel *ch, const struct iovec *iov, int n, off_t at, GError **errp);
ssize_t gw_channel_pwritev(GwChannel *ch, const struct iovec *iov, int n, off_t at, GError **errp);
int gw_channel_wait_readable(GwChannel *ch, int timeout_ms, GError **errp);
void gw_channel_shutdown(GwChannel *ch);
bool gw_channel_finish(GwChannel *ch, GError **errp);
/* Whether the same peer is at the other end of both, as far as the kernel tells: the same address
 * (tcp), context (vsock) or user (unix); true for what has no such thing. */
bool gw_channel_same_peer(GwChannel *a, GwChannel *b);
int gw_channel_fd(GwChannel *ch);
/* Keeps the queue in the connection's buffers short, so that what is sent next arrives soon, where
 * that costs no throughput: on one machine and on networks of a short round trip. For the life of
 * the connection; call it at both ends. False: not done. */
bool gw_channel_keep_shallow(GwChannel *ch);

/* ---- addresses ---- */

typedef enum GwTransport {
    GW_TRANSPORT_TCP,
    GW_TRANSPORT_UNIX,
    GW_TRANSPORT_VSOCK,
    GW_TRANSPORT_FD,
    GW_TRANSPORT_EXEC,
    GW_TRANSPORT_FILE,
} GwTransport;

/* Strings are owned by the address. */
typedef struct GwAddress {
    GwTransport transport;
    char *host;     /* tcp; "" means any address when listening */
    char *port;     /* tcp: number or service; vsock: port */
    int family;     /* tcp: 0 any, 4 or 6: the only IP version to use */
    char *path;     /* unix, file */
    char *fd;       /* fd: a name given to the monitor, or an inherited number */
    char **argv;    /* exec, NULL-terminated */
    uint64_t offset; /* file, bytes */
    uint32_t cid;   /* vsock */
} GwAddress;

/* Parses tcp:HOST:PORT, tcp:[V6]:PORT, unix:PATH, vsock:CID:PORT, fd:NAME, exec:COMMAND and
 * file:PATH[,offset=SIZE]. Unknown words: "unknown migration protocol: X". Caller frees. */
GwAddress *gw_address_parse_uri(const char *uri, GError **errp);
char *gw_address_to_uri(const GwAddress *addr);
GwAddress *gw_address_copy(const GwAddress *addr);
void gw_address_free(GwAddress *addr);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GwAddress, gw_address_free)

/* ---- outgoing ---- */

/* Lets another thread end a connect or accept that waits. */
typedef struct GwCancel GwCancel;
GwCancel *gw_cancel_new(void);
void gw_cancel_trigger(GwCancel *c); /* any thread */
bool gw_cancel_is_triggered(const GwCancel *c);
void gw_cancel_free(GwCancel *c);

/* How fd:NAME finds its descriptor: returns an open descriptor that the channel takes over, or -1
 * with *errp. Numbers that were inherited are resolved by the engine itself when this is NULL. It
 * also gets paths of fd sets (/dev/fdset/N) of file: addresses; `flags` is the open(2) access
 * mode. */
typedef int (*GwFdResolver)(void *opaque, const char *name, int flags, GError **errp);

/* Opens the sending side of a channel. Blocks (tcp, unix, vsock) until connected, refused or
 * cancelled; `cancel` may be NULL. file: creates with mode 0600 and truncates to the offset. */
GwChannel *gw_channel_connect(const GwAddress *addr, GwFdResolver fds, void *fds_opaque,
                              GwCancel *cancel, GError **errp);

/* ---- incoming ---- */

typedef struct GwListener GwListener;

/* Binds and listens at once, so that a port in use is an error here. For fd, exec and file the
 * "listener" yields exactly one channel. `backlog` is the number of connections to queue. */
GwListener *gw_listener_new(const GwAddress *addr, int backlog, GwFdResolver fds,
                            void *fds_opaque, GError **errp);
/* The addresses in use, port 0 replaced by the port chosen; caller frees each (GPtrArray with a
 * free function). Empty for fd, exec, file. Any thread. */
GPtrArray *gw_listener_addresses(const GwListener *l);
/* Waits for the next connection; NULL with GW_ERROR_CANCELLED after gw_listener_cancel(). */
GwChannel *gw_listener_accept(GwListener *l, GError **errp);
/* The same for at most timeout_ms (-1: for ever); NULL with GW_ERROR_IO when nobody came. */
GwChannel *gw_listener_accept_within(GwListener *l, int timeout_ms, GError **errp);
/* The same, or until one of the n channels (sockets, at most GW_LISTENER_WATCH_MAX) has something
 * to be read or has ended: then NULL without an error, and *ready is its index. */
#define GW_LISTENER_WATCH_MAX 8
GwChannel *gw_listener_accept_or_ready(GwListener *l, GwChannel *const *channels, unsigned n,
                                       int timeout_ms, unsigned *ready, GError **errp);
/* Ends a waiting accept and all later ones. Any thread. */
void gw_listener_cancel(GwListener *l);
bool gw_listener_is_cancelled(const GwListener *l); /* any thread */
void gw_listener_free(GwListener *l);

#endif
