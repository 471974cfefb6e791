/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: -m, -mem-path, -mem-prealloc and -object memory-backend-*.
 * Sizes in the config are bytes, multiples of 4 KiB. Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

#define MIB (UINT64_C(1) << 20)

bool cmdline_memory(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "size", errp);
    uint64_t max;

    if (!kv) {
        return false;
    }
    cl->ram_size = keyval_size(kv, "size", cl->ram_size, MIB);
    max = keyval_size(kv, "maxmem", 0, MIB);
    /* Slots are for hot-plugged memory; as many as you like of what is never used. */
    keyval_u64(kv, "slots", 0, 65535);
    if (max && max != cl->ram_size) {
        keyval_error(kv, "maxmem differs from size: there is no memory hot-plug, give only size");
    }
    return keyval_done(kv, errp);
}

bool cmdline_mem_path(Cmdline *cl, const char *arg, GError **errp)
{
    g_free(cl->config->mem_path);
    cl->config->mem_path = g_strdup(arg);
    return true;
}

bool cmdline_mem_prealloc(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->mem_prealloc = true;
    return true;
}

static MemoryBackendConfig *find_backend(Cmdline *cl, const char *id)
{
    for (guint i = 0; i < cl->config->backends->len; i++) {
        MemoryBackendConfig *b = g_ptr_array_index(cl->config->backends, i);

        if (!strcmp(b->id, id)) {
            return b;
        }
    }
    return NULL;
}

static void backend_common(MemoryBackendConfig *b, KeyValList *kv)
{
    const char *policy = keyval_str(kv, "policy");

    b->size = keyval_size(kv, "size", 0, 1);
    if (!b->size) {
        keyval_error(kv, "Parameter 'size' is missing or zero");
    } else if (b->size % 4096) {
        keyval_error(kv, "Parameter 'size' must be a multiple of 4096, not %" G_GUINT64_FORMAT,
                     b->size);
    }
    b->has_share = keyval_has(kv, "share");
    b->share = keyval_bool(kv, "share", strcmp(b->qom_type, "memory-backend-memfd") == 0);
    b->prealloc = keyval_bool(kv, "prealloc", false);
    b->merge_off = !keyval_bool(kv, "merge", true);
    b->dump_off = !keyval_bool(kv, "dump", true);
    /* How many threads touch it, and whether swap is reserved, is decided here. */
    keyval_u64(kv, "prealloc-threads", 1, 65535);
    keyval_bool(kv, "reserve", true);
    if (keyval_bool(kv, "x-use-canonical-path-for-ramblock-id", false)) {
        keyval_error(kv, "Parameter 'x-use-canonical-path-for-ramblock-id' supports 'off' only: a "
                     "block is called by its id");
    }
    if (keyval_has(kv, "host-nodes") || keyval_has(kv, "host-nodes.0")) {
        keyval_error(kv, "Parameter 'host-nodes' is not supported; bind the process with numactl");
    }
    if (policy && strcmp(policy, "default")) {
        keyval_error(kv, "Parameter 'policy' supports 'default' only");
    }
}

static void backend_file(MemoryBackendConfig *b, KeyValList *kv)
{
    b->mem_path = g_strdup(keyval_need(kv, "mem-path"));
    b->align = keyval_size(kv, "align", 0, 1);
    b->offset = keyval_size(kv, "offset", 0, 1);
    b->discard_data = keyval_bool(kv, "discard-data", false);
    b->readonly = keyval_bool(kv, "readonly", false);
    if (keyval_bool(kv, "pmem", false)) {
        keyval_error(kv, "Parameter 'pmem' supports 'off' only");
    }
}

static void backend_memfd(MemoryBackendConfig *b, KeyValList *kv)
{
    b->hugetlb = keyval_bool(kv, "hugetlb", false);
    b->hugetlbsize = keyval_size(kv, "hugetlbsize", 0, 1);
    if (b->hugetlbsize && (b->hugetlbsize & (b->hugetlbsize - 1))) {
        keyval_error(kv, "Parameter 'hugetlbsize' must be a power of two");
    }
    keyval_bool(kv, "seal", true);
}

bool cmdline_memory_backend(Cmdline *cl, const char *qom_type, KeyValList *kv, GError **errp)
{
    MemoryBackendConfig *b = g_new0(MemoryBackendConfig, 1);
    const char *id = keyval_need(kv, "id");

    if (id && find_backend(cl, id)) {
        keyval_error(kv, "attempt to add duplicate property '%s' to object (type 'container')",
                     id);
    }
    b->id = g_strdup(id ? id : "");
    b->qom_type = g_strdup(qom_type);
    g_ptr_array_add(cl->config->backends, b);
    backend_common(b, kv);
    if (!strcmp(qom_type, "memory-backend-file")) {
        backend_file(b, kv);
    } else if (!strcmp(qom_type, "memory-backend-memfd")) {
        backend_memfd(b, kv);
    }
    return keyval_done(kv, errp);
}

/* The backend that is the main memory gives the size, and must agree with -m. */
static bool settle_backend(Cmdline *cl, const char *id, GError **errp)
{
    const MemoryBackendConfig *b = find_backend(cl, id);

    if (!b) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-machine memory-backend=%s: Memory backend '%s' not found (make it with "
                       "-object memory-backend-ram,id=%s,size=...)", id, id, id);
    }
    if (cl->ram_size && cl->ram_size != b->size) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-m: machine memory size %" G_GUINT64_FORMAT
                       " does not match the size %" G_GUINT64_FORMAT " of memory backend '%s'",
                       cl->ram_size, b->size, id);
    }
    if (cl->config->mem_path) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'-mem-path' can't be used together with "
                       "'-machine memory-backend'");
    }
    cl->ram_size = b->size;
    return true;
}

bool cmdline_memory_finish(Cmdline *cl, GError **errp)
{
    const char *id = machine_config_prop(cl->config, "memory-backend");

    if (id && !settle_backend(cl, id, errp)) {
        return false;
    }
    if (cl->ram_size > (UINT64_C(1) << 46)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-m: %" G_GUINT64_FORMAT " bytes of memory are more "
                       "than the machine can address (64T)", cl->ram_size);
    }
    /* 0 stands for the board's default. -m is rounded up to 8 KiB, as QEMU does. */
    cl->config->ram_size = id ? cl->ram_size : (cl->ram_size + 8191) & ~UINT64_C(8191);
    return true;
}
