/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty log by userfaultfd write protection. With WP_ASYNC the kernel resolves a write to a
 * protected page by itself and remembers it in the page table; PAGEMAP_SCAN reports those pages and
 * protects them again under the page table's lock, which is what makes get-and-clear atomic. No
 * thread of ours ever handles a fault. Works on anonymous memory (transparent huge pages are split
 * on the first write), memfd, files and hugetlb (tracked by whole huge pages).
 *
 * No lock: one thread at a time uses a log (the migration thread, between start and stop).
 */
#include "dirty-pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bits.h"
#include "dirty-pagemap-abi.h"
#include "error.h"

#define PAGE_BITS   12
#define PAGE_BYTES  (UINT64_C(1) << PAGE_BITS)
#define VEC_ENTRIES 2048

typedef struct PagemapRegion {
    uintptr_t host;
    uint64_t len;
    size_t page_size;
    char *name;
    /* Huge pages only: what a sync took from the kernel but was not asked for, because a huge page
     * is taken as a whole. One bit per 4 KiB page. */
    uint64_t *pending;
} PagemapRegion;

struct PagemapLog {
    int uffd, pagemap;
    GArray *regions; /* of PagemapRegion */
    AbiPageRegion vec[VEC_ENTRIES];
};

/* The device node obeys file permissions; the system call needs a privilege or the sysctl, unless
 * it leaves out the kernel's own faults. Those are never trapped in asynchronous mode anyway, so
 * the restricted kind tracks just as much. */
static int open_uffd(GError **errp)
{
    const int flags = O_CLOEXEC | O_NONBLOCK;
    const int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int fd = -1;

    if (dev >= 0) {
        fd = ioctl(dev, ABI_USERFAULTFD_IOC_NEW, flags);
        close(dev);
    }
    if (fd < 0) {
        fd = (int)syscall(SYS_userfaultfd, flags);
    }
    if (fd < 0 && errno == EPERM) {
        fd = (int)syscall(SYS_userfaultfd, flags | ABI_UFFD_USER_MODE_ONLY);
    }
    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                      "userfaultfd (allow it with vm.unprivileged_userfaultfd=1 or access to "
                      "/dev/userfaultfd)");
    }
    return fd;
}

static bool enable_features(int uffd, GError **errp)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features =
            ABI_UFFD_WP_ASYNC | ABI_UFFD_WP_UNPOPULATED | ABI_UFFD_WP_HUGETLBFS_SHMEM,
    };

    return ioctl(uffd, UFFDIO_API, &api) == 0 ||
           gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                         "dirty tracking needs userfaultfd's asynchronous write protection "
                         "(Linux 6.7 or newer)");
}

static bool open_pagemap(PagemapLog *log, GError **errp)
{
    AbiPmScanArg empty = { .size = sizeof(empty) };

    log->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (log->pagemap < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                             "dirty tracking: /proc/self/pagemap");
    }
    if (ioctl(log->pagemap, ABI_PAGEMAP_SCAN, &empty) < 0 && errno == ENOTTY) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "dirty tracking needs PAGEMAP_SCAN (Linux 6.7 or newer)");
    }
    return true;
}

static void region_clear(void *opaque)
{
    PagemapRegion *r = opaque;

    g_free(r->name);
    g_free(r->pending);
}

PagemapLog *pagemap_log_new(GError **errp)
{
    PagemapLog *log = g_new0(PagemapLog, 1);

    log->pagemap = -1;
    log->regions = g_array_new(FALSE, TRUE, sizeof(PagemapRegion));
    g_array_set_clear_func(log->regions, region_clear);
    log->uffd = open_uffd(errp);
    if (log->uffd < 0 || !enable_features(log->uffd, errp) || !open_pagemap(log, errp)) {
        pagemap_log_free(log);
        return NULL;
    }
    return log;
}

void pagemap_log_free(PagemapLog *log)
{
    if (!log) {
        return;
    }
    for (guint i = 0; i < log->regions->len; i++) {
        const PagemapRegion *r = &g_array_index(log->regions, PagemapRegion, i);
        struct uffdio_range range = { r->host, r->len };

        /* Takes the protection away too; closing alone would leave writers to trap once more. */
        ioctl(log->uffd, UFFDIO_UNREGISTER, &range);
    }
    if (log->uffd >= 0) {
        close(log->uffd);
    }
    if (log->pagemap >= 0) {
        close(log->pagemap);
    }
    g_array_unref(log->regions);
    g_free(log);
}

static PagemapRegion *find_region(const PagemapLog *log, const void *host)
{
    for (guint i = 0; i < log->regions->len; i++) {
        PagemapRegion *r = &g_array_index(log->regions, PagemapRegion, i);

        if (r->host == (uintptr_t)host) {
            return r;
        }
    }
    return NULL;
}

