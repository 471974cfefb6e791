/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two engines in one process: a machine of plain memory whose guest is one thread that writes, with
 * a software dirty log. Used by the tests that migrate from one MigrationState to another.
 */
#ifndef TESTS_PAIR_FIXTURE_H
#define TESTS_PAIR_FIXTURE_H

#include <string.h>
#include <sys/mman.h>

#include "migration/migration.h"

#include "channel-mem.h"
#include "lock.h"

typedef struct ToyDevice {
    uint32_t a;
    uint64_t b;
    uint8_t name[8];
} ToyDevice;

typedef struct ToyMachine {
    MigrationState *ms;
    pthread_mutex_t lock;        /* the machine lock */
    pthread_mutex_t run_lock;    /* guards running and state */
    pthread_cond_t run_cond;
    bool running, parked, quit;
    char state[32];
    bool autostart;
    GThread *guest;     /* NULL: a guest that does nothing */
    uint8_t *ram;
    size_t ram_size;
    RAMBlock *block;
    uint64_t *dirty;    /* software dirty log: one bit per page, atomic */
    bool logging;
    uint32_t seed;
    uint64_t writes;    /* atomic */
    unsigned write_pause_us;
    ToyDevice dev;
    GString *statuses;  /* "setup active ...", run_lock */
    GString *in_statuses;
    char *failed;       /* incoming_failed message */
    unsigned starts;    /* times the guest was started; run_lock */
    bool started_logged; /* the last time with the dirty log on; run_lock */
    uint64_t pass;      /* the last that was told of; run_lock */
} ToyMachine;

static inline void toy_lock(void *o)
{
    pthread_mutex_lock(&((ToyMachine *)o)->lock);
}

static inline void toy_unlock(void *o)
{
    pthread_mutex_unlock(&((ToyMachine *)o)->lock);
}

static inline bool toy_stop(void *o, const char *state, GError **errp)
{
    ToyMachine *m = o;

    pthread_mutex_lock(&m->run_lock);
    m->running = false;
    while (m->guest && !m->parked) {
        pthread_cond_wait(&m->run_cond, &m->run_lock);
    }
    g_strlcpy(m->state, state, sizeof(m->state));
    pthread_mutex_unlock(&m->run_lock);
    return true;
}

static inline bool toy_start(void *o, GError **errp)
{
    ToyMachine *m = o;

    pthread_mutex_lock(&m->run_lock);
    m->running = true;
    m->starts++;
    m->started_logged = __atomic_load_n(&m->logging, __ATOMIC_SEQ_CST);
    g_strlcpy(m->state, "running", sizeof(m->state));
    pthread_cond_broadcast(&m->run_cond);
    pthread_mutex_unlock(&m->run_lock);
    return true;
}

static inline const char *toy_run_state(void *o)
{
    ToyMachine *m = o;
    const char *s;

    pthread_mutex_lock(&m->run_lock);
    s = g_intern_string(m->state);
    pthread_mutex_unlock(&m->run_lock);
    return s;
}

static inline bool toy_set_run_state(void *o, const char *state, GError **errp)
{
    ToyMachine *m = o;

    pthread_mutex_lock(&m->run_lock);
    g_strlcpy(m->state, state, sizeof(m->state));
    pthread_mutex_unlock(&m->run_lock);
    return true;
}

static inline bool toy_is_running(void *o)
{
    ToyMachine *m = o;
    bool r;

    pthread_mutex_lock(&m->run_lock);
    r = m->running;
    pthread_mutex_unlock(&m->run_lock);
    return r;
}

static inline bool toy_autostart(void *o)
{
    return ((ToyMachine *)o)->autostart;
}

static inline void toy_status(void *o, bool incoming, MigrationStatus status)
{
    ToyMachine *m = o;

    pthread_mutex_lock(&m->run_lock);
    g_string_append_printf(incoming ? m->in_statuses : m->statuses, "%s ",
                           gw_migration_status_name(status));
    pthread_mutex_unlock(&m->run_lock);
}

