/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Statistics of the guest's memory (virtio 1.2, 5.5.6.3): the guest puts a filled buffer into its
 * queue, the device keeps it and gives it back when it wants newer numbers, which is every
 * guest-stats-polling-interval seconds. I/O thread with the device's lock; monitors read the
 * numbers and set the interval at any time: stats_lock, since that thread may wait for a page.
 */
#include "virtio-balloon-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"
#include "lock.h"

static void forget(VirtIOBalloon *s)
{
    memset(s->values, 0xff, sizeof(s->values));
}

void balloon_stats_element(VirtIOBalloon *s, VirtQueueElement *e)
{
    struct virtio_balloon_stat stat;

    g_free(s->stats);
    s->stats = e;
    LOCK_GUARD(&s->stats_lock);
    forget(s);
    for (size_t at = 0; virtio_iov_read(e->out_sg, e->out_num, at, &stat, sizeof(stat)) ==
                        sizeof(stat); at += sizeof(stat)) {
        const uint16_t tag = GUINT16_FROM_LE(stat.tag);

        if (tag < MACHINE_BALLOON_STATS) {
            s->values[tag] = GUINT64_FROM_LE(stat.val);
        }
    }
    s->stats_time = g_get_real_time() / G_USEC_PER_SEC;
}

void balloon_stats_release(VirtIOBalloon *s)
{
    if (s->stats) {
        virtqueue_unpop(virtio_queue(&s->vdev, STATS), s->stats);
        g_clear_pointer(&s->stats, g_free);
    }
}

/* The guest gets its buffer back, and fills it again. */
static void on_timer(VirtIODevice *vdev, void *opaque)
{
    VirtIOBalloon *s = opaque;
    VirtQueue *vq = virtio_queue(vdev, STATS);
    uint64_t n;

    if (read(s->stats_fd, &n, sizeof(n)) != sizeof(n) || !s->stats || !virtio_is_live(vdev)) {
        return;
    }
    virtqueue_push(vq, s->stats, 0);
    g_clear_pointer(&s->stats, g_free);
    virtio_notify(vdev, vq);
}

static void set_interval(void *opaque, uint32_t seconds)
{
    VirtIOBalloon *s = opaque;
    const struct itimerspec at = { .it_interval.tv_sec = seconds, .it_value.tv_sec = seconds };
    LOCK_GUARD(&s->stats_lock);

    s->stats_interval = seconds;
    timerfd_settime(s->stats_fd, 0, &at, NULL);
}

static uint32_t get_interval(void *opaque)
{
    VirtIOBalloon *s = opaque;
    LOCK_GUARD(&s->stats_lock);

    return s->stats_interval;
}

static int64_t get_stats(void *opaque, uint64_t *values)
{
    VirtIOBalloon *s = opaque;
    LOCK_GUARD(&s->stats_lock);

    memcpy(values, s->values, sizeof(s->values));
    return s->stats_time;
}

bool balloon_stats_init(VirtIOBalloon *s, GError **errp)
{
    forget(s);
    s->ops.stats = get_stats;
    s->ops.stats_interval = get_interval;
    s->ops.set_stats_interval = set_interval;
    s->stats_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->stats_fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "virtio-balloon: timerfd");
    }
    set_interval(s, s->stats_interval);
    return virtio_add_fd(&s->vdev, s->stats_fd, false, on_timer, s, errp);
}

void balloon_stats_cleanup(VirtIOBalloon *s)
{
    if (s->stats_fd >= 0) {
        close(s->stats_fd);
    }
    pthread_mutex_destroy(&s->stats_lock);
    g_free(s->stats);
}
