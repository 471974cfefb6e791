/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-command-line-options: the options that take parameters, read from the command line's own
 * table, whose argument forms ("file=FILE[,readonly=on|off]") name parameters and their kinds.
 * Main loop's thread.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "cmdline.h"
#include "error.h"

static const char *kind_of(const char *form)
{
    if (g_str_has_prefix(form, "on|off") || g_str_has_prefix(form, "off|on")) {
        return "boolean";
    }
    if (g_str_has_prefix(form, "SIZE")) {
        return "size";
    }
    return form[0] == 'N' && !g_ascii_isalpha(form[1]) ? "number" : "string";
}

/* Finds `word=FORM` in the argument form. */
static json_object *parameters_of(const char *arg)
{
    json_object *list = jo_array();
    const char *eq = arg;

    while (eq && (eq = strchr(eq, '='))) {
        const char *start = eq;
        /* "[type=]NAME": the form follows the bracket */
        const char *form = eq[1] == ']' ? eq + 2 : eq + 1;

        while (start > arg && (g_ascii_islower(start[-1]) || g_ascii_isdigit(start[-1]) ||
                               start[-1] == '-')) {
            start--;
        }
        if (start < eq) {
            g_autofree char *name = g_strndup(start, eq - start);
            json_object *o = jo_new();

            jo_str(o, "name", name);
            jo_str(o, "type", kind_of(form));
            json_object_array_add(list, o);
        }
        eq++;
    }
    return list;
}

bool qmp_query_command_line_options(QmpCall *call, GError **errp)
{
    const char *only = qmp_arg_str(call, "option");

    call->ret = jo_array();
    for (const CmdlineOption *opt = cmdline_options; opt->name; opt++) {
        json_object *o;

        if (!opt->handler || !opt->arg || !strchr(opt->arg, '=') ||
            (only && strcmp(only, opt->name) != 0)) {
            continue;
        }
        o = jo_new();
        json_object_object_add(o, "parameters", parameters_of(opt->arg));
        jo_str(o, "option", opt->name);
        json_object_array_add(call->ret, o);
    }
    if (only && json_object_array_length(call->ret) == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "invalid option name: %s", only);
    }
    return true;
}
