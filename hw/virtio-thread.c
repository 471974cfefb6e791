/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O thread of a virtio device: an epoll loop over the queues' eventfds and the descriptors
 * that the device adds. Handlers run with the device's lock held; waiting is done without it. The
 * machine lock is never taken here, so that a handler that waits for a page of a postcopy stops
 * this device alone.
 *
 * `lock` of the device guards `fds`. Deleting a descriptor takes effect at once: an event that is
 * under way finds its entry dead.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "lock.h"
#include "virtio-internal.h"

#define EVENTS_AT_ONCE 32

typedef struct FdEntry {
    int fd;
    bool dead;
    VirtIOFdHandler fn;
    void *opaque;
    VirtQueue *vq;          /* instead of fn */
} FdEntry;

struct VirtIOThread {
    int epoll_fd, wake_fd;  /* -1: not yet */
    pthread_t thread;
    bool running;
    bool stop;              /* device's lock */
    GPtrArray *fds;         /* of FdEntry, owned; the dead go when the thread passes by */
};

VirtIOThread *virtio_thread_new(void)
{
    VirtIOThread *t = g_new0(VirtIOThread, 1);

    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t->fds = g_ptr_array_new_with_free_func(g_free);
    return t;
}

void virtio_thread_free(VirtIOThread *t)
{
    if (!t) {
        return;
    }
    g_ptr_array_unref(t->fds);
    if (t->epoll_fd >= 0) {
        close(t->epoll_fd);
    }
    if (t->wake_fd >= 0) {
        close(t->wake_fd);
    }
    g_free(t);
}

static void signal_fd(int fd)
{
    uint64_t one = 1;

    /* Full means signalled already. */
    if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        g_warning("virtio: eventfd %d: %s", fd, g_strerror(errno));
    }
}

void virtio_queue_kick(VirtQueue *vq)
{
    signal_fd(vq->notifier);
}

/* Lock held. */
static bool watch(VirtIODevice *vdev, const FdEntry *entry, uint32_t events, GError **errp)
{
    VirtIOThread *t = vdev->thread;
    FdEntry *e = g_new(FdEntry, 1);
    struct epoll_event ev = { .events = events, .data.ptr = e };

    *e = *entry;
    if (epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, e->fd, &ev) < 0) {
        int err = errno;

        g_free(e);
        return gw_fail_errno(errp, GW_ERROR_GENERIC, err, "%s: epoll of descriptor %d",
                             vdev->class->name, entry->fd);
    }
    g_ptr_array_add(t->fds, e);
    return true;
}

bool virtio_add_fd(VirtIODevice *vdev, int fd, bool write, VirtIOFdHandler fn, void *opaque,
                   GError **errp)
{
    FdEntry e = { .fd = fd, .fn = fn, .opaque = opaque };
    LOCK_GUARD(&vdev->lock);

    return watch(vdev, &e, EPOLLIN | (write ? EPOLLOUT : 0), errp);
}

void virtio_del_fd(VirtIODevice *vdev, int fd)
{
    VirtIOThread *t = vdev->thread;

    for (guint i = 0; i < t->fds->len; i++) {
        FdEntry *e = t->fds->pdata[i];

        if (e->fd == fd && !e->dead) {
            e->dead = true;
            epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        }
    }
    signal_fd(t->wake_fd); /* for the sweep */
}

static void drain_eventfd(int fd)
{
    uint64_t n;

    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        g_warning("virtio: eventfd %d: %s", fd, g_strerror(errno));
    }
}

/* Lock held. */
static void dispatch(VirtIODevice *vdev, FdEntry *e)
{
    if (e->dead) {
        return;
    }
    if (e->fn) {
        e->fn(vdev, e->opaque);
        return;
    }
    /* Read before the ring is looked at: a later kick makes it readable again. While the guest is
     * stopped kicks are dropped, since a start kicks every queue. */
    drain_eventfd(e->fd);
    if (virtio_is_live(vdev) && e->vq->mapped && virtqueue_refresh(e->vq, NULL)) {
        vdev->class->handle_output(vdev, e->vq);
    }
}

static void sweep(VirtIOThread *t)
{
    for (guint i = t->fds->len; i > 0; i--) {
        if (((FdEntry *)t->fds->pdata[i - 1])->dead) {
            g_ptr_array_remove_index_fast(t->fds, i - 1);
        }
    }
}

void virtio_thread_write_back(VirtIODevice *vdev)
{
    if (vdev->thread->running) {
        vdev->write_back_due = true;
        signal_fd(vdev->thread->wake_fd);
    }
}

/* Lock held. */
static void write_back_if_due(VirtIODevice *vdev)
{
    if (vdev->write_back_due && vdev->class->write_back(vdev)) {
        vdev->write_back_due = false;
        pthread_cond_broadcast(&vdev->idle);
    }
}

static void *io_thread(void *opaque)
{
    VirtIODevice *vdev = opaque;
    VirtIOThread *t = vdev->thread;
    struct epoll_event ev[EVENTS_AT_ONCE];
    bool stop = false;

    while (!stop) {
        int n = epoll_wait(t->epoll_fd, ev, EVENTS_AT_ONCE, -1);

        for (int i = 0; i < n; i++) {
            LOCK_GUARD(&vdev->lock);
            if (ev[i].data.ptr) {
                dispatch(vdev, ev[i].data.ptr);
            } else {
                drain_eventfd(t->wake_fd);
            }
        }
        LOCK_GUARD(&vdev->lock);
        sweep(t);
        write_back_if_due(vdev);
        stop = t->stop;
    }
    return NULL;
}

bool virtio_thread_start(VirtIODevice *vdev, GError **errp)
{
    VirtIOThread *t = vdev->thread;
    struct epoll_event ev = { .events = EPOLLIN };

    if (t->epoll_fd < 0 || t->wake_fd < 0 ||
        epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->wake_fd, &ev) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "%s: epoll of the I/O thread",
                             vdev->class->name);
    }
    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        FdEntry e = { .fd = vdev->vqs[i].notifier, .vq = &vdev->vqs[i] };
        LOCK_GUARD(&vdev->lock);

        if (!watch(vdev, &e, EPOLLIN, errp)) {
            return false;
        }
    }

    int rc = pthread_create(&t->thread, NULL, io_thread, vdev);

    t->running = rc == 0;
    return t->running || gw_fail_errno(errp, GW_ERROR_GENERIC, rc, "%s: I/O thread",
                                       vdev->class->name);
}

void virtio_thread_stop(VirtIODevice *vdev)
{
    VirtIOThread *t = vdev->thread;

    if (!t || !t->running) {
        return;
    }
    pthread_mutex_lock(&vdev->lock);
    t->stop = true;
    pthread_mutex_unlock(&vdev->lock);
    signal_fd(t->wake_fd);
    pthread_join(t->thread, NULL);
    t->running = false;
}