static inline void toy_pass(void *o, uint64_t pass)
{
    ToyMachine *m = o;

    pthread_mutex_lock(&m->run_lock);
    g_assert(pass == 2 || pass == m->pass + 1); /* the first is not told of */
    m->pass = pass;
    pthread_mutex_unlock(&m->run_lock);
}

static inline void toy_failed(void *o, const char *message)
{
    ToyMachine *m = o;

    pthread_mutex_lock(&m->run_lock);
    g_free(m->failed);
    m->failed = g_strdup(message);
    pthread_mutex_unlock(&m->run_lock);
}

static inline bool toy_log_start(void *o, GError **errp)
{
    __atomic_store_n(&((ToyMachine *)o)->logging, true, __ATOMIC_SEQ_CST);
    return true;
}

static inline void toy_log_stop(void *o)
{
    __atomic_store_n(&((ToyMachine *)o)->logging, false, __ATOMIC_SEQ_CST);
}

static inline bool toy_log_sync(void *o, RAMBlock *block, uint64_t first, uint64_t npages,
                                uint64_t *bitmap, GError **errp)
{
    ToyMachine *m = o;

    g_assert(first % 64 == 0);
    for (uint64_t w = 0; w < (npages + 63) / 64; w++) {
        bitmap[w] |= __atomic_exchange_n(&m->dirty[first / 64 + w], 0, __ATOMIC_SEQ_CST);
    }
    return true;
}

/* The sanitizer must not take the guest's writes to memory that is being sent for a race: that
 * race is what the dirty log is for. */
__attribute__((no_sanitize("thread"), noinline)) static void toy_guest_write(ToyMachine *m,
                                                                            size_t page)
{
    volatile uint64_t *p = (volatile uint64_t *)(m->ram + page * GW_TARGET_PAGE_SIZE);

    p[0] = page;
    p[1]++;
    p[511] = p[1];
    __atomic_fetch_or(&m->dirty[page / 64], 1ull << (page % 64), __ATOMIC_SEQ_CST);
}

static inline gpointer toy_guest(gpointer o)
{
    ToyMachine *m = o;
    uint32_t rng = m->seed | 1;

    for (;;) {
        pthread_mutex_lock(&m->run_lock);
        while (!m->running && !m->quit) {
            m->parked = true;
            pthread_cond_broadcast(&m->run_cond);
            pthread_cond_wait(&m->run_cond, &m->run_lock);
        }
        m->parked = false;
        if (m->quit) {
            m->parked = true;
            pthread_mutex_unlock(&m->run_lock);
            return NULL;
        }
        pthread_mutex_unlock(&m->run_lock);
        for (int i = 0; i < 16; i++) {
            rng = rng * 1664525 + 1013904223;
            toy_guest_write(m, (rng >> 8) % (m->ram_size / GW_TARGET_PAGE_SIZE));
        }
        __atomic_fetch_add(&m->writes, 16, __ATOMIC_RELAXED);
        g_usleep(m->write_pause_us);
    }
}

static const VMStateDescription vmstate_toy = {
    .name = "toy",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(a, ToyDevice),
        VMSTATE_UINT64(b, ToyDevice),
        VMSTATE_BUFFER(name, ToyDevice),
        VMSTATE_END,
    },
};

static inline const MigrationHostOps *toy_host_ops(void)
{
    static const MigrationHostOps ops = {
        .size = sizeof(ops),
        .lock = toy_lock,
        .unlock = toy_unlock,
        .stop_guest = toy_stop,
        .start_guest = toy_start,
        .run_state = toy_run_state,
        .set_run_state = toy_set_run_state,
        .is_running = toy_is_running,
        .autostart = toy_autostart,
        .status_changed = toy_status,
        .pass_started = toy_pass,
        .incoming_failed = toy_failed,
    };
    return &ops;
}

static inline const MigrationDirtyLogOps *toy_log_ops(void)
{
    static const MigrationDirtyLogOps ops = {
        .size = sizeof(ops),
        .name = "software",
        .start = toy_log_start,
        .stop = toy_log_stop,
        .sync = toy_log_sync,
    };
    return &ops;
}

