/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target memory of a postcopy: a block is emptied when the source lists it, partly emptied
 * again by DISCARD, watched from LISTEN to the end. A block that only this side has keeps its
 * contents. Incoming thread (end: whoever joined the others).
 * Wire: spec commands 3.1 (ADVISE, DISCARD, LISTEN), ram 2.8.
 *
 * A page that counts as received need not have memory behind it: zero pages of the precopy part are
 * not touched. A fault on such a page is answered here, with zeros, and never asked of the source.
 */
#include "postcopy.h"

#include <inttypes.h>
#include <sys/mman.h>

#include "error.h"
#include "trace.h"

bool postcopy_supported(MigrationState *ms, GError **errp)
{
    const MigrationFaultOps *ops = ms->fault_ops;
    g_autoptr(GError) err = NULL;
    void *fs = ops->open(NULL, &err);
    bool ok = fs != NULL;

    if (fs) {
        ops->close(fs);
    }
    for (unsigned i = 0; ok && i < ram_block_count(ms); i++) {
        ok = ram_block_can_drop(ram_block_at(ms, i), &err);
    }
    return ok || gw_fail(errp, GW_ERROR_UNSUPPORTED, "Postcopy is not supported: %s",
                         err->message);
}

bool postcopy_ram_discard(MigrationState *ms, RAMBlock *b, uint64_t offset, uint64_t len,
                          GError **errp)
{
    const uint64_t page = offset >> GW_TARGET_PAGE_BITS;
    const uint64_t n = len >> GW_TARGET_PAGE_BITS;

    trace_event(postcopy_ram_discard_range, "block %s offset 0x%" PRIx64 " len 0x%" PRIx64,
                b->info.idstr, offset, len);
    if (!ram_block_drop(b, offset, len, errp)) {
        return false;
    }
    BITS_FOREACH_WORD(i, mask, page, n) {
        bits_atomic_take(b->received, i, mask);
    }
    bits_set_range(b->known_zero, page, n);
    return true;
}

bool postcopy_ram_prepare(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    pi->fault_ops = ms->fault_ops;
    pi->fs = pi->fault_ops->open(NULL, errp);
    if (!pi->fs) {
        g_prefix_error(errp, "Postcopy is not supported: ");
        return false;
    }
    return true;
}

/* Counts what is still to come; pages beyond the source's length never come and stay as they
 * are. */
static uint64_t missing_pages(MigrationState *ms)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);

        if (b->listed) {
            n += ram_block_pages(b) - bits_count(b->received, 0, ram_block_pages(b));
        }
    }
    return n;
}

bool postcopy_ram_listen(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    pi->requested = g_new0(uint64_t *, ram_block_count(ms) + 1);
    __atomic_store_n(&pi->missing, missing_pages(ms), __ATOMIC_RELAXED);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);

        pi->requested[i] = bits_new(ram_block_max_pages(b));
        if (!b->listed || b->info.used_length == 0) {
            continue; /* the source has no such block: what is here stays */
        }
        /* A huge page that the kernel made here would bring 511 pages that nobody sent. */
        (void)madvise(b->info.host, b->info.max_length, MADV_NOHUGEPAGE);
        if (!pi->fault_ops->add_range(pi->fs, b->info.host, b->info.used_length, b->info.page_size,
                                      errp)) {
            g_prefix_error(errp, "block '%s': ", b->info.idstr);
            return false;
        }
        b->watched = true;
    }
    postcopy_faults_start(ms);
    return true;
}

void postcopy_ram_release(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    postcopy_faults_stop(ms);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);

        if (b->watched) {
            pi->fault_ops->remove_range(pi->fs, b->info.host, b->info.used_length, NULL);
            b->watched = false;
            /* Undoes NOHUGEPAGE; the kernel knows no way back to neither. */
            (void)madvise(b->info.host, b->info.max_length, MADV_HUGEPAGE);
        }
    }
}

void postcopy_ram_end(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    postcopy_ram_release(ms);
    for (unsigned i = 0; pi->requested && i < ram_block_count(ms); i++) {
        g_free(pi->requested[i]);
    }
    g_clear_pointer(&pi->requested, g_free);
    if (pi->fs) {
        pi->fault_ops->close(pi->fs);
        pi->fs = NULL;
    }
}
