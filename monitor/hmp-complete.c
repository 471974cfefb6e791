/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: which words may stand where the cursor is, from the command tables. No state. */
#include "hmp.h"

#include <string.h>

typedef struct Words {
    GPtrArray *list; /* of char * */
    const char *prefix;
} Words;

static void add_word(void *opaque, const char *names)
{
    Words *w = opaque;
    g_auto(GStrv) parts = g_strsplit(names, "|", -1);

    for (char **p = parts; *p; p++) {
        if (g_str_has_prefix(*p, w->prefix)) {
            g_ptr_array_add(w->list, g_strdup(*p));
        }
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
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

GPtrArray *hmp_complete(const char *line, size_t *start)
{
    const char *last = line + strlen(line), *p = line;
    g_autoptr(GPtrArray) before = g_ptr_array_new_with_free_func(g_free);
    Words w = {.list = g_ptr_array_new_with_free_func(g_free)};

    while (last > line && !g_ascii_isspace(last[-1])) {
        last--;
    }
    *start = (size_t)(last - line);
    w.prefix = last;
    while (p < last) {
        g_autofree char *head = g_strndup(p, last - p), *problem = NULL;
        const char *q = head;
        char *word = hmp_next_word(&q, &problem);

        if (!word) {
            break;
        }
        /* flags do not count as arguments */
        if (word[0] == '-') {
            g_free(word);
        } else {
            g_ptr_array_add(before, word);
        }
        p += q - head;
    }
    if (before->len == 0) {
        for (const HmpCommand *c = hmp_commands; c->name; c++) {
            add_word(&w, c->name);
        }
    } else {
        const HmpCommand *cmd = find(hmp_commands, g_ptr_array_index(before, 0));

        if (cmd && cmd->complete) {
            cmd->complete(before->len - 1, add_word, &w);
        }
    }
    g_ptr_array_sort(w.list, by_name);
    return w.list;
}
