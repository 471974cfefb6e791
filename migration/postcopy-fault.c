/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fault thread of an incoming postcopy: from a fault to a request. A page is asked for once per
 * connection; who else waits for it is woken by its placement. Requests are written under
 * in.rp_lock (return-path-send.c); the bitmap of what was asked is atomic. Wire: spec commands 3.2
 * (REQ_PAGES_ID, REQ_PAGES).
 */
#include "postcopy.h"

#include <inttypes.h>

#include "error.h"
#include "prompt-thread.h"
#include "return-path.h"
#include "trace.h"

#define FAULTS_AT_ONCE 16

/* The block and target page of an address in guest memory; NULL if it is none of ours. */
static RAMBlock *block_of(MigrationState *ms, const void *host, uint64_t *page)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);
        const uint64_t offset = (uint64_t)((const uint8_t *)host - b->info.host);

        if ((const uint8_t *)host >= b->info.host && offset < b->info.used_length) {
            *page = (offset & ~((uint64_t)b->info.page_size - 1)) >> GW_TARGET_PAGE_BITS;
            return b;
        }
    }
    return NULL;
}

static bool claim_request(PostcopyIncoming *pi, RAMBlock *b, uint64_t page)
{
    uint64_t *map = pi->requested[ram_block_index(b)];
    const uint64_t bit = UINT64_C(1) << page % BITS_PER_WORD;

    return !(__atomic_fetch_or(&map[page / BITS_PER_WORD], bit, __ATOMIC_ACQ_REL) & bit);
}

/* Under in.rp_lock, because which block was named last belongs to the connection. */
static bool send_request(MigrationState *ms, RAMBlock *b, uint64_t page, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    const size_t n = strlen(b->info.idstr);
    uint8_t payload[13 + 255];
    bool ok;

    store_be64(payload, page << GW_TARGET_PAGE_BITS);
    store_be32(payload + 8, (uint32_t)b->info.page_size);
    payload[12] = (uint8_t)n;
    memcpy(payload + 13, b->info.idstr, n);
    pthread_mutex_lock(&ms->in.rp_lock);
    if (pi->asked_block == b) {
        ok = rp_send_locked(ms, MIG_RP_MSG_REQ_PAGES, payload, 12, errp);
    } else {
        ok = rp_send_locked(ms, MIG_RP_MSG_REQ_PAGES_ID, payload, (uint16_t)(13 + n), errp);
        pi->asked_block = ok ? b : NULL;
    }
    pthread_mutex_unlock(&ms->in.rp_lock);
    return ok;
}

bool postcopy_request_page(MigrationState *ms, RAMBlock *b, uint64_t page, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (!claim_request(pi, b, page)) {
        return true;
    }
    trace_event(postcopy_request_page, "block %s offset 0x%" PRIx64, b->info.idstr,
                page << GW_TARGET_PAGE_BITS);
    __atomic_fetch_add(&pi->requests, 1, __ATOMIC_RELAXED);
    return send_request(ms, b, page, errp);
}

bool postcopy_request_again(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);
        const uint64_t end = ram_block_pages(b);

        for (uint64_t at = bits_find_set(pi->requested[i], 0, end); at < end;
             at = bits_find_set(pi->requested[i], at + 1, end)) {
            if (!bits_test(b->received, at) && !send_request(ms, b, at, errp)) {
                return false;
            }
        }
    }
    return true;
}

/* Received, but without memory behind it: it is a zero page that was never touched here. Or it has
 * arrived since, and the waiter was woken before it began to wait. */
static bool fill_received(MigrationState *ms, RAMBlock *b, uint64_t page, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    uint8_t *host = ram_block_page(b, page);
    uint64_t existed = 0;

    return pi->fault_ops->zero(pi->fs, host, b->info.page_size, b->info.page_size, &existed,
                               errp) &&
           (!existed || pi->fault_ops->wake(pi->fs, host, b->info.page_size, errp));
}

