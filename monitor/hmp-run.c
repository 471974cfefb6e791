/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs one line of the human monitor: finds the command, parses its arguments, calls it; and the
 * commands `help` and `info`, which look at the tables themselves. Main loop's thread.
 */
#include "hmp-run.h"

#include <string.h>

#include "monitor-set.h"

void hmp_printf(HmpCall *call, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(call->out, fmt, ap);
    va_end(ap);
}

void hmp_error(HmpCall *call, const GError *err)
{
    if (err) {
        hmp_printf(call, "Error: %s\n", err->message);
    }
}

static const HmpCommand *find(const HmpCommand *table, const char *name)
{
    for (const HmpCommand *c = table; c->name; c++) {
        if (hmp_name_matches(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

/* The command's name: ends at a space or, for x/4xb, at the slash. */
static char *take_name(const char **p)
{
    const char *start;

    while (g_ascii_isspace(**p)) {
        (*p)++;
    }
    start = *p;
    while (**p && !g_ascii_isspace(**p) && **p != '/') {
        (*p)++;
    }
    return g_strndup(start, *p - start);
}

static void run_in(HmpCall *call, const HmpCommand *table, const char *prefix, const char *p)
{
    g_autofree char *name = take_name(&p), *problem = NULL;
    const HmpCommand *cmd = find(table, name);

    if (!cmd) {
        hmp_printf(call, "unknown command: '%s%s'\n", prefix, name);
    } else if (!hmp_parse_args(call, cmd, p, &problem)) {
        hmp_printf(call, "%s\nTry \"help %s%s\" for more information\n", problem, prefix, name);
    } else {
        cmd->fn(call);
    }
}

static void clear_args(HmpCall *call)
{
    for (int i = 0; i < HMP_MAX_ARGS; i++) {
        g_clear_pointer(&call->strings[i], g_free);
        call->numbers[i] = 0;
        call->flags[i] = false;
    }
}

void hmp_run(HmpCall *call, const char *line)
{
    call->machine = call->set->machine;
    while (g_ascii_isspace(*line)) {
        line++;
    }
    if (*line && *line != '#') {
        run_in(call, hmp_commands, "", line);
    }
    clear_args(call);
}

static void show_help(HmpCall *call, const HmpCommand *cmd, const char *prefix)
{
    hmp_printf(call, "%s%s %s -- %s\n", prefix, cmd->name, cmd->params, cmd->help);
}

static void show_table(HmpCall *call, const HmpCommand *table, const char *prefix)
{
    for (const HmpCommand *c = table; c->name; c++) {
        show_help(call, c, prefix);
    }
}

void hmp_help(HmpCall *call)
{
    const char *p = call->strings[0];
    g_autofree char *name = NULL, *sub = NULL;
    const HmpCommand *cmd;

    if (*p == '\0') {
        show_table(call, hmp_commands, "");
        return;
    }
    name = take_name(&p);
    sub = take_name(&p);
    if (strcmp(name, "info") == 0 && *sub == '\0') {
        show_table(call, hmp_info_commands, "info ");
        return;
    }
    cmd = strcmp(name, "info") == 0 ? find(hmp_info_commands, sub) : find(hmp_commands, name);
    if (cmd) {
        show_help(call, cmd, strcmp(name, "info") == 0 ? "info " : "");
    } else {
        hmp_printf(call, "unknown command: '%s'\n", call->strings[0]);
    }
}

void hmp_info(HmpCall *call)
{
    g_autofree char *rest = g_strdup(call->strings[0]);

    clear_args(call);
    if (*rest == '\0') {
        show_table(call, hmp_info_commands, "info ");
    } else {
        run_in(call, hmp_info_commands, "info ", rest);
    }
}

char *hmp_crlf(const char *text)
{
    GString *s = g_string_new(NULL);

    for (; *text; text++) {
        if (*text == '\n') {
            g_string_append_c(s, '\r');
        }
        g_string_append_c(s, *text);
    }
    return g_string_free(s, FALSE);
}

char *hmp_run_line(struct MonitorSet *set, const char *line, unsigned cpu, bool *quit)
{
    HmpCall call = {.set = set, .cpu = cpu, .out = g_string_new(NULL)};
    char *text;

    hmp_run(&call, line);
    *quit = call.quit;
    text = hmp_crlf(call.out->str);
    g_string_free(call.out, TRUE);
    return text;
}
