/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preallocation: makes every page of a backend present before the guest starts. A few threads,
 * since the kernel clears pages no faster than one core can. Main thread; the workers only live in
 * here.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"
#include "error.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define MAX_WORKERS 8
#define MIN_BYTES_PER_WORKER ((uint64_t)64 << 20)

typedef struct Piece {
    uint8_t *host;
    uint64_t size;
    size_t page_size;
    int error; /* errno, 0 if it went well */
} Piece;

/* For kernels before 5.14. Writes what is there back, so that a file keeps its content; nobody else
 * uses the memory yet. */
static void touch_pages(Piece *p)
{
    for (uint64_t at = 0; at < p->size; at += p->page_size) {
        volatile uint8_t *byte = p->host + at;

        *byte = *byte;
    }
}

static gpointer populate(gpointer opaque)
{
    Piece *p = opaque;

    while (madvise(p->host, p->size, MADV_POPULATE_WRITE) < 0) {
        if (errno == EINVAL) {
            touch_pages(p);
            return NULL;
        }
        if (errno != EAGAIN && errno != EINTR) {
            p->error = errno;
            return NULL;
        }
    }
    return NULL;
}

bool memory_prealloc(uint8_t *host, uint64_t size, size_t page_size, const char *id,
                     GError **errp)
{
    uint64_t fit = MAX(size / MIN_BYTES_PER_WORKER, 1);
    unsigned workers = MIN(MIN(g_get_num_processors(), MAX_WORKERS), fit);
    uint64_t pages = size / page_size;
    Piece pieces[MAX_WORKERS];
    GThread *threads[MAX_WORKERS];
    int error = 0;

    workers = MIN(workers, MAX(pages, 1));
    for (unsigned i = 0; i < workers; i++) {
        uint64_t first = pages * i / workers, last = pages * (i + 1) / workers;

        pieces[i] = (Piece){ host + first * page_size, (last - first) * page_size, page_size, 0 };
        threads[i] = g_thread_try_new("prealloc", populate, &pieces[i], NULL);
        if (!threads[i]) {
            populate(&pieces[i]);
        }
    }
    for (unsigned i = 0; i < workers; i++) {
        if (threads[i]) {
            g_thread_join(threads[i]);
        }
        error = error ? error : pieces[i].error;
    }
    if (error) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, error,
                             "memory backend '%s': cannot preallocate %" PRIu64 " bytes%s", id,
                             size, page_size > 4096 ? " of huge pages" : "");
    }
    return true;
}
