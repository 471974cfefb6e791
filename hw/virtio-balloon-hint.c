/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Free-page hints (virtio 1.2, 5.5.6.4): in the first pass of a migration the guest is asked, by a
 * new id in the configuration space, which pages it does not use. It answers in the hint queue:
 * with the id, then buffers that are such pages, then the id 0; and keeps the pages until the
 * configuration says "done".
 *
 *   REQUESTED --id--> START --0--> STOP
 *        \              \           \     the engine's window closes: DONE
 *
 * The engine opens and closes its window on the migration thread, which only sets hint_window and
 * rings hint_fd; the I/O thread does the rest, device's lock held. Whether a hint still counts is
 * the engine's decision (docs/devel/migration/free-page-hint): a buffer that comes late is returned
 * and means nothing.
 *
 * A guest that negotiated PAGE_POISON expects its pages to keep what they hold while they are free;
 * it is not asked.
 */
#include "virtio-balloon-internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "migration/free-page.h"
#include "trace.h"

/* ---- the engine's side; migration thread ---- */

static void set_window(VirtIOBalloon *s, bool open)
{
    const uint64_t one = 1;

    __atomic_store_n(&s->hint_window, open, __ATOMIC_RELEASE);
    if (write(s->hint_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        g_warning("virtio-balloon: eventfd: %s", g_strerror(errno));
    }
}

static void window_opened(void *opaque)
{
    set_window(opaque, true);
}

static void window_closed(void *opaque)
{
    set_window(opaque, false);
}

static const MigrationFreePageOps free_page_ops = {
    .size = sizeof(free_page_ops), .open = window_opened, .close = window_closed,
};

/* ---- the guest's side; I/O thread ---- */

static void set_status(VirtIOBalloon *s, uint32_t status)
{
    s->hint_status = status;
    trace_event(virtio_balloon_hint, "id 0x%x: %s", s->hint_id,
                status == HINT_REQUESTED ? "requested" : status == HINT_START ? "start"
                                         : status == HINT_STOP ? "stop" : "done");
}

static bool may_ask(const VirtIOBalloon *s)
{
    return virtio_has_feature(&s->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT) &&
           !virtio_has_feature(&s->vdev, VIRTIO_BALLOON_F_PAGE_POISON) &&
           (s->vdev.status & VIRTIO_CONFIG_S_DRIVER_OK);
}

void balloon_hint_update(VirtIOBalloon *s)
{
    const bool open = __atomic_load_n(&s->hint_window, __ATOMIC_ACQUIRE);
    const bool asked = s->hint_status == HINT_REQUESTED || s->hint_status == HINT_START;

    if (open && !asked && may_ask(s)) {
        s->hint_id = s->hint_id < HINT_ID_MIN || s->hint_id == UINT32_MAX ? HINT_ID_MIN
                                                                          : s->hint_id + 1;
        set_status(s, HINT_REQUESTED);
        virtio_notify_config(&s->vdev);
    } else if (!open && s->hint_status != HINT_DONE && s->hint_id) {
        set_status(s, HINT_DONE);
        virtio_notify_config(&s->vdev);
    }
}

static void on_window(VirtIODevice *vdev, void *opaque)
{
    VirtIOBalloon *s = opaque;
    uint64_t n;

    if (read(s->hint_fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        g_warning("virtio-balloon: eventfd: %s", g_strerror(errno));
    }
    balloon_hint_update(s);
}

uint32_t balloon_hint_config(const VirtIOBalloon *s)
{
    switch (s->hint_status) {
    case HINT_REQUESTED:
    case HINT_START:
        return s->hint_id;
    case HINT_DONE:
        return VIRTIO_BALLOON_CMD_ID_DONE;
    default:
        return VIRTIO_BALLOON_CMD_ID_STOP;
    }
}

void balloon_hint_reset(VirtIOBalloon *s)
{
    s->hint_status = HINT_STOP;
    s->hint_id = 0;
    s->hint_news = false;
}

/* Main memory only: what else there is, is not the guest's to give. */
static void take_pages(VirtIOBalloon *s, const VirtQueueElement *e)
{
    Machine *m = s->vdev.machine;
    const RAMBlockInfo *ram = gw_ram_block_info(m->ram_block);

    for (unsigned i = 0; i < e->in_num; i++) {
        const uint8_t *host = e->in_sg[i].iov_base;

        if (host >= ram->host && (uint64_t)(host - ram->host) < ram->used_length) {
            gw_free_page_hint(m->migration, m->ram_block, (uint64_t)(host - ram->host),
                              e->in_sg[i].iov_len);
        }
    }
}

void balloon_hint_element(VirtIOBalloon *s, const VirtQueueElement *e)
{
    uint32_t id;

    if (virtio_iov_read(e->out_sg, e->out_num, 0, &id, sizeof(id)) == sizeof(id)) {
        id = GUINT32_FROM_LE(id);
        if (id == s->hint_id && s->hint_status == HINT_REQUESTED) {
            set_status(s, HINT_START);
        } else if (id == VIRTIO_BALLOON_CMD_ID_STOP && s->hint_status == HINT_START) {
            set_status(s, HINT_STOP);
        }
    }
    if (s->hint_status == HINT_START) {
        take_pages(s, e);
    }
}

bool balloon_hint_init(VirtIOBalloon *s, GError **errp)
{
    if (!s->hinting) {
        return true;
    }
    s->hint_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->hint_fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "virtio-balloon: eventfd");
    }
    return virtio_add_fd(&s->vdev, s->hint_fd, false, on_window, s, errp) &&
           gw_free_page_register(s->vdev.machine->migration, &free_page_ops, s, errp);
}

void balloon_hint_cleanup(VirtIOBalloon *s)
{
    gw_free_page_unregister(s->vdev.machine->migration, s);
    if (s->hint_fd >= 0) {
        close(s->hint_fd);
    }
}
