/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages on standard error, QEMU's way: "[TIME ]godwit-system-x86_64: text". Any thread. */
#ifndef MAIN_REPORT_H
#define MAIN_REPORT_H

#include <stdbool.h>

#include <glib.h>

/* -msg timestamp=on; before any thread exists. */
void report_set_timestamp(bool on);
void report_error(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

#endif
