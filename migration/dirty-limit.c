/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limiter: a thread that looks once a period (x-vcpu-dirty-limit-period) how many pages each
 * limited vCPU has dirtied, and adjusts the share of its time that it sleeps. Who does not dirty
 * runs freely. An accelerator that can limit exactly (the simulation) is told the limit instead.
 *
 * The counts come with the dirty log. While no migration runs the limiter is a user of the log of
 * its own (dirty-share.h) and protects what was written anew each period; in a migration, which
 * protects what it has sent, it only reads the counts: they are the pages that have to be sent
 * again.
 * `lock` is a leaf, not held while the log is called; the machine lock only to start and stop it.
 */
#include "dirty-limit.h"

#include "bits.h"
#include "dirty-bitmap.h"
#include "dirty-share.h"
#include "error.h"
#include "outgoing.h"
#include "trace.h"

#define MAX_VCPUS MIGRATION_LATENCY_MAX_VCPUS
#define RING_BYTES (4096.0 * GW_TARGET_PAGE_SIZE)
#define MB (1024.0 * 1024.0)

typedef struct Limited {
    uint64_t limit_mb;   /* set by hand; 0: none */
    double rate_mb;      /* in the last period */
    unsigned percent;    /* sleeps */
    uint64_t pages, throttled_ns; /* counts at the last look */
    uint64_t period_ns;  /* slept in the last period */
} Limited;

struct DirtyLimit {
    MigrationState *ms;
    MigrationDirtyLogOps log;
    void *log_opaque;
    pthread_mutex_t lock;
    pthread_cond_t cond;      /* signalled on: a limit, `stop` */
    GThread *thread;
    bool stop, changed;
    uint64_t migration_mb;
    Limited vcpus[MAX_VCPUS];
    int64_t last_ns;          /* of the last look; the thread's own */
    bool log_on;              /* the thread's own */
};

static unsigned vcpu_count(const DirtyLimit *d)
{
    return MIN(d->ms->nr_vcpus, MAX_VCPUS);
}

/* lock held. 0: none. */
static uint64_t limit_of(const DirtyLimit *d, unsigned i)
{
    const uint64_t own = d->vcpus[i].limit_mb;

    return own && d->migration_mb ? MIN(own, d->migration_mb) : MAX(own, d->migration_mb);
}

/* lock held. */
static bool any_limit(const DirtyLimit *d)
{
    bool any = false;

    for (unsigned i = 0; i < vcpu_count(d); i++) {
        any |= limit_of(d, i) != 0;
    }
    return any;
}

static bool read_counts(const DirtyLimit *d, uint64_t *pages)
{
    const DirtyShare *s = d->ms->dirty_share;

    return s && s->log.vcpu_writes && s->log.vcpu_writes(s->log_opaque, pages, MAX_VCPUS) > 0;
}

bool gw_dirty_limit_supported(MigrationState *ms, GError **errp)
{
    uint64_t pages[MAX_VCPUS];

    return (read_counts(ms->dirty_limit, pages) &&
            (ms->dirty_limit->log.vcpu_dirty_limit || ms->host.set_vcpu_throttle)) ||
           gw_fail(errp, GW_ERROR_GENERIC, "dirty page limit feature requires KVM with accelerator "
                   "property 'dirty-ring-size' set'");
}

unsigned dirty_limit_share(unsigned now, double rate, double limit)
{
    double runs = 100.0 - now;

    /* Down at once, up slowly; in between it is good as it is. */
    if (rate > limit) {
        runs *= MAX(limit / rate, 0.1);
    } else if (rate < limit * 0.9) {
        runs *= rate * 1.5 > limit ? limit / rate : 1.5;
    }
    return (unsigned)CLAMP(100.0 - runs, 0.0, 99.0);
}

/* Everything that was written so far is protected again, so that the next write counts. */
static bool protect_all(DirtyLimit *d, GError **errp)
{
    MigrationState *ms = d->ms;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);
        const uint64_t n = ram_block_pages(b);
        g_autofree uint64_t *found = bits_new(n);

        if (!d->log.sync(d->log_opaque, b, 0, n, found, errp)) {
            return false;
        }
        for (uint64_t at = 0; d->log.clear && at < n; at += DIRTY_CHUNK_PAGES) {
            if (!d->log.clear(d->log_opaque, b, at, MIN(DIRTY_CHUNK_PAGES, n - at), errp)) {
                return false;
            }
        }
    }
    return true;
}

