/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine with memory, a dirty log of either kind, and a clock that a test drives: time passes
 * only while somebody waits, and meanwhile the guest writes. For tests of what measures dirty
 * memory. The log has a lock of its own; everything else belongs to one thread at a time.
 */
#ifndef TESTS_DIRTY_FIXTURE_H
#define TESTS_DIRTY_FIXTURE_H

#include <string.h>
#include <sys/mman.h>

#include "bits.h"
#include "migration/dirty-rate.h"
#include "state.h"

typedef struct DirtyMachine DirtyMachine;

struct DirtyMachine {
    MigrationState *ms;
    RAMBlock *block;
    uint8_t *ram;
    uint64_t pages;
    pthread_mutex_t lock;      /* guards what follows */
    int64_t now_ns;
    bool logging, two_step, fail_start, stuck;
    uint64_t *written;         /* the log's bits */
    uint64_t *harvested;       /* two-step: what sync() has reported */
    uint64_t vcpu_pages[2];
    unsigned nr_vcpus;
    unsigned busy_percent;     /* of its time that vCPU 1 has work; vCPU 0 half of that */
    unsigned starts, stops;
    void (*guest)(DirtyMachine *m, int64_t from_ns, int64_t to_ns); /* lock held */
};

/* The guest's vCPU writes to a page; lock held. */
static inline void dirty_write(DirtyMachine *m, unsigned vcpu, uint64_t page)
{
    m->ram[page * GW_TARGET_PAGE_SIZE]++;
    bits_set(m->written, page);
    m->vcpu_pages[vcpu]++;
}

static inline bool dirty_start(void *opaque, GError **errp)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    if (m->fail_start) {
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "no log here");
        return false;
    }
    g_assert_false(m->logging);
    m->logging = true;
    m->starts++;
    bits_set_range(m->written, 0, m->pages);
    return true;
}

static inline void dirty_stop(void *opaque)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    m->stops += m->logging;
    m->logging = false;
}

static inline bool dirty_sync(void *opaque, RAMBlock *b, uint64_t first, uint64_t n, uint64_t *map,
                              GError **errp)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    g_assert_true(m->logging);
    for (uint64_t i = first; i < first + n; i++) {
        if (bits_test(m->written, i)) {
            bits_set(map, i - first);
        }
    }
    if (m->two_step) {
        for (uint64_t i = first; i < first + n; i++) {
            m->harvested[i / 64] |= m->written[i / 64] & (UINT64_C(1) << i % 64);
        }
    } else {
        bits_clear_range(m->written, first, n);
    }
    return true;
}

static inline bool dirty_clear(void *opaque, RAMBlock *b, uint64_t first, uint64_t n, GError **errp)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    BITS_FOREACH_WORD(i, mask, first, n) {
        const uint64_t mine = m->harvested[i] & mask;

        m->written[i] &= ~mine;
        m->harvested[i] &= ~mine;
    }
    return true;
}

static inline unsigned dirty_vcpus(void *opaque, uint64_t *pages, unsigned n)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    for (unsigned i = 0; i < MIN(n, m->nr_vcpus); i++) {
        pages[i] = m->vcpu_pages[i];
        m->vcpu_pages[i] = 0;
    }
    return MIN(n, m->nr_vcpus);
}

static inline int64_t dirty_now(void *opaque)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    return m->now_ns;
}

/* The clock jumps to the deadline, unless it is stuck: then only a signal ends the wait. */
static inline bool dirty_wait(void *opaque, pthread_cond_t *cond, pthread_mutex_t *mutex,
                              int64_t deadline_ns)
{
    DirtyMachine *m = opaque;
    bool stuck;

    pthread_mutex_lock(&m->lock);
    stuck = m->stuck;
    if (!stuck && deadline_ns > m->now_ns) {
        if (m->guest) {
            m->guest(m, m->now_ns, deadline_ns);
        }
        m->now_ns = deadline_ns;
    }
    pthread_mutex_unlock(&m->lock);
    if (stuck) {
        pthread_cond_wait(cond, mutex);
    }
    return stuck;
}

static inline void dirty_nothing(void *opaque)
{
}

static inline bool dirty_host_stop(void *opaque, const char *run_state, GError **errp)
{
    return true;
}

static inline bool dirty_host_start(void *opaque, GError **errp)
{
    return true;
}

static inline const char *dirty_run_state(void *opaque)
{
    return "running";
}

static inline bool dirty_set_run_state(void *opaque, const char *run_state, GError **errp)
{
    return true;
}

static inline bool dirty_is_running(void *opaque)
{
    return true;
}

static inline uint64_t dirty_busy(void *opaque, unsigned vcpu)
{
    DirtyMachine *m = opaque;
    LOCK_GUARD(&m->lock);

    return (uint64_t)m->now_ns / 200 * m->busy_percent * (vcpu + 1);
}

static inline MigrationState *dirty_state_new(DirtyMachine *m)
{
    static const MigrationHostOps host = {
        .size = sizeof(host), .lock = dirty_nothing, .unlock = dirty_nothing,
        .stop_guest = dirty_host_stop, .start_guest = dirty_host_start,
        .run_state = dirty_run_state, .set_run_state = dirty_set_run_state,
        .is_running = dirty_is_running, .vcpu_busy_ns = dirty_busy,
    };
    static const MigrationClockOps clock = {
        .size = sizeof(clock), .now_ns = dirty_now, .wait_until = dirty_wait,
    };
    const MigrationDirtyLogOps log = {
        .size = sizeof(log), .name = "fake", .start = dirty_start, .stop = dirty_stop,
        .sync = dirty_sync, .clear = m->two_step ? dirty_clear : NULL,
        .vcpu_dirty_pages = dirty_vcpus,
    };
    const MigrationSettings settings = {
        .size = sizeof(settings), .machine_name = "none", .host = &host, .host_opaque = m,
        .dirty_log = &log, .dirty_log_opaque = m, .clock = &clock, .clock_opaque = m,
    };
    MigrationState *ms = gw_migration_new(&settings, NULL);

    g_assert_nonnull(ms);
    return ms;
}

static inline DirtyMachine *dirty_machine_new(uint64_t pages, bool two_step)
{
    DirtyMachine *m = g_new0(DirtyMachine, 1);
    RAMBlockInfo info = {
        .idstr = "ram", .used_length = pages * GW_TARGET_PAGE_SIZE,
        .max_length = pages * GW_TARGET_PAGE_SIZE, .page_size = GW_TARGET_PAGE_SIZE, .fd = -1,
    };

    pthread_mutex_init(&m->lock, NULL);
    m->pages = pages;
    m->two_step = two_step;
    m->nr_vcpus = 2;
    m->written = bits_new(pages);
    m->harvested = bits_new(pages);
    m->ram = mmap(NULL, info.max_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                  0);
    g_assert_true(m->ram != MAP_FAILED);
    info.host = m->ram;
    m->ms = dirty_state_new(m);
    m->block = gw_ram_block_add(m->ms, &info, NULL);
    g_assert_nonnull(m->block);
    return m;
}

static inline void dirty_machine_free(DirtyMachine *m)
{
    gw_migration_free(m->ms);
    munmap(m->ram, m->pages * GW_TARGET_PAGE_SIZE);
    pthread_mutex_destroy(&m->lock);
    g_free(m->written);
    g_free(m->harvested);
    g_free(m);
}

#endif
