/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace events (`-trace PATTERN`) and the log file (`-D FILE`). Diagnostics are the one thing that
 * is process-wide: a flag per event, read without a lock, and the sink, which stdio locks.
 * Any thread.
 */
#ifndef UTIL_TRACE_H
#define UTIL_TRACE_H

#include <stdbool.h>
#include <stdio.h>

#include <glib.h>

typedef enum TraceEventId {
#define TRACE_EVENT(name) TRACE_##name,
#include "trace-events.def"
#undef TRACE_EVENT
    TRACE__COUNT,
} TraceEventId;

/* One byte per event; written by trace_enable() with relaxed atomics: a late event is no harm. */
extern unsigned char trace_enabled_map[TRACE__COUNT];

#define trace_is_enabled(name) \
    G_UNLIKELY(__atomic_load_n(&trace_enabled_map[TRACE_##name], __ATOMIC_RELAXED))
#define trace_event(name, ...) \
    do { \
        if (trace_is_enabled(name)) { \
            trace_write(TRACE_##name, __VA_ARGS__); \
        } \
    } while (0)

/* Writes "SECONDS.MICROS [TID] event text" to the log file, stderr by default. */
void trace_write(TraceEventId id, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Turns events on or off by glob ("postcopy_*"); returns how many matched. */
unsigned trace_enable(const char *pattern, bool on);
/* Sends trace and log output to `path` from now on; NULL means stderr. False with errno set. */
bool trace_set_log_file(const char *path);
/* The name of an event, for `-trace help`. */
const char *trace_event_name(TraceEventId id);

#endif
