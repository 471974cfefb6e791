/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Build-time tool: prints the engine's option table (include/migration/options.def) as JSON, so
 * that the schema generator takes capabilities and parameters from it and nothing is written twice.
 * Single thread, no input.
 */
#include "migration/options.h"

#include <inttypes.h>
#include <stdio.h>

static void put_string(const char *key, const char *s)
{
    printf("\"%s\": \"", key);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') {
            putchar('\\');
        }
        putchar(*s);
    }
    putchar('"');
}

static void put_common(const char *name, const char *since, const char *help, bool first)
{
    printf("%s\n    {", first ? "" : ",");
    put_string("name", name);
    printf(", ");
    put_string("since", since);
    printf(", ");
    put_string("doc", help);
}

static void put_param(const MigrationParamDesc *d, bool first)
{
    static const char *const types[] = {
        [PARAM_BOOL] = "bool", [PARAM_U8] = "uint8", [PARAM_U64] = "uint64",
        [PARAM_SIZE] = "size", [PARAM_ENUM] = "enum", [PARAM_STR] = "str",
    };

    put_common(d->name, d->since, d->help, first);
    printf(", ");
    put_string("type", types[d->type]);
    printf(", ");
    put_string("unit", gw_param_unit_suffix(d->unit));
    printf(", \"min\": %" PRIu64 ", \"max\": %" PRIu64 ", \"default\": %" PRIu64 ", \"words\": [",
           d->min, d->max, d->def);
    for (size_t i = 0; d->words && d->words[i]; i++) {
        printf("%s\"%s\"", i ? ", " : "", d->words[i]);
    }
    printf("]}");
}

int main(void)
{
    printf("{\n  \"capabilities\": [");
    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        const MigrationCapabilityDesc *d = gw_capability_desc(i);

        put_common(d->name, d->since, d->help, i == 0);
        printf("}");
    }
    printf("\n  ],\n  \"parameters\": [");
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        put_param(gw_param_desc(i), i == 0);
    }
    printf("\n  ]\n}\n");
    return ferror(stdout) || fflush(stdout) != 0;
}
