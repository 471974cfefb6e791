/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the option table looks like to a reader: -help, the reference pages (-help-rst), -version.
 * Main thread only.
 */
#include <string.h>

#include "cmdline.h"

bool cmdline_wants_help(const char *arg)
{
    return !strcmp(arg, "help") || !strcmp(arg, "?");
}

void cmdline_print_version(FILE *out)
{
    fprintf(out, "godwit emulator version " GODWIT_VERSION " (QEMU 7.2 level)\n");
}

void cmdline_print_help(FILE *out)
{
    cmdline_print_version(out);
    fprintf(out, "usage: godwit-system-x86_64 [options]\n\n"
                 "Options may begin with one dash or two.\n\n");
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (!o->unsupported) {
            fprintf(out, "-%s%s%s\n        %s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "",
                    o->help);
        }
    }
    fprintf(out, "\nAccepted without an effect:\n\n");
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (o->noop) {
            fprintf(out, "-%-20s %s\n", o->name, o->noop);
        }
    }
}

static void print_rst_options(FILE *out)
{
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (!o->unsupported) {
            fprintf(out, "``-%s%s%s``\n   %s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "",
                    o->help);
            if (o->noop) {
                fprintf(out, "   *Accepted without an effect: %s.*\n", o->noop);
            }
            fputc('\n', out);
        }
    }
}

void cmdline_print_reference(FILE *out)
{
    fprintf(out, "Options\n-------\n\n");
    print_rst_options(out);
    fprintf(out, "Options of QEMU that are refused\n--------------------------------\n\n");
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (o->unsupported) {
            fprintf(out, "``-%s``\n   %s\n\n", o->name, o->unsupported);
        }
    }
}