static void switch_log(DirtyLimit *d, bool on)
{
    MigrationState *ms = d->ms;
    g_autoptr(GError) err = NULL;

    if (on == d->log_on) {
        return;
    }
    ms->host.lock(ms->host_opaque);
    if (!on) {
        d->log.stop(d->log_opaque);
        d->log_on = false;
    } else {
        d->log_on = d->log.start(d->log_opaque, &err);
    }
    ms->host.unlock(ms->host_opaque);
    if (err) {
        trace_event(vcpu_dirty_limit, "dirty log: %s", err->message);
    }
}

/* What was counted since the last look; lock held. */
static void count(DirtyLimit *d, unsigned i, uint64_t pages, int64_t ns)
{
    MigrationState *ms = d->ms;
    Limited *v = &d->vcpus[i];
    const uint64_t slept = ms->host.vcpu_throttled_ns
                               ? ms->host.vcpu_throttled_ns(ms->host_opaque, i) : 0;

    v->rate_mb = ns ? (double)((pages - v->pages) << GW_TARGET_PAGE_BITS) * 1e9 / (double)ns / MB
                    : 0;
    v->period_ns = ns ? slept - v->throttled_ns : 0;
    v->pages = pages;
    v->throttled_ns = slept;
}

/* Each vCPU's share, by what was counted if that is `fresh`. */
static void adjust(DirtyLimit *d, bool fresh)
{
    MigrationState *ms = d->ms;

    for (unsigned i = 0; !d->log.vcpu_dirty_limit && i < vcpu_count(d); i++) {
        Limited *v = &d->vcpus[i];
        unsigned before, after;
        double rate;

        pthread_mutex_lock(&d->lock);
        before = v->percent;
        rate = v->rate_mb;
        if (limit_of(d, i) == 0) {
            v->percent = 0;
        } else if (fresh) {
            v->percent = dirty_limit_share(before, rate, (double)limit_of(d, i));
        }
        after = v->percent;
        pthread_mutex_unlock(&d->lock);
        if (before != after) {
            ms->host.set_vcpu_throttle(ms->host_opaque, i, after);
            trace_event(vcpu_dirty_limit, "vcpu %u: %.0f MB/s, sleeps %u %%", i, rate, after);
        }
    }
}

/* Counts from now on, without a verdict on what came before. */
static void begin_counting(DirtyLimit *d)
{
    uint64_t pages[MAX_VCPUS] = {0};

    read_counts(d, pages);
    LOCK_GUARD(&d->lock);
    for (unsigned i = 0; i < vcpu_count(d); i++) {
        count(d, i, pages[i], 0);
    }
    d->last_ns = ms_now_ns(d->ms);
}

/* A whole period has gone by, or something has changed in it. */
static void look(DirtyLimit *d, int64_t period_ns)
{
    const int64_t now = ms_now_ns(d->ms);
    const bool fresh = now - d->last_ns >= period_ns / 2; /* less would be chance */
    uint64_t pages[MAX_VCPUS] = {0};

    if (fresh && read_counts(d, pages)) {
        pthread_mutex_lock(&d->lock);
        for (unsigned i = 0; i < vcpu_count(d); i++) {
            count(d, i, pages[i], now - d->last_ns);
        }
        pthread_mutex_unlock(&d->lock);
        d->last_ns = now;
    }
    adjust(d, fresh);
}

/* Tells an accelerator that limits by itself. */
static void tell_limits(DirtyLimit *d)
{
    for (unsigned i = 0; d->log.vcpu_dirty_limit && i < vcpu_count(d); i++) {
        uint64_t limit;

        pthread_mutex_lock(&d->lock);
        limit = limit_of(d, i);
        pthread_mutex_unlock(&d->lock);
        d->log.vcpu_dirty_limit(d->log_opaque, (int)i, limit);
    }
}

static int64_t period_ns(DirtyLimit *d)
{
    return (int64_t)gw_param_get(d->ms, MIGRATION_PARAM_X_VCPU_DIRTY_LIMIT_PERIOD) * 1000000;
}

/* To the end of a period, a change, or the end; false: the end. */
static bool wait_period(DirtyLimit *d, bool limited)
{
    MigrationState *ms = d->ms;
    const int64_t end = ms_now_ns(ms) + period_ns(d);

    LOCK_GUARD(&d->lock);
    while (!d->stop && !d->changed) {
        if (!limited) {
            pthread_cond_wait(&d->cond, &d->lock);
        } else if (!ms->clock.wait_until(ms->clock_opaque, &d->cond, &d->lock, end)) {
            break;
        }
    }
    return !d->stop;
}

static bool take_change(DirtyLimit *d, bool *limited)
{
    LOCK_GUARD(&d->lock);
    const bool changed = d->changed;

    d->changed = false;
    *limited = any_limit(d);
    return changed;
}

