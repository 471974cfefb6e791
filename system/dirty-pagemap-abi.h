/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Linux 6.7 added for this kind of dirty tracking and the headers of older distributions lack.
 * Numbers and layouts are those of the kernel's documented ABI (Documentation/admin-guide/mm:
 * pagemap, userfaultfd), under names of our own so that newer headers do not clash.
 */
#ifndef SYSTEM_DIRTY_PAGEMAP_ABI_H
#define SYSTEM_DIRTY_PAGEMAP_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

/* userfaultfd features; WP_HUGETLBFS_SHMEM is that of 5.19 */
#define ABI_UFFD_WP_HUGETLBFS_SHMEM (UINT64_C(1) << 12)
#define ABI_UFFD_WP_UNPOPULATED     (UINT64_C(1) << 13)
#define ABI_UFFD_WP_ASYNC           (UINT64_C(1) << 15)

/* A new userfaultfd from /dev/userfaultfd; the argument are open flags. */
#define ABI_USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
/* Flag of the userfaultfd system call: faults of system calls are not trapped. */
#define ABI_UFFD_USER_MODE_ONLY 1

/* PAGEMAP_SCAN on /proc/self/pagemap */
#define ABI_PM_SCAN_WP_MATCHING   (UINT64_C(1) << 0)
#define ABI_PM_SCAN_CHECK_WPASYNC (UINT64_C(1) << 1)
#define ABI_PAGE_IS_WRITTEN       (UINT64_C(1) << 1)

typedef struct AbiPageRegion {
    uint64_t start, end; /* addresses */
    uint64_t categories;
} AbiPageRegion;

typedef struct AbiPmScanArg {
    uint64_t size;
    uint64_t flags;
    uint64_t start, end;    /* addresses, page aligned */
    uint64_t walk_end;      /* out: where the walk stopped */
    uint64_t vec, vec_len;  /* array of AbiPageRegion */
    uint64_t max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
} AbiPmScanArg;

#define ABI_PAGEMAP_SCAN _IOWR('f', 16, AbiPmScanArg)

_Static_assert(sizeof(AbiPmScanArg) == 96, "ABI of PAGEMAP_SCAN");
_Static_assert(sizeof(AbiPageRegion) == 24, "ABI of PAGEMAP_SCAN");

#endif
