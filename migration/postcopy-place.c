/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts arrived pages into guest memory, a run of neighbours with one operation. Listen or preempt
 * thread; both may place at once, never the same page: the source sends each host page once.
 * Wire: spec ram 2.8 (host-page atomicity).
 */
#include "postcopy.h"

#include <inttypes.h>

#include "error.h"
#include "trace.h"

/* After the memory: who sees the bit (acquire) may rely on the page. */
static uint64_t mark_received(MigrationState *ms, RAMBlock *b, uint64_t page, uint64_t n)
{
    uint64_t fresh = 0;

    BITS_FOREACH_WORD(i, mask, page, n) {
        const uint64_t old = __atomic_fetch_or(&b->received[i], mask, __ATOMIC_ACQ_REL);

        fresh += (unsigned)__builtin_popcountll(mask & ~old);
    }
    return fresh;
}

/* Ends the faults on every requested host page of the run. */
static void account(MigrationState *ms, RAMBlock *b, uint64_t page, uint64_t n, int64_t arrived_ns)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    const uint64_t *asked = pi->requested[ram_block_index(b)];
    const uint64_t end = page + n;
    int64_t now = 0;

    for (uint64_t at = bits_find_set(asked, page, end); at < end;
         at = bits_find_set(asked, at + 1, end)) {
        now = now ? now : ms_now_ns(ms);
        latency_placed(pi->latency, (uintptr_t)ram_block_page(b, at), arrived_ns, now);
    }
}

bool postcopy_place(MigrationState *ms, RAMBlock *b, uint64_t page, uint64_t n, const uint8_t *src,
                    GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    uint8_t *host = ram_block_page(b, page);
    const uint64_t len = n << GW_TARGET_PAGE_BITS;
    const int64_t arrived_ns = ms_now_ns(ms);
    uint64_t existed = 0;
    bool ok;

    ok = src ? pi->fault_ops->place(pi->fs, host, src, len, b->info.page_size, &existed, errp)
             : pi->fault_ops->zero(pi->fs, host, len, b->info.page_size, &existed, errp);
    if (!ok) {
        g_prefix_error(errp, "block '%s', offset 0x%" PRIx64 ": ", b->info.idstr,
                       page << GW_TARGET_PAGE_BITS);
        return false;
    }
    if (existed) {
        __atomic_fetch_add(&pi->duplicates, existed >> GW_TARGET_PAGE_BITS, __ATOMIC_RELAXED);
        trace_event(postcopy_place_duplicate, "block %s offset 0x%" PRIx64 ": %" PRIu64
                    " bytes were there", b->info.idstr, page << GW_TARGET_PAGE_BITS, existed);
    }
    account(ms, b, page, n, arrived_ns);
    if (__atomic_sub_fetch(&pi->missing, mark_received(ms, b, page, n), __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_lock(&ms->lock);
        pthread_cond_broadcast(&ms->in.cond);
        pthread_mutex_unlock(&ms->lock);
    }
    return true;
}
