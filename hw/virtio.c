/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a virtio device: made, plugged, driven by its status register, stopped and started
 * with the guest, reset, freed. Rings: virtio-queue.c; registers: virtio-mmio.c; section:
 * virtio-vmstate.c; the I/O thread: virtio-thread.c.
 *
 * Register accesses come from vCPU threads with the machine lock; the device's lock is taken after
 * it. The guest's start and stop come with the run state's transition lock only. `isr` and
 * `config_generation` are atomics: an interrupt may be raised by any thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "lock.h"
#include "trace.h"
#include "virtio-internal.h"

/* ---- status, features, interrupts ---- */

bool virtio_has_feature(const VirtIODevice *vdev, unsigned bit)
{
    return vdev->guest_features >> bit & 1;
}

bool virtio_is_live(const VirtIODevice *vdev)
{
    return vdev->vm_running && vdev->started && !vdev->broken;
}

void virtio_raise(VirtIODevice *vdev, uint32_t isr_bits)
{
    __atomic_fetch_or(&vdev->isr, isr_bits, __ATOMIC_SEQ_CST);
    if (vdev->tops) {
        vdev->tops->notify(vdev->transport);
    }
}

void virtio_notify_config(VirtIODevice *vdev)
{
    __atomic_fetch_add(&vdev->config_generation, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&vdev->status, __ATOMIC_RELAXED) & VIRTIO_CONFIG_S_DRIVER_OK) {
        virtio_raise(vdev, VIRTIO_ISR_CONFIG);
    }
}

void virtio_error(VirtIODevice *vdev, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    if (vdev->broken) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    vdev->broken = true;
    fprintf(stderr, "%s%s%s: %s: the device stands still until the guest resets it\n",
            vdev->class->name, vdev->id ? " " : "", vdev->id ? vdev->id : "", text);
    if (virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
        __atomic_fetch_or(&vdev->status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_RELAXED);
        virtio_raise(vdev, VIRTIO_ISR_CONFIG);
    }
}

bool virtio_set_features(VirtIODevice *vdev, uint64_t features)
{
    bool ok = (features & ~vdev->host_features) == 0;

    vdev->guest_features = features & vdev->host_features;
    if (vdev->class->set_features) {
        vdev->class->set_features(vdev);
    }
    return ok;
}

static void kick_all(VirtIODevice *vdev)
{
    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        if (vdev->vqs[i].desc) {
            virtio_queue_kick(&vdev->vqs[i]);
        }
    }
}

void virtio_set_status(VirtIODevice *vdev, uint8_t status)
{
    bool modern = vdev->tops && vdev->tops->modern;

    if (!status) {
        virtio_reset(vdev);
        return;
    }
    if (modern && (status & ~vdev->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
        !(virtio_set_features(vdev, vdev->guest_features) &&
          virtio_has_feature(vdev, VIRTIO_F_VERSION_1))) {
        status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
    }
    trace_event(virtio_set_status, "%s %s 0x%x", vdev->class->name, vdev->id ? vdev->id : "",
                status);
    __atomic_store_n(&vdev->status, status | (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET),
                     __ATOMIC_RELAXED);
    vdev->started = status & VIRTIO_CONFIG_S_DRIVER_OK;
    if (vdev->class->set_status) {
        vdev->class->set_status(vdev);
    }
    if (vdev->started) {
        virtio_ioeventfd_update(vdev);
        kick_all(vdev); /* a guest may fill the rings before it says that it is ready */
    }
}

void virtio_reset(VirtIODevice *vdev)
{
    trace_event(virtio_reset, "%s %s", vdev->class->name, vdev->id ? vdev->id : "");
    vdev->started = false; /* nothing new is begun */
    if (vdev->class->drain) {
        vdev->class->drain(vdev);
    }
    if (vdev->class->reset) {
        vdev->class->reset(vdev);
    }
    __atomic_store_n(&vdev->status, 0, __ATOMIC_RELAXED);
    vdev->broken = false;
    vdev->guest_features = 0;
    vdev->host_features_sel = vdev->guest_features_sel = 0;
    vdev->queue_sel = 0;
    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        virtqueue_reset(&vdev->vqs[i]);
    }
    if (vdev->class->set_features) {
        vdev->class->set_features(vdev);
    }
    __atomic_store_n(&vdev->isr, 0, __ATOMIC_SEQ_CST);
    if (vdev->tops) {
        vdev->tops->sync_irq(vdev->transport);
    }
}

/* ---- with the guest ---- */

static void run_stopping(void *opaque, bool handover)
{
    VirtIODevice *vdev = opaque;
    LOCK_GUARD(&vdev->lock);

    vdev->vm_running = false;
    if (handover && vdev->active && vdev->class->write_back) {
        virtio_thread_write_back(vdev);
    }
}

