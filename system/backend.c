/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory backends: checks the configuration, gets a descriptor where there is one (backend-file.c),
 * maps and fills the memory. Main thread.
 */
#include "backend.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend-internal.h"
#include "error.h"

#define HUGE_2M ((size_t)2 << 20)

void memory_backend_free(MemoryBackend *b)
{
    if (!b) {
        return;
    }
    if (b->host) {
        munmap(b->host, b->size);
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
    g_free(b->id);
    g_free(b);
}

static bool open_backing(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp)
{
    if (g_strcmp0(c->qom_type, "memory-backend-ram") == 0) {
        return true;
    }
    if (g_strcmp0(c->qom_type, "memory-backend-memfd") == 0) {
        return backend_open_memfd(b, c, errp);
    }
    if (g_strcmp0(c->qom_type, "memory-backend-file") == 0) {
        return backend_open_file(b, c, errp);
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED, "memory backend '%s': type '%s' is not supported",
                   b->id, c->qom_type);
}

static bool check_sizes(const MemoryBackend *b, const MemoryBackendConfig *c, GError **errp)
{
    if (b->size % b->page_size || c->offset % b->page_size) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory backend '%s': size 0x%" PRIx64 " and offset 0x%" PRIx64
                       " must be multiples of the page size 0x%zx",
                       b->id, b->size, c->offset, b->page_size);
    }
    if (c->align & (c->align - 1)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory backend '%s': align 0x%" PRIx64 " is not a power of two", b->id,
                       c->align);
    }
    if (c->align > (UINT64_C(1) << 40)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory backend '%s': align is too large", b->id);
    }
    return true;
}

static bool map_backing(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp)
{
    size_t align = MAX(MAX(b->page_size, HUGE_2M), (size_t)c->align);
    const char *mend = b->page_size > 4096 ? "; reserve more huge pages (vm.nr_hugepages)" : "";

    b->host = memory_map_aligned(b->fd, b->fd_offset, b->size, align, b->shared, c->readonly);
    if (!b->host) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory backend '%s': cannot map %" PRIu64 " bytes: %s%s", b->id, b->size,
                       strerror(errno), mend);
    }
    if (b->page_size == 4096) {
        /* A hint only: kernels without huge pages refuse it and nothing is lost. */
        madvise(b->host, b->size, MADV_HUGEPAGE);
    }
    return true;
}

MemoryBackend *memory_backend_new(const MemoryBackendConfig *conf, GError **errp)
{
    g_autoptr(MemoryBackend) b = g_new0(MemoryBackend, 1);

    b->id = g_strdup(conf->id);
    b->size = conf->size;
    b->fd = -1;
    b->fd_offset = conf->offset;
    b->page_size = 4096;
    /* QEMU's defaults: a memfd is shared unless told otherwise, the others are private. */
    b->shared = conf->has_share ? conf->share
                                : g_strcmp0(conf->qom_type, "memory-backend-memfd") == 0;
    if (conf->size == 0) {
        gw_fail(errp, GW_ERROR_GENERIC, "memory backend '%s': size is 0", b->id);
        return NULL;
    }
    if (conf->size > INT64_MAX / 4 || conf->offset > INT64_MAX / 4) {
        gw_fail(errp, GW_ERROR_GENERIC, "memory backend '%s': size or offset is too large", b->id);
        return NULL;
    }
    if (!open_backing(b, conf, errp) || !check_sizes(b, conf, errp) ||
        !map_backing(b, conf, errp)) {
        return NULL;
    }
    if (conf->prealloc && !memory_prealloc(b->host, b->size, b->page_size, b->id, errp)) {
        return NULL;
    }
    return g_steal_pointer(&b);
}

uint8_t *memory_map_aligned(int fd, uint64_t offset, uint64_t size, size_t align, bool shared,
                            bool readonly)
{
    /* Room enough to find an aligned place in it; what is left over goes back. */
    uint8_t *area = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                         -1, 0);

    if (area == MAP_FAILED) {
        return NULL;
    }
    uint8_t *at = (uint8_t *)(((uintptr_t)area + align - 1) & ~(uintptr_t)(align - 1));
    int prot = readonly ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE) | (fd < 0 ? MAP_ANONYMOUS : 0);

    if (mmap(at, size, prot, flags, fd, fd < 0 ? 0 : (off_t)offset) == MAP_FAILED) {
        int saved = errno;

        munmap(area, size + align);
        errno = saved;
        return NULL;
    }
    if (at > area) {
        munmap(area, at - area);
    }
    munmap(at + size, area + align - at);
    return at;
}