/* Migrations protect what they send; otherwise it is done here. An accelerator that limits by
 * itself also counts without the log. */
static void tend_log(DirtyLimit *d, bool limited)
{
    g_autoptr(GError) err = NULL;

    switch_log(d, limited && !d->log.vcpu_dirty_limit && !outgoing_is_running(d->ms));
    if (d->log_on && !protect_all(d, &err)) {
        trace_event(vcpu_dirty_limit, "dirty log: %s", err->message);
    }
}

static gpointer limiter(gpointer opaque)
{
    DirtyLimit *d = opaque;
    bool limited = false, was_limited;

    do {
        was_limited = limited;
        if (take_change(d, &limited)) {
            tell_limits(d);
        }
        if (limited && !was_limited) {
            begin_counting(d);
        }
        look(d, period_ns(d));
        tend_log(d, limited);
    } while (wait_period(d, limited));
    switch_log(d, false);
    return NULL;
}

/* lock held: the thread starts or looks again. */
static void wake(DirtyLimit *d)
{
    d->changed = true;
    if (!d->thread && !d->stop && any_limit(d)) {
        d->thread = g_thread_new("dirty-limit", limiter, d);
    }
    pthread_cond_broadcast(&d->cond);
}

bool gw_dirty_limit_set(MigrationState *ms, int vcpu, uint64_t mb_per_s, GError **errp)
{
    DirtyLimit *d = ms->dirty_limit;

    if (!gw_dirty_limit_supported(ms, errp)) {
        return false;
    }
    if (vcpu >= (int)vcpu_count(d)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "vCPU %d does not exist: there are %u, from 0 on",
                       vcpu, vcpu_count(d));
    }
    LOCK_GUARD(&d->lock);

    for (unsigned i = 0; i < vcpu_count(d); i++) {
        if (vcpu < 0 || (unsigned)vcpu == i) {
            d->vcpus[i].limit_mb = mb_per_s;
        }
    }
    wake(d);
    return true;
}

unsigned gw_dirty_limit_query(MigrationState *ms,
                              DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS])
{
    DirtyLimit *d = ms->dirty_limit;
    unsigned n = 0;

    LOCK_GUARD(&d->lock);
    for (unsigned i = 0; i < vcpu_count(d); i++) {
        const uint64_t limit = limit_of(d, i);

        if (limit) {
            info[n++] = (DirtyLimitInfo){
                .vcpu = i, .limit_mb = limit, .current_mb = (uint64_t)d->vcpus[i].rate_mb,
                .percent = d->vcpus[i].percent,
            };
        }
    }
    return n;
}

void dirty_limit_migration(DirtyLimit *d, uint64_t mb_per_s)
{
    LOCK_GUARD(&d->lock);

    if (d->migration_mb != mb_per_s) {
        d->migration_mb = mb_per_s;
        wake(d);
    }
}

uint64_t dirty_limit_of_migration(DirtyLimit *d)
{
    LOCK_GUARD(&d->lock);

    return d->migration_mb;
}

void dirty_limit_stats(DirtyLimit *d, uint64_t *throttle_us, uint64_t *ring_full_us)
{
    double most = 0;

    LOCK_GUARD(&d->lock);
    *throttle_us = 0;
    for (unsigned i = 0; i < vcpu_count(d); i++) {
        *throttle_us = MAX(*throttle_us, d->vcpus[i].period_ns / 1000);
        most = MAX(most, d->vcpus[i].rate_mb);
    }
    *ring_full_us = most > 0 ? (uint64_t)(RING_BYTES / (most * MB) * 1e6) : 0;
}

DirtyLimit *dirty_limit_new(MigrationState *ms)
{
    DirtyLimit *d = g_new0(DirtyLimit, 1);

    d->ms = ms;
    pthread_mutex_init(&d->lock, NULL);
    cond_init_monotonic(&d->cond);
    if (ms->dirty_share) {
        d->log_opaque = dirty_share_ops(ms->dirty_share, DIRTY_USER_LIMIT, &d->log);
    }
    return d;
}

void dirty_limit_stop(DirtyLimit *d)
{
    GThread *thread;

    pthread_mutex_lock(&d->lock);
    d->stop = true;
    thread = d->thread;
    d->thread = NULL;
    pthread_cond_broadcast(&d->cond);
    pthread_mutex_unlock(&d->lock);
    if (thread) {
        g_thread_join(thread);
    }
}

void dirty_limit_free(DirtyLimit *d)
{
    if (d) {
        pthread_cond_destroy(&d->cond);
        pthread_mutex_destroy(&d->lock);
        g_free(d);
    }
}
