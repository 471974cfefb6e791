/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cuts a line of the human monitor into a command's arguments: words, quoted strings, flags,
 * on/off and memory formats. Number expressions: hmp-expr.c. Everything is a string of bounded
 * length that the user typed; nothing here aborts. No state.
 */
#include "hmp.h"

#include <string.h>

#include "hmp-expr.h"

/* Most units that x and xp show at once. */
#define MAX_COUNT 65536u

static void skip_spaces(const char **p)
{
    while (g_ascii_isspace(**p)) {
        (*p)++;
    }
}

static char *quoted_word(const char **p, char **problem)
{
    g_autoptr(GString) s = g_string_new(NULL);
    const char *q = *p + 1;

    for (; *q && *q != '"'; q++) {
        if (*q == '\\') {
            const char *const from = "nr\\'\"", *const to = "\n\r\\'\"";
            const char *hit = q[1] ? strchr(from, q[1]) : NULL;

            if (!hit) {
                *problem = g_strdup_printf("unsupported escape code: '\\%c'", q[1]);
                return NULL;
            }
            g_string_append_c(s, to[hit - from]);
            q++;
        } else {
            g_string_append_c(s, *q);
        }
    }
    if (*q != '"') {
        *problem = g_strdup("unterminated string");
        return NULL;
    }
    *p = q + 1;
    return g_string_free(g_steal_pointer(&s), FALSE);
}

char *hmp_next_word(const char **p, char **problem)
{
    const char *start;

    skip_spaces(p);
    if (**p == '"') {
        return quoted_word(p, problem);
    }
    start = *p;
    while (**p && !g_ascii_isspace(**p)) {
        (*p)++;
    }
    return *p > start ? g_strndup(start, *p - start) : NULL;
}

bool hmp_name_matches(const char *names, const char *typed)
{
    const size_t len = strlen(typed);

    for (const char *p = names; p; p = strchr(p, '|')) {
        p += *p == '|';
        if (strncmp(p, typed, len) == 0 && (p[len] == '\0' || p[len] == '|')) {
            return true;
        }
    }
    return false;
}

/* All flags that stand here, in any order. */
static bool parse_flags(HmpCall *call, const HmpCommand *cmd, const char **p, char **problem)
{
    for (;;) {
        const char *q = *p;
        int i;

        skip_spaces(&q);
        if (q[0] != '-' || !g_ascii_isalpha(q[1]) || (q[2] && !g_ascii_isspace(q[2]))) {
            return true;
        }
        for (i = 0; cmd->args[i].name; i++) {
            if (cmd->args[i].kind == HMP_FLAG && cmd->args[i].name[0] == q[1]) {
                break;
            }
        }
        if (!cmd->args[i].name) {
            *problem = g_strdup_printf("%s: unsupported option -%c", cmd->name, q[1]);
            return false;
        }
        call->flags[i] = true;
        *p = q + 2;
    }
}

static bool parse_format(HmpCall *call, const char **p, char **problem)
{
    const char *q = *p;
    guint64 count = 1;

    call->fmt = (HmpFormat){.count = 1};
    skip_spaces(&q);
    if (*q != '/') {
        return true;
    }
    q++;
    if (g_ascii_isdigit(*q)) {
        count = g_ascii_strtoull(q, (char **)&q, 10);
    }
    if (count > MAX_COUNT) {
        *problem = g_strdup_printf("count is limited to %u", MAX_COUNT);
        return false;
    }
    call->fmt.count = (unsigned)count;
    for (; *q && !g_ascii_isspace(*q); q++) {
        if (strchr("xduoc", *q)) {
            call->fmt.format = *q;
        } else if (strchr("bhwg", *q)) {
            call->fmt.size = *q;
        } else {
            *problem = g_strdup_printf("invalid char in format: '%c'", *q);
            return false;
        }
    }
    *p = q;
    return true;
}

static bool parse_on_off(HmpCall *call, int i, const char **p, char **problem)
{
    g_autofree char *word = hmp_next_word(p, problem);

    if (*problem) {
        return false;
    }
    if (!word || (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)) {
        *problem = g_strdup("Expected 'on' or 'off'");
        return false;
    }
    call->flags[i] = strcmp(word, "on") == 0;
    return true;
}

static bool parse_word(HmpCall *call, const HmpCommand *cmd, int i, const char **p,
                       char **problem)
{
    call->strings[i] = hmp_next_word(p, problem);
    if (*problem) {
        return false;
    }
    if (!call->strings[i] && !cmd->args[i].optional) {
        *problem = g_strdup_printf("%s: string expected", cmd->name);
        return false;
    }
    return true;
}

static bool parse_number(HmpCall *call, const HmpCommand *cmd, int i, const char **p,
                         char **problem)
{
    skip_spaces(p);
    return (cmd->args[i].optional && !**p) || hmp_parse_expression(p, &call->numbers[i], problem);
}

static void parse_rest(HmpCall *call, int i, const char **p)
{
    skip_spaces(p);
    call->strings[i] = g_strchomp(g_strdup(*p));
    *p += strlen(*p);
}

static bool parse_one(HmpCall *call, const HmpCommand *cmd, int i, const char **p, char **problem)
{
    switch (cmd->args[i].kind) {
    case HMP_FLAG:
        return parse_flags(call, cmd, p, problem);
    case HMP_FORMAT:
        return parse_format(call, p, problem);
    case HMP_ON_OFF:
        return parse_on_off(call, i, p, problem);
    case HMP_NUMBER:
        return parse_number(call, cmd, i, p, problem);
    case HMP_REST:
        parse_rest(call, i, p);
        return true;
    case HMP_STRING:
        return parse_word(call, cmd, i, p, problem);
    }
    return true;
}

bool hmp_parse_args(HmpCall *call, const HmpCommand *cmd, const char *p, char **problem)
{
    for (int i = 0; cmd->args[i].name; i++) {
        if (!parse_one(call, cmd, i, &p, problem)) {
            return false;
        }
    }
    skip_spaces(&p);
    if (*p) {
        *problem = g_strdup_printf("%s: extraneous characters at the end of line", cmd->name);
        return false;
    }
    return true;
}
