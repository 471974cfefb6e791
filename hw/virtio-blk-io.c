/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's side of virtio-blk: requests through io_uring, or in place where there is none.
 * I/O thread, device's lock held; completions come by an eventfd of the same thread. A request that
 * the host did only in part goes on with the rest.
 */
#include "virtio-blk-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"

#define RING_ENTRIES 128
#define ZERO_CHUNK (UINT64_C(1) << 20)

/* ---- what may be done with O_DIRECT ---- */

static int request_fd(const VirtIOBlockReq *req)
{
    const BlockImage *img = req->s->image;

    if (!img->direct) {
        return img->fd;
    }
    if ((req->offset | req->len) % img->offset_align) {
        return img->buffered_fd;
    }
    for (unsigned i = 0; i < req->niov; i++) {
        if ((uintptr_t)req->iov[i].iov_base % img->mem_align ||
            req->iov[i].iov_len % img->offset_align) {
            return img->buffered_fd;
        }
    }
    return img->fd;
}

static bool is_flush(const VirtIOBlockReq *req)
{
    return req->syncing || req->op == BLOCK_FLUSH;
}

/* ---- in place ---- */

/* Zeroes a piece where the file system cannot do it by itself; like do_in_place(). */
static ssize_t write_zeroes(const VirtIOBlockReq *req)
{
    g_autofree uint8_t *zeros = g_malloc0(MIN(req->len, ZERO_CHUNK));
    ssize_t n = pwrite(req->s->image->buffered_fd, zeros, MIN(req->len, ZERO_CHUNK), req->offset);

    return n < 0 ? -errno : n;
}

/* Returns like a completion: bytes, or a negative errno. */
static ssize_t do_in_place(const VirtIOBlockReq *req)
{
    const BlockImage *img = req->s->image;
    ssize_t n;

    if (is_flush(req)) {
        n = fdatasync(img->fd);
    } else if (req->op == BLOCK_READ) {
        n = preadv(request_fd(req), req->iov, (int)req->niov, (off_t)req->offset);
    } else if (req->op == BLOCK_WRITE) {
        n = pwritev(request_fd(req), req->iov, (int)req->niov, (off_t)req->offset);
    } else if (!req->falloc_mode) {
        return write_zeroes(req);
    } else {
        n = fallocate(img->fd, req->falloc_mode, (off_t)req->offset, (off_t)req->len);
    }
    return n < 0 ? -errno : n;
}

/* ---- what comes after a step ---- */

/* The data did not all fit: the rest is left in the request. */
static void advance(VirtIOBlockReq *req, uint64_t n)
{
    req->offset += n;
    req->len -= n;
    while (n && req->niov) {
        size_t step = MIN(n, req->iov->iov_len);

        req->iov->iov_base = (uint8_t *)req->iov->iov_base + step;
        req->iov->iov_len -= step;
        n -= step;
        if (!req->iov->iov_len) {
            req->iov++;
            req->niov--;
        }
    }
}

/* Zeroing by the file system is not there: ZERO_RANGE, then a hole, then zeros by hand. */
static bool next_zero_mode(VirtIOBlockReq *req, int err)
{
    if (req->op != BLOCK_ZERO || (err != EOPNOTSUPP && err != EINVAL && err != ENODEV) ||
        !req->falloc_mode) {
        return false;
    }
    req->falloc_mode = req->falloc_mode & FALLOC_FL_ZERO_RANGE
                           ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
    return true;
}

/* A flush covers the changes that had ended when it began. */
static void account(const VirtIOBlockReq *req, ssize_t res)
{
    BlockImage *img = req->s->image;

    if (!is_flush(req)) {
        img->changes += req->op != BLOCK_READ;
    } else if (res >= 0) {
        block_image_flushed(img, req->flushes);
    }
}

/* The step is done with `res`. True: another one is to be made. */
static bool step_done(VirtIOBlockReq *req, ssize_t res, uint8_t *status)
{
    VirtIOBlock *s = req->s;

    account(req, res);
    *status = VIRTIO_BLK_S_OK;
    if (res == -EINTR || res == -EAGAIN) {
        return true;
    }
    if (res < 0) {
        if (!req->syncing && next_zero_mode(req, (int)-res)) {
            return true;
        }
        /* A discard is a hint. */
        *status = req->op == BLOCK_DISCARD ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
        s->errors += *status != VIRTIO_BLK_S_OK;
        return false;
    }
    if (is_flush(req) || req->op == BLOCK_DISCARD) {
        return false;
    }
    if (req->op == BLOCK_ZERO && req->falloc_mode) {
        res = (ssize_t)req->len;
    }
    if (!res) {
        *status = VIRTIO_BLK_S_IOERR; /* the file became shorter */
        s->errors++;
        return false;
    }
    advance(req, (uint64_t)res);
    if (req->len) {
        return true;
    }
    req->syncing = req->op != BLOCK_READ && !s->wce && !s->image->no_flush;
    return req->syncing;
}