bool pagemap_log_has(const PagemapLog *log, const void *host)
{
    return find_region(log, host) != NULL;
}

bool pagemap_log_add(PagemapLog *log, void *host, uint64_t len, size_t page_size,
                     const char *name, GError **errp)
{
    struct uffdio_register reg = {
        .range = { (uintptr_t)host, len },
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    struct uffdio_writeprotect protect = {
        .range = reg.range,
        .mode = UFFDIO_WRITEPROTECT_MODE_WP,
    };
    PagemapRegion region = { (uintptr_t)host, len, page_size, NULL, NULL };

    if (ioctl(log->uffd, UFFDIO_REGISTER, &reg) < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                             "dirty tracking of memory '%s': this kind of memory cannot be "
                             "write-protected", name);
    }
    if (ioctl(log->uffd, UFFDIO_WRITEPROTECT, &protect) < 0) {
        gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                      "dirty tracking of memory '%s': write protection", name);
        ioctl(log->uffd, UFFDIO_UNREGISTER, &reg.range);
        return false;
    }
    region.name = g_strdup(name);
    if (page_size > PAGE_BYTES) {
        region.pending = bits_new(len >> PAGE_BITS);
    }
    g_array_append_val(log->regions, region);
    return true;
}

/* Marks [start, end), addresses of what the kernel reported, in a bitmap whose bit 0 is the address
 * `origin`. */
static void mark(uint64_t *bitmap, uint64_t origin, const AbiPageRegion *found)
{
    bits_set_range(bitmap, (found->start - origin) >> PAGE_BITS,
                   (found->end - found->start) >> PAGE_BITS);
}

/* Takes everything that was written in [start, end) from the kernel. */
static bool scan(PagemapLog *log, const PagemapRegion *r, uint64_t start, uint64_t end,
                 uint64_t *bitmap, uint64_t origin, GError **errp)
{
    while (start < end) {
        AbiPmScanArg arg = {
            .size = sizeof(arg),
            .flags = ABI_PM_SCAN_WP_MATCHING | ABI_PM_SCAN_CHECK_WPASYNC,
            .start = start,
            .end = end,
            .vec = (uintptr_t)log->vec,
            .vec_len = VEC_ENTRIES,
            .category_mask = ABI_PAGE_IS_WRITTEN,
            .return_mask = ABI_PAGE_IS_WRITTEN,
        };
        const int n = ioctl(log->pagemap, ABI_PAGEMAP_SCAN, &arg);

        if (n < 0) {
            return gw_fail_errno(errp, GW_ERROR_GENERIC, errno,
                                 "dirty tracking of memory '%s': PAGEMAP_SCAN", r->name);
        }
        for (int i = 0; i < n; i++) {
            mark(bitmap, origin, &log->vec[i]);
        }
        if (arg.walk_end <= start) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "dirty tracking of memory '%s': PAGEMAP_SCAN does not get on", r->name);
        }
        start = arg.walk_end;
    }
    return true;
}

/* The kernel takes huge pages whole only: widen the range, and keep what is too much. */
static bool sync_huge(PagemapLog *log, PagemapRegion *r, uint64_t first, uint64_t npages,
                      uint64_t *bitmap, GError **errp)
{
    const uint64_t per_huge = r->page_size >> PAGE_BITS;
    const uint64_t from = first / per_huge * per_huge;
    const uint64_t to = (first + npages + per_huge - 1) / per_huge * per_huge;

    if (!scan(log, r, r->host + (from << PAGE_BITS), r->host + (to << PAGE_BITS), r->pending,
              r->host, errp)) {
        return false;
    }
    for (uint64_t page = bits_find_set(r->pending, first, first + npages); page < first + npages;
         page = bits_find_set(r->pending, page + 1, first + npages)) {
        bits_set(bitmap, page - first);
    }
    bits_clear_range(r->pending, first, npages);
    return true;
}

bool pagemap_log_sync(PagemapLog *log, void *host, uint64_t first, uint64_t npages,
                      uint64_t *bitmap, GError **errp)
{
    PagemapRegion *r = find_region(log, host);
    const uint64_t start = (uintptr_t)host + (first << PAGE_BITS);

    if (!r || first + npages > r->len >> PAGE_BITS) {
        return gw_fail(errp, GW_ERROR_GENERIC, "dirty tracking: memory that is not tracked");
    }
    if (r->pending) {
        return sync_huge(log, r, first, npages, bitmap, errp);
    }
    return scan(log, r, start, start + (npages << PAGE_BITS), bitmap, start, errp);
}
