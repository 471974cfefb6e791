/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `migrate` without -d shows while it runs: on a terminal one line that is drawn again and
 * again, elsewhere nothing, so that scripts get their prompt and no noise. A timer on the main loop
 * looks at the engine's counters; nothing waits.
 */
#include "hmp-run.h"

#include <string.h>

#include "monitor-set.h"

#define PERIOD_MS 200
#define BAR_CELLS 24

struct HmpWatch {
    MonitorSet *set;
    bool terminal;
    HmpWriteFn write;
    void *opaque;
    void (*done)(void *opaque);
    GSource *timer;
    size_t shown; /* length of the line on the screen */
};

static void put(HmpWatch *w, const char *text)
{
    w->write(w->opaque, text, strlen(text));
}

static bool has_ended(MigrationStatus s)
{
    return s == MIGRATION_STATUS_NONE || s == MIGRATION_STATUS_COMPLETED ||
           s == MIGRATION_STATUS_FAILED || s == MIGRATION_STATUS_CANCELLED ||
           s == MIGRATION_STATUS_POSTCOPY_PAUSED;
}

static char *progress_line(const MigrationInfo *info)
{
    const MigrationRamInfo *r = &info->ram;
    double share = info->has_ram && r->total ? 1 - (double)r->remaining / (double)r->total : 0;
    unsigned cells = (unsigned)(CLAMP(share, 0, 1) * BAR_CELLS);
    g_autofree char *sent = hmp_size_text(r->transferred), *left = hmp_size_text(r->remaining);
    g_autofree char *rate = hmp_size_text((uint64_t)(r->mbps * 1e6 / 8));
    g_autofree char *dirty = hmp_size_text(r->dirty_pages_rate * r->page_size);
    g_autofree char *outlook = hmp_outlook_text(info);
    char bar[BAR_CELLS + 1];

    memset(bar, ' ', BAR_CELLS);
    memset(bar, '#', cells);
    bar[BAR_CELLS] = '\0';
    if (!info->has_ram) {
        return g_strdup(gw_migration_status_name(info->status));
    }
    return g_strdup_printf("%s [%s] %3.0f %%  sent %s, left %s, %s/s, dirty %s/s, pass %"
                           G_GUINT64_FORMAT "%s", gw_migration_status_name(info->status), bar,
                           CLAMP(share, 0, 1) * 100, sent, left, rate, dirty,
                           r->dirty_sync_count, outlook);
}

/* Overwrites what is there, with spaces behind if it was longer. */
static void draw(HmpWatch *w, const char *line)
{
    const size_t len = strlen(line);
    g_autofree char *text = g_strdup_printf("\r%s%*s\r", line,
                                            w->shown > len ? (int)(w->shown - len) : 0, "");

    put(w, text);
    w->shown = len;
}

static void report_end(HmpWatch *w, const MigrationInfo *info)
{
    g_autofree char *text = NULL;

    if (w->terminal) {
        draw(w, "");
    }
    if (info->status == MIGRATION_STATUS_FAILED ||
        info->status == MIGRATION_STATUS_POSTCOPY_PAUSED) {
        text = g_strdup_printf("Error: %s\r\n", info->error_desc ? info->error_desc
                                                                 : "the migration failed");
    } else if (info->status == MIGRATION_STATUS_CANCELLED) {
        text = g_strdup("Migration cancelled\r\n");
    } else if (w->terminal) {
        text = g_strdup_printf("completed in %" G_GUINT64_FORMAT " ms, downtime %"
                               G_GUINT64_FORMAT " ms\r\n", info->total_time, info->downtime);
    }
    if (text) {
        put(w, text);
    }
}

static gboolean on_timer(gpointer opaque)
{
    HmpWatch *w = opaque;
    MigrationInfo info;
    bool ended;

    gw_migration_query(w->set->machine->migration, &info);
    ended = has_ended(info.status);
    if (ended) {
        report_end(w, &info);
    } else if (w->terminal) {
        g_autofree char *line = progress_line(&info);

        draw(w, line);
    }
    gw_migration_info_clear(&info);
    if (ended) {
        w->done(w->opaque); /* frees the watch */
    }
    return ended ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

HmpWatch *hmp_watch_new(struct MonitorSet *set, bool terminal, HmpWriteFn write, void *opaque,
                        void (*done)(void *opaque))
{
    HmpWatch *w = g_new0(HmpWatch, 1);
    GMainLoop *loop = set->machine->loop;

    *w = (HmpWatch){set, terminal, write, opaque, done, g_timeout_source_new(PERIOD_MS), 0};
    g_source_set_callback(w->timer, on_timer, w, NULL);
    g_source_attach(w->timer, loop ? g_main_loop_get_context(loop) : NULL);
    return w;
}

void hmp_watch_free(HmpWatch *w)
{
    g_source_destroy(w->timer);
    g_source_unref(w->timer);
    g_free(w);
}
