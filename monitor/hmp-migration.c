/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: starting and steering migrations. Values are parsed here, the rules are the engine's.
 * Main loop's thread. Spec: qmp 5.6 (units).
 */
#include "hmp-run.h"

#include <string.h>

#include "cmdline-keyval.h"
#include "error.h"
#include "machine.h"

#define MIB (1024u * 1024u)

void hmp_migrate(HmpCall *call)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GwAddress) addr = gw_address_parse_uri(call->strings[2], &err);
    const bool detach = call->flags[0], resume = call->flags[1];

    if (!addr || !gw_migrate(call->machine->migration, addr, resume, &err)) {
        hmp_error(call, err);
        return;
    }
    if (!detach && !call->can_wait) {
        hmp_printf(call, "terminal does not allow synchronous migration, continuing detached\n");
    }
    call->wait_migration = !detach && call->can_wait;
}

void hmp_migrate_cancel(HmpCall *call)
{
    g_autoptr(GError) err = NULL;

    gw_migrate_cancel(call->machine->migration, &err);
    hmp_error(call, err);
}

void hmp_migrate_continue(HmpCall *call)
{
    g_autoptr(GError) err = NULL;

    for (int s = 0; s < MIGRATION_STATUS__COUNT; s++) {
        if (strcmp(gw_migration_status_name(s), call->strings[0]) == 0) {
            gw_migrate_continue(call->machine->migration, s, &err);
            hmp_error(call, err);
            return;
        }
    }
    hmp_printf(call, "Error: invalid parameter value: %s\n", call->strings[0]);
}

void hmp_migrate_incoming(HmpCall *call)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GwAddress) addr = gw_address_parse_uri(call->strings[0], &err);

    if (addr) {
        gw_incoming_start(call->machine->migration, addr, true, &err);
    }
    hmp_error(call, err);
}

void hmp_migrate_start_postcopy(HmpCall *call)
{
    g_autoptr(GError) err = NULL;

    gw_migrate_start_postcopy(call->machine->migration, &err);
    hmp_error(call, err);
}

void hmp_migrate_pause(HmpCall *call)
{
    g_autoptr(GError) err = NULL;

    gw_migrate_pause(call->machine->migration, &err);
    hmp_error(call, err);
}

void hmp_migrate_recover(HmpCall *call)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GwAddress) addr = gw_address_parse_uri(call->strings[0], &err);

    if (addr) {
        gw_incoming_recover(call->machine->migration, addr, &err);
    }
    hmp_error(call, err);
}

void hmp_migrate_set_capability(HmpCall *call)
{
    MigrationCapabilityChange c = {.on = call->flags[1]};
    const int i = gw_capability_by_name(call->strings[0]);
    g_autoptr(GError) err = NULL;

    if (i < 0) {
        hmp_printf(call, "Error: invalid parameter value: %s\n", call->strings[0]);
        return;
    }
    c.cap = i;
    gw_capabilities_set(call->machine->migration, &c, 1, &err);
    hmp_error(call, err);
}

static bool parse_number(const MigrationParamDesc *d, const char *text, uint64_t *v, GError **errp)
{
    const bool bandwidth = strcmp(d->name, "max-bandwidth") == 0 ||
                           strcmp(d->name, "avail-switchover-bandwidth") == 0;

    /* A bare number means MiB for these two; k, M, G, T for all. */
    if (!keyval_parse_size(text, bandwidth ? MIB : 1, v)) {
        if (bandwidth) {
            return gw_fail(errp, GW_ERROR_GENERIC, "Invalid size %s", text);
        }
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Parameter '%s' expects a non-negative number below 2^64\n"
                       "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, "
                       "peta-\nand exabytes, respectively.", d->name);
    }
    if (d->type == PARAM_U8 && *v > UINT8_MAX) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' expects uint8_t", d->name);
    }
    return true;
}

static bool parse_bool(const MigrationParamDesc *d, const char *text, uint64_t *v, GError **errp)
{
    *v = strcmp(text, "on") == 0;
    if (!*v && strcmp(text, "off") != 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' expects 'on' or 'off'", d->name);
    }
    return true;
}

static bool parse_word(const MigrationParamDesc *d, const char *text, uint64_t *v, GError **errp)
{
    for (*v = 0; d->words[*v]; (*v)++) {
        if (strcmp(d->words[*v], text) == 0) {
            return true;
        }
    }
    return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' does not accept value '%s'", d->name,
                   text);
}

void hmp_migrate_set_parameter(HmpCall *call)
{
    const int i = gw_param_by_name(call->strings[0]);
    const MigrationParamDesc *d;
    MigrationParamChange c = {.param = i, .value.str = call->strings[1]};
    g_autoptr(GError) err = NULL;
    bool ok = true;

    if (i < 0) {
        hmp_printf(call, "Error: invalid parameter value: %s\n", call->strings[0]);
        return;
    }
    d = gw_param_desc(i);
    if (d->type == PARAM_BOOL) {
        ok = parse_bool(d, call->strings[1], &c.value.num, &err);
    } else if (d->type == PARAM_ENUM) {
        ok = parse_word(d, call->strings[1], &c.value.num, &err);
    } else if (d->type != PARAM_STR) {
        ok = parse_number(d, call->strings[1], &c.value.num, &err);
    }
    if (ok) {
        gw_params_set(call->machine->migration, &c, 1, &err);
    }
    hmp_error(call, err);
}