/* ---- io_uring ---- */

static struct io_uring_sqe *get_sqe(VirtIOBlock *s)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

    if (!sqe) {
        virtio_blk_submit(s);
        sqe = io_uring_get_sqe(&s->ring);
    }
    return sqe;
}

static void prepare(struct io_uring_sqe *sqe, VirtIOBlockReq *req)
{
    const BlockImage *img = req->s->image;

    if (is_flush(req)) {
        io_uring_prep_fsync(sqe, img->fd, IORING_FSYNC_DATASYNC);
    } else if (req->op == BLOCK_READ) {
        io_uring_prep_readv(sqe, request_fd(req), req->iov, req->niov, req->offset);
    } else if (req->op == BLOCK_WRITE) {
        io_uring_prep_writev(sqe, request_fd(req), req->iov, req->niov, req->offset);
    } else {
        io_uring_prep_fallocate(sqe, img->fd, req->falloc_mode, (off_t)req->offset,
                                (off_t)req->len);
    }
    io_uring_sqe_set_data(sqe, req);
}

/* Makes steps until one is under way in the ring or the request is answered. */
static void run(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->s;
    bool by_hand, more;
    uint8_t status;

    do {
        by_hand = req->op == BLOCK_ZERO && !req->falloc_mode && !req->syncing;

        req->flushes = s->image->changes;

        struct io_uring_sqe *sqe = s->has_ring && !by_hand ? get_sqe(s) : NULL;

        if (sqe) {
            prepare(sqe, req);
            s->unsubmitted++;
            return;
        }
        more = step_done(req, do_in_place(req), &status);
    } while (more);
    s->inflight--;
    virtio_blk_complete(req, status);
}

void virtio_blk_start(VirtIOBlockReq *req)
{
    req->s->inflight++;
    run(req);
}

void virtio_blk_submit(VirtIOBlock *s)
{
    while (s->has_ring && s->unsubmitted) {
        int n = io_uring_submit(&s->ring);

        if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY) {
            g_warning("virtio-blk: io_uring_submit: %s", g_strerror(-n));
            return;
        }
        s->unsubmitted -= n > 0 ? MIN((unsigned)n, s->unsubmitted) : 0;
        if (n == -EBUSY) {
            return; /* the completions come first; their handler submits again */
        }
    }
}

static void on_completions(VirtIODevice *vdev, void *opaque)
{
    VirtIOBlock *s = opaque;
    struct io_uring_cqe *cqe;
    uint64_t n;
    uint8_t status;

    if (read(s->ring_event, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        g_warning("virtio-blk: eventfd: %s", g_strerror(errno));
    }
    while (io_uring_peek_cqe(&s->ring, &cqe) == 0) {
        VirtIOBlockReq *req = io_uring_cqe_get_data(cqe);
        int res = cqe->res;

        io_uring_cqe_seen(&s->ring, cqe);
        if (step_done(req, res, &status)) {
            run(req);
        } else {
            s->inflight--;
            virtio_blk_complete(req, status);
        }
    }
    virtio_blk_submit(s);
    if (!s->inflight) {
        pthread_cond_broadcast(&vdev->idle);
    }
}

bool virtio_blk_io_init(VirtIOBlock *s, GError **errp)
{
    if (s->image->sync_io || io_uring_queue_init(RING_ENTRIES, &s->ring, 0) < 0) {
        return true; /* a kernel that forbids it: slower, and the same otherwise */
    }
    s->has_ring = true;
    s->ring_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->ring_event < 0 || io_uring_register_eventfd(&s->ring, s->ring_event) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "virtio-blk: eventfd for io_uring");
    }
    return virtio_add_fd(&s->vdev, s->ring_event, false, on_completions, s, errp);
}

void virtio_blk_io_free(VirtIOBlock *s)
{
    if (s->has_ring) {
        io_uring_queue_exit(&s->ring);
        if (s->ring_event >= 0) {
            close(s->ring_event);
        }
        s->has_ring = false;
    }
}
