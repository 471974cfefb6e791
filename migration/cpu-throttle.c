/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When to throttle and how much. After a sync, but at most once a second, the bytes that the guest
 * dirtied since the last look are held against those that were sent meanwhile. Above
 * throttle-trigger-threshold percent for the second time, the throttle takes a step: to
 * cpu-throttle-initial, then by cpu-throttle-increment, up to max-cpu-throttle. The machine makes
 * the vCPUs sleep (host->set_throttle). Parameters may change while it runs. With background-sync
 * every look decides, by background-sync-threshold, and the step is as large as the rates call for:
 * down to throttle-trigger-threshold. With dirty-limit in its place
 * the step is vcpu-dirty-limit for every vCPU (dirty-limit.h).
 * Migration thread, or the background sync's under RamSave.sync_lock. Spec: ram 2.5.
 */
#include "cpu-throttle.h"

#include <inttypes.h>

#include "dirty-limit.h"
#include "ram-save.h"
#include "trace.h"

#define PERIOD_NS    INT64_C(1000000000)
#define BUSY_PERIODS 2 /* one may be chance */

unsigned cpu_throttle_percent(const MigrationState *ms)
{
    return STAT_GET(ms->throttle.percent);
}

static void set_percent(MigrationState *ms, unsigned percent)
{
    STAT_SET(ms->throttle.percent, percent);
    trace_event(migration_throttle, "%u %%", percent);
    ms->host.set_throttle(ms->host_opaque, percent);
}

static void begin_period(MigrationState *ms)
{
    ms->throttle.period_start_ns = ms_now_ns(ms);
    ms->throttle.period_sent = STAT_GET(ms->stats.transferred);
    ms->throttle.period_dirty = 0;
}

void cpu_throttle_start(MigrationState *ms)
{
    STAT_SET(ms->throttle.percent, 0);
    ms->throttle.busy_periods = 0;
    begin_period(ms);
}

/* To the share of running time at which the guest would dirty just as much as the threshold allows,
 * if dirtying goes with running time. */
static unsigned needed_step(unsigned percent, uint64_t dirty, uint64_t allowed)
{
    const double runs = 100.0 - percent;
    const double should_run = dirty ? runs * (double)allowed / (double)dirty : runs;
    const double step = runs - MIN(should_run, runs);

    return MAX((unsigned)(step + 0.5), 1);
}

/* Without background-sync a step is what the user said. With it, the next look may be far away in
 * dirtied bytes, so the step is what the rates call for if that is more. */
static unsigned step_of(MigrationState *ms, unsigned now, uint64_t dirty, uint64_t allowed)
{
    const unsigned fixed =
        (unsigned)gw_param_get(ms, now ? MIGRATION_PARAM_CPU_THROTTLE_INCREMENT
                                       : MIGRATION_PARAM_CPU_THROTTLE_INITIAL);

    if (gw_param_get(ms, MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW)) {
        return now ? MIN(fixed, needed_step(now, dirty, allowed)) : fixed;
    }
    return gw_capability_get(ms, MIGRATION_CAP_BACKGROUND_SYNC)
               ? MAX(fixed, needed_step(now, dirty, allowed)) : fixed;
}

/* dirty-limit has one step: the limit is the user's. */
static bool take_limit(MigrationState *ms)
{
    const uint64_t limit = gw_param_get(ms, MIGRATION_PARAM_VCPU_DIRTY_LIMIT);

    if (dirty_limit_of_migration(ms->dirty_limit) == limit) {
        return false;
    }
    trace_event(migration_throttle, "%" PRIu64 " MB/s per vCPU", limit);
    dirty_limit_migration(ms->dirty_limit, limit);
    return true;
}

