/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waits for guest memory that a postcopy has not brought yet, but not for long: the main loop,
 * which also has to carry out migrate-recover and yank, must not hang on a page that is still at
 * the source. A thread of its own touches the pages, so that they are asked for; what it does not
 * get in time it goes on waiting for, and until then further reads are refused at once. The thread
 * takes no locks. Everything else here: main loop's thread.
 */
#include "guest-memory.h"

#include "lock.h"
#include "monitor-set.h"

#define PAGE 4096u
#define PATIENCE_NS INT64_C(500000000)
/* What one wait covers at most. */
#define MAX_PAGES (GUEST_READ_MAX / PAGE + 1)

struct GuestWait {
    pthread_mutex_t lock; /* guards done */
    pthread_cond_t cond;
    bool done;
    GThread *thread;
    unsigned n;
    const uint8_t *pages[MAX_PAGES];
};

/* The guest writes there meanwhile; what is read is thrown away. */
__attribute__((no_sanitize("thread"), noinline)) static void touch(const uint8_t *p)
{
    (void)*(volatile const uint8_t *)p;
}

static gpointer touch_pages(gpointer opaque)
{
    struct GuestWait *w = opaque;

    for (unsigned i = 0; i < w->n; i++) {
        touch(w->pages[i]);
    }
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static struct GuestWait *wait_new(const Machine *m, uint64_t gpa, uint64_t len)
{
    struct GuestWait *w = g_new0(struct GuestWait, 1);
    const uint64_t end = gpa + len;

    pthread_mutex_init(&w->lock, NULL);
    cond_init_monotonic(&w->cond);
    for (uint64_t at = gpa; at < end && w->n < MAX_PAGES; at = (at | (PAGE - 1)) + 1) {
        const uint8_t *host = memory_host_ptr(m->memory, at, 1);

        if (host) {
            w->pages[w->n++] = host;
        }
    }
    w->thread = g_thread_new("mon/memory", touch_pages, w);
    return w;
}

/* Whether it is done, now or within so many ns. */
static bool wait_is_done(struct GuestWait *w, int64_t ns)
{
    const int64_t deadline = g_get_monotonic_time() * 1000 + ns;
    LOCK_GUARD(&w->lock);

    while (!w->done && cond_wait_until(&w->cond, &w->lock, deadline)) {
    }
    return w->done;
}

void guest_wait_free(struct GuestWait *w)
{
    if (w) {
        g_thread_join(w->thread);
        pthread_mutex_destroy(&w->lock);
        pthread_cond_destroy(&w->cond);
        g_free(w);
    }
}

/* Between LISTEN and the last page only; everywhere else all memory is here. */
static bool in_postcopy(const Machine *m)
{
    MigrationInfo info;
    MigrationStatus s;

    gw_incoming_query(m->migration, &info);
    s = info.status;
    gw_migration_info_clear(&info);
    return s >= MIGRATION_STATUS_POSTCOPY_DEVICE && s <= MIGRATION_STATUS_POSTCOPY_RECOVER;
}

bool guest_wait(MonitorSet *set, uint64_t gpa, uint64_t len)
{
    if (set->guest_wait) {
        if (!wait_is_done(set->guest_wait, 0)) {
            return false;
        }
        g_clear_pointer(&set->guest_wait, guest_wait_free);
    }
    if (!in_postcopy(set->machine)) {
        return true;
    }
    set->guest_wait = wait_new(set->machine, gpa, len);
    if (!wait_is_done(set->guest_wait, PATIENCE_NS)) {
        return false;
    }
    g_clear_pointer(&set->guest_wait, guest_wait_free);
    return true;
}
