/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `tap`: frames to and from a tap interface of the host, one descriptor for each queue
 * pair; the interface is made here, or its descriptors are handed in. With virtio_net_hdr the
 * kernel does checksums and segmentation for both sides.
 *
 * No script is run: the interface is set up by who starts this program. Main thread to open, then
 * the card's thread and lock, see net-priv.h. Kernel interface: linux/if_tun.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "error.h"
#include "fd-table.h"
#include "machine.h"
#include "net-priv.h"

typedef struct Tap {
    char ifname[IFNAMSIZ];
} Tap;

static unsigned offload_bits(unsigned mask)
{
    return (mask & NET_OFFLOAD_CSUM ? TUN_F_CSUM : 0) | (mask & NET_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0) |
           (mask & NET_OFFLOAD_TSO6 ? TUN_F_TSO6 : 0) |
           (mask & NET_OFFLOAD_ECN ? TUN_F_TSO_ECN : 0) | (mask & NET_OFFLOAD_UFO ? TUN_F_UFO : 0);
}

static void tap_set_offload(NetBackend *nb, unsigned mask)
{
    for (unsigned i = 0; i < nb->nr_queues; i++) {
        ioctl(nb->queues[i].poll.fd, TUNSETOFFLOAD, (unsigned long)offload_bits(mask));
    }
}

static void tap_set_header(NetBackend *nb, unsigned len)
{
    int value = len;

    for (unsigned i = 0; i < nb->nr_queues; i++) {
        ioctl(nb->queues[i].poll.fd, TUNSETVNETHDRSZ, &value);
    }
}

/* Unused queues are detached, or the kernel would spread frames to where nobody reads. */
static void tap_set_active(NetBackend *nb, unsigned n)
{
    for (unsigned i = 0; nb->nr_queues > 1 && i < nb->nr_queues; i++) {
        struct ifreq ifr = { .ifr_flags = i < n ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

        ioctl(nb->queues[i].poll.fd, TUNSETQUEUE, &ifr); /* fails where it is so already */
    }
}

/* What the kernel can leave undone, found by trying. */
static void probe_offload(NetBackend *nb)
{
    const unsigned usual = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN;
    int fd = nb->queues[0].poll.fd;

    if (!nb->has_header) {
        return;
    }
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload_bits(usual)) == 0) {
        nb->can_offload = usual;
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload_bits(usual | NET_OFFLOAD_UFO)) == 0) {
            nb->can_offload |= NET_OFFLOAD_UFO;
        }
    }
    tap_set_offload(nb, 0);
}

static int make_queue(NetBackend *nb, Tap *t, GError **errp)
{
    const NetdevConfig *c = nb->conf;
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "could not open /dev/net/tun");
        return -1;
    }
    ifr.ifr_flags |= (nb->has_header ? IFF_VNET_HDR : 0) | (c->queues > 1 ? IFF_MULTI_QUEUE : 0);
    g_strlcpy(ifr.ifr_name, t->ifname, sizeof(ifr.ifr_name));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno,
                      "could not configure /dev/net/tun (%s)%s", *t->ifname ? t->ifname : "new",
                      errno == EPERM ? "; it needs CAP_NET_ADMIN, or hand a descriptor in with fd="
                                     : "");
        close(fd);
        return -1;
    }
    g_strlcpy(t->ifname, ifr.ifr_name, sizeof(t->ifname));
    return fd;
}

static int inherit_queue(NetBackend *nb, Tap *t, const char *name, GError **errp)
{
    struct ifreq ifr = { 0 };
    int fd = fd_table_take(nb->machine->fds, name, errp);

    if (fd < 0) {
        return -1;
    }
    if (ioctl(fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_TAP)) {
        gw_fail(errp, GW_ERROR_GENERIC, "descriptor '%s' is not one of a tap interface", name);
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (nb->conf->has_vnet_hdr && nb->conf->vnet_hdr != !!(ifr.ifr_flags & IFF_VNET_HDR)) {
        gw_fail(errp, GW_ERROR_GENERIC, "descriptor '%s' was made with vnet_hdr=%s", name,
                ifr.ifr_flags & IFF_VNET_HDR ? "on" : "off");
        close(fd);
        return -1;
    }
    nb->has_header = ifr.ifr_flags & IFF_VNET_HDR;
    g_strlcpy(t->ifname, ifr.ifr_name, sizeof(t->ifname));
    return fd;
}

static bool tap_open(NetBackend *nb, GError **errp)
{
    const NetdevConfig *c = nb->conf;
    Tap *t = g_new0(Tap, 1);

    nb->priv = t;
    nb->has_header = !c->has_vnet_hdr || c->vnet_hdr;
    if (c->ifname && g_strlcpy(t->ifname, c->ifname, sizeof(t->ifname)) >= sizeof(t->ifname)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "ifname=%s: longer than the %d bytes possible",
                       c->ifname, IFNAMSIZ - 1);
    }
    net_add_queues(nb, c->queues);
    for (unsigned i = 0; i < c->queues; i++) {
        int fd = c->fds->len ? inherit_queue(nb, t, g_ptr_array_index(c->fds, i), errp)
                             : make_queue(nb, t, errp);

        if (fd < 0) {
            return false;
        }
        net_queue_connect(&nb->queues[i], fd);
    }
    probe_offload(nb);
    if (nb->has_header) {
        net_set_header(nb, NET_HEADER_MIN);
    }
    tap_set_active(nb, 1);
    net_take_text(nb, c->fds->len
                          ? g_strdup_printf("fd=%s", (char *)c->fds->pdata[0])
                          : g_strdup_printf("ifname=%s,script=no,downscript=no", t->ifname));
    return true;
}

static bool tap_send(NetQueue *q, const struct iovec *iov, unsigned n)
{
    ssize_t r;

    do {
        r = writev(q->poll.fd, iov, n);
    } while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EAGAIN) {
        net_block_output(q);
        return false;
    }
    return true; /* other errors: the frame is lost, as on any network */
}

static void tap_close(NetBackend *nb)
{
    g_clear_pointer(&nb->priv, g_free);
}

const NetBackendOps net_tap_ops = {
    .type = "tap",
    .open = tap_open,
    .send = tap_send,
    .readable = net_packet_readable,
    .set_header = tap_set_header,
    .set_offload = tap_set_offload,
    .set_active = tap_set_active,
    .close = tap_close,
};