static bool take_step(MigrationState *ms, uint64_t dirty, uint64_t allowed)
{
    if (gw_capability_get(ms, MIGRATION_CAP_DIRTY_LIMIT)) {
        return take_limit(ms);
    }
    const unsigned now = cpu_throttle_percent(ms);
    const unsigned most = (unsigned)gw_param_get(ms, MIGRATION_PARAM_MAX_CPU_THROTTLE);

    if (now >= most) {
        return false;
    }
    set_percent(ms, MIN(now + step_of(ms, now, dirty, allowed), most));
    return true;
}

/*
 * Ends the period; true if that changed the throttle. A look that decides alone has a threshold of
 * its own: as long as the rest shrinks by itself, throttling buys little time for what it costs.
 */
static bool judge_period(MigrationState *ms, bool decides)
{
    CpuThrottle *t = &ms->throttle;
    const uint64_t sent = STAT_GET(ms->stats.transferred) - t->period_sent;
    const uint64_t allowed =
        sent / 100 * gw_param_get(ms, MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD);
    const uint64_t busy = decides
        ? sent / 100 * gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_THRESHOLD) : allowed;
    bool changed = false;

    if (t->period_dirty > busy && (++t->busy_periods >= BUSY_PERIODS || decides)) {
        t->busy_periods = 0;
        changed = take_step(ms, t->period_dirty, allowed);
    }
    begin_period(ms);
    return changed;
}

void cpu_throttle_found(MigrationState *ms, uint64_t new_pages)
{
    ms->throttle.period_dirty += new_pages << GW_TARGET_PAGE_BITS;
}

static bool is_on(MigrationState *ms)
{
    return gw_capability_get(ms, MIGRATION_CAP_AUTO_CONVERGE) ||
           gw_capability_get(ms, MIGRATION_CAP_DIRTY_LIMIT);
}

bool cpu_throttle_synced(MigrationState *ms, uint64_t new_pages)
{
    cpu_throttle_found(ms, new_pages);
    return is_on(ms) &&
           ms_now_ns(ms) - ms->throttle.period_start_ns >= PERIOD_NS &&
           judge_period(ms, gw_capability_get(ms, MIGRATION_CAP_BACKGROUND_SYNC));
}

bool cpu_throttle_synced_in_pass(MigrationState *ms, uint64_t new_pages)
{
    cpu_throttle_found(ms, new_pages);
    return is_on(ms) && judge_period(ms, true);
}

void cpu_throttle_finish(MigrationState *ms, uint64_t pending, uint64_t last)
{
    const double elapsed_s = (double)(ms_now_ns(ms) - ms->out.start_ns) / 1e9;
    const double rest_s = (double)pending / (double)MAX(ms->out.bandwidth, 1);
    const double share = (double)gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_FINISH) / 100;

    if (!gw_capability_get(ms, MIGRATION_CAP_BACKGROUND_SYNC) ||
        !gw_capability_get(ms, MIGRATION_CAP_AUTO_CONVERGE) ||
        gw_param_get(ms, MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW)) {
        return;
    }
    LOCK_GUARD(&ms->ram_save->sync_lock);

    if (last && pending > ms->out.threshold_bytes && pending > last / 4 * 3 &&
        rest_s <= elapsed_s * share && !cpu_throttle_is_at_max(ms)) {
        set_percent(ms, (unsigned)gw_param_get(ms, MIGRATION_PARAM_MAX_CPU_THROTTLE));
    }
}

bool cpu_throttle_is_at_max(MigrationState *ms)
{
    if (gw_capability_get(ms, MIGRATION_CAP_DIRTY_LIMIT)) {
        return dirty_limit_of_migration(ms->dirty_limit) != 0;
    }
    return cpu_throttle_percent(ms) >= gw_param_get(ms, MIGRATION_PARAM_MAX_CPU_THROTTLE);
}

void cpu_throttle_end(MigrationState *ms)
{
    if (cpu_throttle_percent(ms)) {
        set_percent(ms, 0);
    }
    dirty_limit_migration(ms->dirty_limit, 0);
}
