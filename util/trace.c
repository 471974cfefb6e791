/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace events: the enable flags and the sink. See trace.h for the locking. */
#include "trace.h"

#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

unsigned char trace_enabled_map[TRACE__COUNT];

static FILE *log_file; /* NULL: stderr; set once while options are parsed, before any thread */

static const char *const event_names[TRACE__COUNT] = {
#define TRACE_EVENT(name) [TRACE_##name] = #name,
#include "trace-events.def"
#undef TRACE_EVENT
};

const char *trace_event_name(TraceEventId id)
{
    return event_names[id];
}

void trace_write(TraceEventId id, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    const gint64 now = g_get_real_time();
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    /* One call, so that lines of different threads do not mix. */
    fprintf(log_file ? log_file : stderr, "%" G_GINT64_FORMAT ".%06d [%ld] %s %s\n",
            now / G_USEC_PER_SEC, (int)(now % G_USEC_PER_SEC), syscall(SYS_gettid),
            event_names[id], text);
}

unsigned trace_enable(const char *pattern, bool on)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < TRACE__COUNT; i++) {
        if (g_pattern_match_simple(pattern, event_names[i])) {
            __atomic_store_n(&trace_enabled_map[i], on, __ATOMIC_RELAXED);
            hits++;
        }
    }
    return hits;
}

bool trace_set_log_file(const char *path)
{
    FILE *f = NULL;

    if (path) {
        f = fopen(path, "ae");
        if (!f) {
            return false;
        }
        setvbuf(f, NULL, _IOLBF, 0);
    }
    if (log_file) {
        fclose(log_file);
    }
    log_file = f;
    return true;
}
