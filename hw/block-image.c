/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw images: opening, cache modes, locks.
 *
 * The locks are those by which QEMU's processes keep off each other's images, so that a stock QEMU
 * and this machine do as well: open file description locks, shared, on bytes 100 + n for what a
 * process does and 200 + n for what it will not have others do, where n = 0 is reading and n = 1
 * writing. Who has taken his own looks whether anybody else holds the opposite
 * (docs/devel/migration/virtio). Main thread, and the thread that starts or stops the guest.
 */
#include "block-image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "fd-table.h"
#include "trace.h"

#define SECTOR 512
#define LOCK_DOES 100
#define LOCK_DENIES 200
#define PERM_READ 0
#define PERM_WRITE 1
#define DIRECT_ALIGN 4096 /* when the kernel does not say */

/* ---- locks ---- */

static bool set_lock(const BlockImage *img, short type, off_t byte)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(img->fd, F_OFD_SETLK, &fl) == 0;
}

/* Somebody else holds a lock on that byte. */
static bool is_held(const BlockImage *img, off_t byte)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    /* On a descriptor for reading only a shared lock is all that may be asked for: it finds
     * nothing, and a reader cannot do harm. */
    return fcntl(img->fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

static void unlock_all(BlockImage *img)
{
    set_lock(img, F_UNLCK, LOCK_DOES + PERM_READ);
    set_lock(img, F_UNLCK, LOCK_DOES + PERM_WRITE);
    set_lock(img, F_UNLCK, LOCK_DENIES + PERM_WRITE);
    img->locked = false;
}

static bool lock_all(BlockImage *img, GError **errp)
{
    bool ok = set_lock(img, F_RDLCK, LOCK_DOES + PERM_READ) &&
              (img->readonly || set_lock(img, F_RDLCK, LOCK_DOES + PERM_WRITE)) &&
              (img->shared_write || set_lock(img, F_RDLCK, LOCK_DENIES + PERM_WRITE));
    int err = errno;

    if (!ok && (err == ENOLCK || err == EOPNOTSUPP || err == EINVAL)) {
        unlock_all(img);
        return true; /* a file system without locks */
    }
    if (ok && !is_held(img, LOCK_DENIES + PERM_READ) &&
        (img->readonly || !is_held(img, LOCK_DENIES + PERM_WRITE)) &&
        (img->shared_write || !is_held(img, LOCK_DOES + PERM_WRITE))) {
        img->locked = true;
        return true;
    }
    unlock_all(img);
    return gw_fail(errp, GW_ERROR_GENERIC, "Failed to get \"%s\" lock on %s: is another process "
                   "using the image '%s'? (share-rw=on allows it)",
                   img->readonly ? "read" : "write", img->id, img->path);
}

bool block_image_activate(BlockImage *img, GError **errp)
{
    if (img->lock_needed && !img->locked && !lock_all(img, errp)) {
        return false;
    }
    /* Another machine may have written what this one has cached. */
    posix_fadvise(img->buffered_fd, 0, 0, POSIX_FADV_DONTNEED);
    return true;
}

bool block_image_needs_flush(const BlockImage *img)
{
    return !img->readonly && !img->no_flush && img->changes != img->flushed;
}

int block_image_flush(const BlockImage *img)
{
    const int err = fdatasync(img->fd) < 0 ? errno : 0;

    trace_event(block_image_flush, "%s: %s", img->id, err ? g_strerror(err) : "done");
    return err;
}

void block_image_flushed(BlockImage *img, uint64_t changes)
{
    img->flushed = MAX(img->flushed, changes);
}

/* An image that was not written is not flushed: it takes milliseconds, and the guest waits. */
void block_image_inactivate(BlockImage *img)
{
    if (block_image_needs_flush(img)) {
        const int err = block_image_flush(img);

        if (err) {
            g_printerr("%s: '%s' cannot be flushed: %s\n", img->id, img->path, strerror(err));
        } else {
            block_image_flushed(img, img->changes);
        }
    }
    if (img->locked) {
        unlock_all(img);
    }
}

/* ---- opening ---- */

static bool set_cache(BlockImage *img, const DriveConfig *c, GError **errp)
{
    static const struct {
        const char *name;
        bool direct, writeback, no_flush;
    } modes[] = {
        { "writeback", false, true, false }, { "none", true, true, false },
        { "writethrough", false, false, false }, { "directsync", true, false, false },
        { "unsafe", false, true, true },
    };
    const char *name = c->cache ? c->cache : "writeback";

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(modes[i].name, name) == 0) {
            img->direct = modes[i].direct || c->cache_direct;
            img->writeback = modes[i].writeback;
            img->no_flush = modes[i].no_flush || c->cache_no_flush;
            return true;
        }
    }
    return gw_fail(errp, GW_ERROR_GENERIC, "drive '%s': cache=%s: there are writeback, none, "
                   "writethrough, directsync, unsafe", img->id, name);
}

static bool get_size(BlockImage *img, GError **errp)
{
    struct stat st;
    uint64_t bytes = 0;

    if (fstat(img->fd, &st) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "drive '%s': '%s'", img->id, img->path);
    }
    if (S_ISREG(st.st_mode)) {
        bytes = st.st_size;
    } else if (!S_ISBLK(st.st_mode) || ioctl(img->fd, BLKGETSIZE64, &bytes) < 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "drive '%s': '%s' is neither a file nor a block "
                       "device", img->id, img->path);
    }
    img->size = bytes / SECTOR * SECTOR;
    return true;
}

static void get_alignment(BlockImage *img)
{
    img->mem_align = img->offset_align = 1;
    if (!img->direct) {
        return;
    }
    img->mem_align = img->offset_align = DIRECT_ALIGN;
#ifdef STATX_DIOALIGN
    struct statx stx;

    if (statx(img->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align) {
        img->mem_align = stx.stx_dio_mem_align;
        img->offset_align = stx.stx_dio_offset_align;
    }
#endif
}

BlockImage *block_image_open(Machine *m, const DriveConfig *conf, bool share_rw, GError **errp)
{
    BlockImage *img = g_new0(BlockImage, 1);

    img->id = g_strdup(conf->id);
    img->path = g_strdup(conf->file);
    img->fd = img->buffered_fd = -1;
    img->readonly = conf->readonly;
    img->unmap = conf->unmap;
    img->sync_io = conf->aio_threads;
    img->lock_needed = !conf->locking_off;
    img->shared_write = share_rw;

    int mode = img->readonly ? O_RDONLY : O_RDWR;
    bool ok = set_cache(img, conf, errp);

    if (ok) {
        img->fd = fd_table_open(m->fds, img->path, mode | (img->direct ? O_DIRECT : 0), 0, errp);
        ok = img->fd >= 0 && get_size(img, errp);
    }
    if (ok) {
        img->buffered_fd = img->direct ? fd_table_open(m->fds, img->path, mode, 0, errp) : img->fd;
        ok = img->buffered_fd >= 0;
    }
    if (!ok) {
        block_image_free(img);
        return NULL;
    }
    get_alignment(img);
    return img;
}

void block_image_free(BlockImage *img)
{
    if (!img) {
        return;
    }
    if (img->buffered_fd >= 0 && img->buffered_fd != img->fd) {
        close(img->buffered_fd);
    }
    if (img->fd >= 0) {
        close(img->fd);
    }
    g_free(img->id);
    g_free(img->path);
    g_free(img);
}
