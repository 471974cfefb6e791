/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Diagnostics: -msg, -d, -D and -trace. Only collected here; main() turns them on.
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"
#include "trace.h"

#define EVENTS_FILE_MAX (1024 * 1024)

bool cmdline_msg(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);

    if (!kv) {
        return false;
    }
    cl->config->msg_timestamp = keyval_bool(kv, "timestamp", cl->config->msg_timestamp);
    if (keyval_bool(kv, "guest-name", false)) {
        keyval_error(kv, "Parameter 'guest-name' supports 'off' only (nearest: timestamp)");
    }
    return keyval_done(kv, errp);
}

/* QEMU's other items watch its translator or its devices and have no counterpart. */
static bool take_item(Cmdline *cl, const char *item, GError **errp)
{
    if (g_str_has_prefix(item, "trace:") && item[6]) {
        g_ptr_array_add(cl->config->traces, g_strdup(item + 6));
        return true;
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                   "Invalid log item '%s' (supported: trace:PATTERN, -trace help lists the events)",
                   item);
}

bool cmdline_log_items(Cmdline *cl, const char *arg, GError **errp)
{
    g_auto(GStrv) items = g_strsplit(arg, ",", 64);

    if (cmdline_wants_help(arg)) {
        printf("Log items (comma separated):\ntrace:PATTERN   enable trace events\n");
        cl->exit_code = 0;
        return true;
    }
    for (size_t i = 0; items[i]; i++) {
        if (!take_item(cl, items[i], errp)) {
            return false;
        }
    }
    g_free(cl->config->log_items);
    cl->config->log_items = g_strdup(arg);
    return true;
}

bool cmdline_log_file(Cmdline *cl, const char *arg, GError **errp)
{
    g_free(cl->config->log_file);
    cl->config->log_file = g_strdup(arg);
    return true;
}

/* One pattern a line; '#' begins a comment, '-' in front turns off. */
static bool read_events(Cmdline *cl, const char *path, GError **errp)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    gsize len;

    if (!g_file_get_contents(path, &text, &len, &local)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "events file: %s", local->message);
    }
    if (len > EVENTS_FILE_MAX) {
        return gw_fail(errp, GW_ERROR_GENERIC, "events file '%s' is larger than %d bytes", path,
                       EVENTS_FILE_MAX);
    }
    lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);

        if (*line && *line != '#') {
            g_ptr_array_add(cl->config->traces, g_strdup(line));
        }
    }
    return true;
}

bool cmdline_trace(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;
    const char *pattern, *events, *file;

    if (cmdline_wants_help(arg)) {
        for (int i = 0; i < TRACE__COUNT; i++) {
            printf("%s\n", trace_event_name(i));
        }
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "enable", errp);
    if (!kv) {
        return false;
    }
    pattern = keyval_str(kv, "enable");
    events = keyval_str(kv, "events");
    file = keyval_str(kv, "file");
    if (!keyval_done(kv, errp)) {
        return false;
    }
    if (pattern) {
        g_ptr_array_add(cl->config->traces, g_strdup(pattern));
    }
    if (file) {
        cmdline_log_file(cl, file, errp);
    }
    return !events || read_events(cl, events, errp);
}