/* A machine with `pages` pages; a destination (incoming) waits, a source is paused. */
static inline ToyMachine *toy_machine_new(size_t pages, bool incoming)
{
    ToyMachine *m = g_new0(ToyMachine, 1);
    MigrationSettings s = {
        .size = sizeof(s),
        .machine_name = "toy",
        .host = toy_host_ops(),
        .host_opaque = m,
        .dirty_log = toy_log_ops(),
        .dirty_log_opaque = m,
    };
    RAMBlockInfo info = {
        .idstr = "toy.ram",
        .used_length = pages * GW_TARGET_PAGE_SIZE,
        .max_length = pages * GW_TARGET_PAGE_SIZE,
        .page_size = GW_TARGET_PAGE_SIZE,
        .fd = -1,
    };
    GError *err = NULL;

    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->run_lock, NULL);
    cond_init_monotonic(&m->run_cond);
    m->statuses = g_string_new(NULL);
    m->in_statuses = g_string_new(NULL);
    m->autostart = true;
    m->ram_size = pages * GW_TARGET_PAGE_SIZE;
    m->ram = mmap(NULL, m->ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(m->ram != MAP_FAILED);
    m->dirty = g_new0(uint64_t, pages / 64 + 1);
    g_strlcpy(m->state, incoming ? "inmigrate" : "paused", sizeof(m->state));
    m->ms = gw_migration_new(&s, &err);
    g_assert_no_error(err);
    info.host = m->ram;
    m->block = gw_ram_block_add(m->ms, &info, &err);
    g_assert_no_error(err);
    gw_vmstate_register(m->ms, NULL, 0, &vmstate_toy, &m->dev, MIGRATION_PRIORITY_DEFAULT, &err);
    g_assert_no_error(err);
    if (incoming) {
        gw_incoming_prepare(m->ms);
    }
    return m;
}

/* Lets a guest write about 16 pages per pause. */
static inline void toy_guest_run(ToyMachine *m, uint32_t seed, unsigned pause_us)
{
    m->seed = seed;
    m->write_pause_us = pause_us;
    m->guest = g_thread_new("guest", toy_guest, m);
    toy_start(m, NULL);
}

static inline void toy_machine_free(ToyMachine *m)
{
    gw_migration_free(m->ms);
    if (m->guest) {
        pthread_mutex_lock(&m->run_lock);
        m->quit = true;
        pthread_cond_broadcast(&m->run_cond);
        pthread_mutex_unlock(&m->run_lock);
        g_thread_join(m->guest);
    }
    munmap(m->ram, m->ram_size);
    g_free(m->dirty);
    g_string_free(m->statuses, TRUE);
    g_string_free(m->in_statuses, TRUE);
    g_free(m->failed);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->run_lock);
    pthread_cond_destroy(&m->run_cond);
    g_free(m);
}

static inline void toy_set_cap(ToyMachine *m, MigrationCapability cap, bool on)
{
    const MigrationCapabilityChange c = {cap, on};
    GError *err = NULL;

    gw_capabilities_set(m->ms, &c, 1, &err);
    g_assert_no_error(err);
}

static inline void toy_set_param(ToyMachine *m, MigrationParameter p, uint64_t v)
{
    const MigrationParamChange c = {.param = p, .value.num = v};
    GError *err = NULL;

    gw_params_set(m->ms, &c, 1, &err);
    g_assert_no_error(err);
}

static inline MigrationStatus toy_out_status(ToyMachine *m, char **error)
{
    MigrationInfo info;
    MigrationStatus s;

    gw_migration_query(m->ms, &info);
    s = info.status;
    if (error) {
        *error = g_steal_pointer(&info.error_desc);
    }
    gw_migration_info_clear(&info);
    return s;
}

static inline MigrationStatus toy_in_status(ToyMachine *m, char **error)
{
    MigrationInfo info;
    MigrationStatus s;

    gw_incoming_query(m->ms, &info);
    s = info.status;
    if (error) {
        *error = g_steal_pointer(&info.error_desc);
    }
    gw_migration_info_clear(&info);
    return s;
}

#endif
