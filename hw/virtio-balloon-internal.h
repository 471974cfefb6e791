/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of virtio-balloon: one device in four files. Device's lock, but for what is said to be
 * atomic or to have a lock of its own.
 */
#ifndef HW_VIRTIO_BALLOON_INTERNAL_H
#define HW_VIRTIO_BALLOON_INTERNAL_H

#include <linux/virtio_balloon.h>

#include "virtio-balloon.h"

#define PFN_SHIFT VIRTIO_BALLOON_PFN_SHIFT
#define PFN_SIZE (UINT64_C(1) << PFN_SHIFT)

/* How far the guest is with its free-page hints; numbers of the wire. */
enum { HINT_STOP, HINT_REQUESTED, HINT_START, HINT_DONE };
#define HINT_ID_MIN 0x80000000u

typedef struct VirtIOBalloon {
    VirtIODevice vdev;
    MachineBalloon ops;
    uint32_t num_pages, actual;  /* atomic; pages of 4 KiB in the balloon: wanted, reached */
    uint32_t poison_val;
    bool hinting, reporting;     /* the queue is there */
    unsigned hint_queue, report_queue;

    /* hint */
    uint32_t hint_id, hint_status;
    bool hint_window;            /* atomic: the engine takes hints */
    bool hint_news;              /* a load ended what the guest was asked: to be told */
    int hint_fd;                 /* eventfd: hint_window has changed */

    /* statistics */
    VirtQueueElement *stats;     /* the guest's buffer, held */
    pthread_mutex_t stats_lock;  /* leaf; values, stats_time, stats_interval */
    uint64_t values[MACHINE_BALLOON_STATS];
    int64_t stats_time;          /* s since 1970; 0: never */
    uint32_t stats_interval;     /* s; 0: the guest is not asked */
    int stats_fd;                /* timerfd */
} VirtIOBalloon;

enum { INFLATE, DEFLATE, STATS };

/* virtio-balloon-hint.c: whether the guest gives hints, with what it negotiated. */
bool balloon_hint_init(VirtIOBalloon *s, GError **errp); /* plugged; machine lock */
void balloon_hint_cleanup(VirtIOBalloon *s);
void balloon_hint_element(VirtIOBalloon *s, const VirtQueueElement *e);
void balloon_hint_reset(VirtIOBalloon *s);
/* The id as the configuration space shows it. */
uint32_t balloon_hint_config(const VirtIOBalloon *s);
/* Follows hint_window. */
void balloon_hint_update(VirtIOBalloon *s);

/* virtio-balloon-stats.c */
bool balloon_stats_init(VirtIOBalloon *s, GError **errp);
void balloon_stats_cleanup(VirtIOBalloon *s);
/* Takes the guest's filled buffer, which is the device's until balloon_stats_release(). */
void balloon_stats_element(VirtIOBalloon *s, VirtQueueElement *e);
/* The buffer goes back into its queue, as if it had not been taken. */
void balloon_stats_release(VirtIOBalloon *s);

/* virtio-balloon-vmstate.c */
extern const VMStateDescription vmstate_virtio_balloon;

#endif
