/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fault source on userfaultfd (missing mode): /dev/userfaultfd first, which needs no privilege
 * beyond access to it, then the system call. One object per incoming postcopy; wait() is the fault
 * thread's, placing is any thread's (the kernel serialises per page).
 */
#include "migration/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define SMALL_PAGE 4096

typedef struct UffdSource {
    int fd;
    int stop_fd;      /* readable for ever once stop() was called */
    uint8_t *zeros;   /* of zeros_size: what a huge zero page is copied from */
    size_t zeros_size;
} UffdSource;

static int open_uffd(void)
{
    const int flags = O_CLOEXEC | O_NONBLOCK;
    const int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int fd = -1;

    if (dev >= 0) {
        fd = ioctl(dev, USERFAULTFD_IOC_NEW, flags);
        close(dev);
    }
    return fd >= 0 ? fd : (int)syscall(SYS_userfaultfd, flags);
}

static void uffd_close(void *opaque)
{
    UffdSource *u = opaque;

    close(u->fd);
    close(u->stop_fd);
    if (u->zeros) {
        munmap(u->zeros, u->zeros_size);
    }
    g_free(u);
}

static void *uffd_open(void *opaque, GError **errp)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MISSING_HUGETLBFS |
                    UFFD_FEATURE_MISSING_SHMEM,
    };
    UffdSource *u;
    const int fd = open_uffd();

    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                      "userfaultfd is not available; allow access to /dev/userfaultfd, or set "
                      "vm.unprivileged_userfaultfd=1");
        return NULL;
    }
    if (ioctl(fd, UFFDIO_API, &api) < 0) {
        gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                      "userfaultfd: this kernel lacks missing faults on huge pages or shared "
                      "memory (Linux 4.14 has them)");
        close(fd);
        return NULL;
    }
    u = g_new0(UffdSource, 1);
    u->fd = fd;
    u->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return u;
}

static bool uffd_add_range(void *opaque, void *host, uint64_t len, size_t page_size, GError **errp)
{
    UffdSource *u = opaque;
    struct uffdio_register reg = {
        .range = {(uintptr_t)host, len},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };

    if (ioctl(u->fd, UFFDIO_REGISTER, &reg) < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                             "userfaultfd: cannot watch this memory (page size %zu); use "
                             "anonymous memory, memfd, tmpfs or hugetlbfs", page_size);
    }
    if (page_size > SMALL_PAGE && page_size > u->zeros_size) {
        void *p = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED) {
            return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "a zero page of %zu bytes",
                                 page_size);
        }
        if (u->zeros) {
            munmap(u->zeros, u->zeros_size);
        }
        u->zeros = p;
        u->zeros_size = page_size;
    }
    return true;
}

static bool uffd_remove_range(void *opaque, void *host, uint64_t len, GError **errp)
{
    UffdSource *u = opaque;
    struct uffdio_range range = {(uintptr_t)host, len};

    if (ioctl(u->fd, UFFDIO_UNREGISTER, &range) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "userfaultfd: UFFDIO_UNREGISTER");
    }
    return true;
}

/* What is queued right now; 0 if nothing is. */
static int read_faults(UffdSource *u, MigrationFault *faults, int n, GError **errp)
{
    struct uffd_msg msg[16];
    const ssize_t got = read(u->fd, msg, sizeof(msg[0]) * (size_t)MIN(n, 16));
    int out = 0;

    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return 0;
        }
        gw_fail_errno(errp, GW_ERROR_IO, errno, "userfaultfd: read");
        return -1;
    }
    for (int i = 0; i < (int)(got / (ssize_t)sizeof(msg[0])); i++) {
        if (msg[i].event == UFFD_EVENT_PAGEFAULT) {
            const uintptr_t at = msg[i].arg.pagefault.address & ~(uintptr_t)(SMALL_PAGE - 1);

            faults[out].host = (void *)at;
            faults[out++].tid = (int)msg[i].arg.pagefault.feat.ptid;
        }
    }
    return out;
}