static void run_stopped(void *opaque, bool handover)
{
    VirtIODevice *vdev = opaque;

    pthread_mutex_lock(&vdev->lock);
    vdev->vm_running = false;
    if (vdev->class->drain) {
        vdev->class->drain(vdev);
    }
    while (vdev->write_back_due) {
        pthread_cond_wait(&vdev->idle, &vdev->lock);
    }
    pthread_mutex_unlock(&vdev->lock);
    if (handover && vdev->active) {
        vdev->active = false;
        if (vdev->class->inactivate) {
            vdev->class->inactivate(vdev);
        }
    }
}

static bool activate(VirtIODevice *vdev, GError **errp)
{
    if (!vdev->active && vdev->class->activate && !vdev->class->activate(vdev, errp)) {
        return false;
    }
    vdev->active = true;
    return true;
}

static bool run_starting(void *opaque, GError **errp)
{
    VirtIODevice *vdev = opaque;

    if (!activate(vdev, errp)) {
        return false;
    }
    LOCK_GUARD(&vdev->lock);
    vdev->vm_running = true;
    if (vdev->class->resumed) {
        vdev->class->resumed(vdev);
    }
    kick_all(vdev);
    return true;
}

static const MachineRunOps run_ops = {
    .stopping = run_stopping,
    .stopped = run_stopped,
    .starting = run_starting,
};

/* ---- making and unmaking ---- */

void virtio_init(VirtIODevice *vdev, Machine *m, const VirtIODeviceClass *class,
                 uint32_t config_len)
{
    vdev->class = class;
    vdev->machine = m;
    vdev->config_len = config_len;
    vdev->thread = virtio_thread_new();
    pthread_mutex_init(&vdev->lock, NULL);
    cond_init_monotonic(&vdev->idle);
}

bool virtio_add_queue(VirtIODevice *vdev, unsigned size, GError **errp)
{
    unsigned n = vdev->nr_queues;
    int fd;

    if (n == VIRTIO_QUEUE_MAX || !size || size > VIRTQUEUE_MAX_SIZE || (size & (size - 1))) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: queue %u of %u entries: give a power of two up "
                       "to %u, and %u queues at most", vdev->class->name, n, size,
                       VIRTQUEUE_MAX_SIZE, VIRTIO_QUEUE_MAX);
    }
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "%s: eventfd of queue %u",
                             vdev->class->name, n);
    }
    vdev->vqs = g_renew(VirtQueue, vdev->vqs, n + 1);
    vdev->vqs[n] = (VirtQueue){
        .vdev = vdev, .index = n, .notifier = fd, .num = size, .num_default = size,
        .num_max = VIRTQUEUE_MAX_SIZE, .align = VIRTIO_LEGACY_ALIGN, .notification = true,
    };
    vdev->nr_queues = n + 1;
    return true;
}

VirtQueue *virtio_queue(VirtIODevice *vdev, unsigned index)
{
    return index < vdev->nr_queues ? &vdev->vqs[index] : NULL;
}

unsigned virtio_queue_index(const VirtQueue *vq)
{
    return vq->index;
}

bool virtio_plug(VirtIODevice *vdev, const char *idstr, GError **errp)
{
    machine_add_run_ops(vdev->machine, &run_ops, vdev);
    if (!virtio_thread_start(vdev, errp) ||
        !gw_vmstate_register(vdev->machine->migration, idstr, 0, vdev->class->vmsd, vdev,
                             MIGRATION_PRIORITY_DEFAULT, errp)) {
        return false;
    }
    /* The destination of a migration waits until the source has let go. */
    return vdev->machine->config->incoming || activate(vdev, errp);
}

void virtio_cleanup(VirtIODevice *vdev)
{
    if (!vdev->class) {
        return;
    }
    gw_vmstate_unregister(vdev->machine->migration, vdev->class->vmsd, vdev);
    machine_remove_run_ops(vdev->machine, vdev);
    if (vdev->thread) {
        run_stopped(vdev, false);
    }
    virtio_thread_stop(vdev);
    if (vdev->active && vdev->class->inactivate) {
        vdev->class->inactivate(vdev);
    }
    for (unsigned i = 0; i < vdev->nr_queues; i++) {
        close(vdev->vqs[i].notifier);
    }
    virtio_thread_free(vdev->thread);
    virtio_wire_free(vdev);
    g_free(vdev->vqs);
    g_free(vdev->id);
    pthread_cond_destroy(&vdev->idle);
    pthread_mutex_destroy(&vdev->lock);
}
