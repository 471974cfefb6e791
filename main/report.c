/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages on standard error. One write per message, so that those of different threads do not mix.
 * The flag is set before any thread exists.
 */
#include "report.h"

#include <stdio.h>

static bool with_time;

void report_set_timestamp(bool on)
{
    with_time = on;
}

void report_error(const char *fmt, ...)
{
    g_autofree char *text = NULL, *time = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (with_time) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *date = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");

        time = g_strdup_printf("%s.%06dZ ", date, g_date_time_get_microsecond(now));
    }
    fprintf(stderr, "%sgodwit-system-x86_64: %s\n", time ? time : "", text);
}