static bool handle_fault(MigrationState *ms, const MigrationFault *f, int64_t now, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    uint64_t page;
    RAMBlock *b = block_of(ms, f->host, &page);

    if (!b) {
        return gw_fail(errp, GW_ERROR_GENERIC, "userfaultfd: a fault at %p, in no RAM block",
                       f->host);
    }
    if (bits_test_acquire(b->received, page)) {
        return fill_received(ms, b, page, errp);
    }
    const uintptr_t key = (uintptr_t)ram_block_page(b, page);
    const int vcpu = ms->host.vcpu_of_thread ? ms->host.vcpu_of_thread(ms->host_opaque, f->tid)
                                             : -1;

    g_autoptr(GError) why = NULL;

    latency_fault(pi->latency, key, vcpu, now);
    /* A request that cannot be written now is repeated after the recovery: the listen thread
     * notices the broken channel by itself. */
    if (!postcopy_request_page(ms, b, page, &why)) {
        trace_event(postcopy_fault_error, "%s", why->message);
        return true;
    }
    latency_requested(pi->latency, key, ms_now_ns(ms));
    /* It may have arrived between the look at `received` and the entry in the table. */
    if (bits_test_acquire(b->received, page)) {
        latency_placed(pi->latency, key, now, ms_now_ns(ms));
        return pi->fault_ops->wake(pi->fs, (void *)key, b->info.page_size, errp);
    }
    return true;
}

static bool handle_faults(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    MigrationFault faults[FAULTS_AT_ONCE];
    const int n = pi->fault_ops->wait(pi->fs, faults, FAULTS_AT_ONCE, -1, errp);
    const int64_t now = ms_now_ns(ms);

    for (int i = 0; i < n; i++) {
        if (!handle_fault(ms, &faults[i], now, errp)) {
            return false;
        }
    }
    return n >= 0;
}

static gpointer fault_thread(gpointer opaque)
{
    MigrationState *ms = opaque;
    PostcopyIncoming *pi = ms->postcopy_incoming;
    GError *err = NULL;

    prompt_thread();
    while (!__atomic_load_n(&pi->stop_faults, __ATOMIC_ACQUIRE)) {
        if (!handle_faults(ms, &err)) {
            break;
        }
    }
    if (err) {
        /* Nobody would answer the guest's faults: a pause says so, a recovery tries once more. */
        trace_event(postcopy_fault_error, "%s", err->message);
        g_prefix_error(&err, "page faults are no longer noticed: ");
        pthread_mutex_lock(&ms->lock);
        pi->faults_failed = true;
        postcopy_break(ms, err);
        pthread_mutex_unlock(&ms->lock);
    }
    return NULL;
}

void postcopy_faults_start(MigrationState *ms)
{
    ms->postcopy_incoming->fault_thread = g_thread_new("mig/dst/fault", fault_thread, ms);
}

void postcopy_faults_stop(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (pi->fault_thread) {
        __atomic_store_n(&pi->stop_faults, true, __ATOMIC_RELEASE);
        pi->fault_ops->stop(pi->fs);
        g_clear_pointer(&pi->fault_thread, g_thread_join);
    }
}

bool postcopy_faults_restart(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    bool failed;

    pthread_mutex_lock(&ms->lock);
    failed = pi->faults_failed;
    pi->faults_failed = false;
    if (failed) {
        g_clear_error(&pi->broken); /* maybe of a failure during the pause */
    }
    pthread_mutex_unlock(&ms->lock);
    if (!failed) {
        return true;
    }
    g_clear_pointer(&pi->fault_thread, g_thread_join);
    postcopy_faults_start(ms);
    /* Faults that were read and not answered are not reported again, unless their threads wake. */
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);

        if (b->watched &&
            !pi->fault_ops->wake(pi->fs, b->info.host, b->info.used_length, errp)) {
            return false;
        }
    }
    return true;
}