static int uffd_wait(void *opaque, MigrationFault *faults, int n, int timeout_ms, GError **errp)
{
    UffdSource *u = opaque;
    struct pollfd fds[2] = {{u->fd, POLLIN, 0}, {u->stop_fd, POLLIN, 0}};
    int got = read_faults(u, faults, n, errp);

    if (got != 0 || timeout_ms == 0) {
        return got;
    }
    if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "userfaultfd: poll");
        return -1;
    }
    return fds[0].revents ? read_faults(u, faults, n, errp) : 0;
}

static void uffd_stop(void *opaque)
{
    const uint64_t one = 1;

    if (write(((UffdSource *)opaque)->stop_fd, &one, sizeof(one)) < 0) {
        g_warning("userfaultfd: eventfd: %s", g_strerror(errno));
    }
}

/* One ioctl may do part of the range: EAGAIN while the map changes, EEXIST at a page that is there
 * already. Goes on until the range is through. `step` does [at, at + len) and returns the bytes
 * done or -errno. */
typedef int64_t (*PlaceStep)(UffdSource *u, uint8_t *host, const uint8_t *src, uint64_t len);

static bool place_all(UffdSource *u, PlaceStep step, uint8_t *host, const uint8_t *src,
                      uint64_t len, size_t page_size, uint64_t *existed, GError **errp)
{
    uint64_t at = 0;

    while (at < len) {
        const int64_t got = step(u, host + at, src ? src + at : NULL, len - at);

        if (got > 0) {
            at += (uint64_t)got;
        } else if (got == -EEXIST) {
            struct uffdio_range range = {(uintptr_t)(host + at), page_size};

            /* Whoever waits for it was woken by whoever put it there, or a moment too early. */
            ioctl(u->fd, UFFDIO_WAKE, &range);
            *existed += page_size;
            at += page_size;
        } else if (got != -EAGAIN) {
            return gw_fail_errno(errp, GW_ERROR_GENERIC, (int)-got,
                                 "userfaultfd: placing a page of %zu bytes", page_size);
        }
    }
    return true;
}

static int64_t copy_step(UffdSource *u, uint8_t *host, const uint8_t *src, uint64_t len)
{
    struct uffdio_copy c = {.dst = (uintptr_t)host, .src = (uintptr_t)src, .len = len};

    if (ioctl(u->fd, UFFDIO_COPY, &c) == 0) {
        return (int64_t)len;
    }
    return c.copy ? c.copy : -errno;
}

static int64_t zero_step(UffdSource *u, uint8_t *host, const uint8_t *src, uint64_t len)
{
    struct uffdio_zeropage z = {.range = {(uintptr_t)host, len}};

    if (ioctl(u->fd, UFFDIO_ZEROPAGE, &z) == 0) {
        return (int64_t)len;
    }
    return z.zeropage ? z.zeropage : -errno;
}

static bool uffd_place(void *opaque, void *host, const void *src, uint64_t len, size_t page_size,
                       uint64_t *existed, GError **errp)
{
    return place_all(opaque, copy_step, host, src, len, page_size, existed, errp);
}

static bool uffd_zero(void *opaque, void *host, uint64_t len, size_t page_size, uint64_t *existed,
                      GError **errp)
{
    UffdSource *u = opaque;

    if (page_size == SMALL_PAGE) {
        return place_all(u, zero_step, host, NULL, len, page_size, existed, errp);
    }
    /* The kernel has no zero page of that size. */
    for (uint64_t at = 0; at < len; at += page_size) {
        if (!place_all(u, copy_step, (uint8_t *)host + at, u->zeros, page_size, page_size, existed,
                       errp)) {
            return false;
        }
    }
    return true;
}

static bool uffd_wake(void *opaque, void *host, uint64_t len, GError **errp)
{
    UffdSource *u = opaque;
    struct uffdio_range range = {(uintptr_t)host, len};

    return ioctl(u->fd, UFFDIO_WAKE, &range) == 0 ||
           gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "userfaultfd: UFFDIO_WAKE");
}

const MigrationFaultOps *gw_fault_source_userfaultfd(void)
{
    static const MigrationFaultOps ops = {
        .size = sizeof(ops),
        .open = uffd_open,
        .close = uffd_close,
        .add_range = uffd_add_range,
        .remove_range = uffd_remove_range,
        .wait = uffd_wait,
        .stop = uffd_stop,
        .place = uffd_place,
        .zero = uffd_zero,
        .wake = uffd_wake,
    };
    return &ops;
}
