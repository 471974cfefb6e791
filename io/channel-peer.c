/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is at the other end of a channel, as far as the kernel knows. It tells a stranger's
 * connection from the source's where nothing on the wire does; it is no proof of identity, which
 * TLS gives. No state, any thread. Spec: channels 4.2.
 */
#include "migration/channel.h"

#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

typedef struct Peer {
    int family;  /* AF_UNSPEC: not a socket */
    uint8_t id[16]; /* address, context or user; the rest is zero */
} Peer;

static void peer_of(GwChannel *ch, Peer *p)
{
    const int fd = gw_channel_fd(ch);
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);
    struct ucred user = { 0 };
    socklen_t user_len = sizeof(user);

    memset(p, 0, sizeof(*p));
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&ss, &len) < 0) {
        return;
    }
    p->family = ss.ss_family;
    switch (ss.ss_family) {
    case AF_INET:
        memcpy(p->id, &((struct sockaddr_in *)&ss)->sin_addr, sizeof(struct in_addr));
        break;
    case AF_INET6:
        memcpy(p->id, &((struct sockaddr_in6 *)&ss)->sin6_addr, sizeof(struct in6_addr));
        break;
    case AF_VSOCK:
        memcpy(p->id, &((struct sockaddr_vm *)&ss)->svm_cid, sizeof(unsigned));
        break;
    default:
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &user_len) == 0) {
            memcpy(p->id, &user.uid, sizeof(user.uid));
        }
        break;
    }
}

bool gw_channel_same_peer(GwChannel *a, GwChannel *b)
{
    Peer pa, pb;

    peer_of(a, &pa);
    peer_of(b, &pb);
    return pa.family == AF_UNSPEC || pb.family == AF_UNSPEC ||
           (pa.family == pb.family && memcmp(pa.id, pb.id, sizeof(pa.id)) == 0);
}
