/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the human monitor: takes its lines, runs them, writes what they print and the prompt.
 * On the process's own terminal lines are edited by libedit (hmp-tty.c); elsewhere a line ends with
 * a newline and is not echoed, as scripts expect. While a `migrate` without -d runs, input waits;
 * Ctrl-C cancels the migration. Main loop's thread.
 */
#include "hmp.h"

#include <string.h>
#include <unistd.h>

#include "hmp-run.h"
#include "monitor-set.h"

#define PROMPT "(qemu) "
/* Longest line, and most input that waits behind a migration; more is dropped. */
#define HMP_MAX_INPUT 65536

struct HmpMonitor {
    MonitorSet *set;
    HmpWriteFn write;
    void *opaque;
    HmpTty *tty;     /* NULL without line editing */
    GString *input;  /* the line so far, and what waits behind a migration */
    HmpWatch *watch; /* a migration is waited for */
    bool open;
};

static void put(HmpMonitor *mon, const char *text)
{
    mon->write(mon->opaque, text, strlen(text));
}

static void prompt(HmpMonitor *mon)
{
    if (mon->tty) {
        hmp_tty_prompt(mon->tty);
    } else {
        put(mon, PROMPT);
    }
}

static void take_lines(HmpMonitor *mon);

static void tty_write(void *opaque, const char *buf, size_t len)
{
    HmpMonitor *mon = opaque;

    mon->write(mon->opaque, buf, len);
}

static void migration_ended(void *opaque)
{
    HmpMonitor *mon = opaque;

    g_clear_pointer(&mon->watch, hmp_watch_free);
    prompt(mon);
    take_lines(mon);
}

static void run_line(HmpMonitor *mon, const char *line)
{
    HmpCall call = {.set = mon->set, .can_wait = true, .out = g_string_new(NULL)};
    g_autofree char *text = NULL;

    hmp_run(&call, line);
    text = hmp_crlf(call.out->str);
    g_string_free(call.out, TRUE);
    put(mon, text);
    if (call.wait_migration) {
        mon->watch = hmp_watch_new(mon->set, mon->tty != NULL, tty_write, mon, migration_ended);
        return;
    }
    if (call.quit) {
        monitor_quit(mon->set, "host-qmp-quit");
        return;
    }
    prompt(mon);
}

static void tty_line(void *opaque, const char *line)
{
    run_line(opaque, line);
}

HmpMonitor *hmp_monitor_new(struct MonitorSet *set, HmpWriteFn write, void *opaque, bool terminal)
{
    HmpMonitor *mon = g_new0(HmpMonitor, 1);
    g_autoptr(GError) err = NULL;

    mon->set = set;
    mon->write = write;
    mon->opaque = opaque;
    mon->input = g_string_new(NULL);
    if (terminal) {
        mon->tty = hmp_tty_new(STDIN_FILENO, STDOUT_FILENO, tty_write, tty_line, mon, &err);
        if (!mon->tty) {
            g_printerr("monitor: no line editing: %s\n", err->message);
        }
    }
    return mon;
}

void hmp_monitor_free(HmpMonitor *mon)
{
    g_clear_pointer(&mon->watch, hmp_watch_free);
    g_clear_pointer(&mon->tty, hmp_tty_free);
    g_string_free(mon->input, TRUE);
    g_free(mon);
}

void hmp_monitor_open(HmpMonitor *mon)
{
    hmp_monitor_close(mon);
    mon->open = true;
    put(mon, "godwit " GODWIT_VERSION " monitor - type 'help' for more information\r\n");
    prompt(mon);
}

/* A migration that was waited for goes on. */
void hmp_monitor_close(HmpMonitor *mon)
{
    g_clear_pointer(&mon->watch, hmp_watch_free);
    g_string_truncate(mon->input, 0);
    mon->open = false;
}

/* Runs whole lines of the input until one makes the client wait. */
static void take_lines(HmpMonitor *mon)
{
    while (mon->open && !mon->watch) {
        g_autofree char *line = NULL;
        size_t len;

        if (mon->tty) {
            g_autofree char *keys = g_strndup(mon->input->str, mon->input->len);

            len = mon->input->len;
            g_string_truncate(mon->input, 0);
            hmp_tty_input(mon->tty, keys, len);
            return;
        }
        len = strcspn(mon->input->str, "\r\n");
        if (len == mon->input->len) {
            return;
        }
        line = g_strndup(mon->input->str, len);
        /* CR LF is one end of line */
        len += mon->input->str[len] == '\r' && mon->input->str[len + 1] == '\n' ? 2 : 1;
        g_string_erase(mon->input, 0, (gssize)len);
        run_line(mon, line);
    }
}

void hmp_monitor_input(HmpMonitor *mon, const char *buf, size_t len)
{
    if (mon->watch && memchr(buf, 3, len)) {
        gw_migrate_cancel(mon->set->machine->migration, NULL);
        g_string_truncate(mon->input, 0);
        return;
    }
    for (size_t i = 0; i < len && mon->input->len < HMP_MAX_INPUT; i++) {
        if (buf[i]) {
            g_string_append_c(mon->input, buf[i]);
        }
    }
    take_lines(mon);
    if (mon->input->len >= HMP_MAX_INPUT && !mon->watch) {
        g_string_truncate(mon->input, 0);
        put(mon, "line too long\r\n");
        prompt(mon);
    }
}
