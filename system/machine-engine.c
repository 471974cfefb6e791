/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's MigrationState: settings, compatibility switches from -global and -machine.
 * Main thread, machine lock held, while the machine is made.
 */
#include <string.h>

#include "dirty-log.h"
#include "error.h"
#include "machine-init.h"

/*
 * Globals that management tools give out of habit, for devices that exist here only in part or not
 * at all. Whatever the value is, it changes nothing that this machine does.
 */
static const char *const ignored_globals[] = {
    "kvm-pit.lost_tick_policy",    /* the in-kernel PIT has one policy */
    "mc146818rtc.lost_tick_policy", /* likewise */
    "PIIX4_PM.disable_s3", "PIIX4_PM.disable_s4", /* no such chip */
    "ICH9-LPC.disable_s3", "ICH9-LPC.disable_s4", /* no such chip */
    "ICH9-LPC.acpi-pci-hotplug-with-bridge-support",
    "PIIX4_PM.acpi-root-pci-hotplug",
    "virtio-mmio.force-legacy", "virtio-mmio.ioeventfd", /* not ignored: the board reads them */
    NULL,
};

static bool parse_bool(const char *word, bool *out)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };

    *out = g_strv_contains(on, word);
    return *out || g_strv_contains(off, word);
}

static bool apply_parameter(Machine *m, int param, const char *text, GError **errp)
{
    const MigrationParamDesc *d = gw_param_desc(param);
    MigrationParamChange change = {.param = param, .value.str = (char *)text};
    bool flag = false;

    switch (d->type) {
    case PARAM_STR:
        break;
    case PARAM_BOOL:
        if (!parse_bool(text, &flag)) {
            return gw_fail(errp, GW_ERROR_GENERIC, "'%s' is neither 'on' nor 'off'", text);
        }
        change.value.num = flag;
        break;
    case PARAM_ENUM:
        while (d->words[change.value.num] && strcmp(d->words[change.value.num], text) != 0) {
            change.value.num++;
        }
        if (!d->words[change.value.num]) {
            return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' does not accept value '%s'",
                           d->name, text);
        }
        break;
    default:
        if (!g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, &change.value.num, NULL)) {
            return gw_fail(errp, GW_ERROR_GENERIC, "'%s' is not a number", text);
        }
    }
    return gw_params_set(m->migration, &change, 1, errp);
}

/* migration.NAME: a compatibility switch, a parameter, or, as x-NAME, a capability. */
static bool apply_migration_property(Machine *m, const char *name, const char *text, GError **errp)
{
    const int param = gw_param_by_name(name);
    const int cap = g_str_has_prefix(name, "x-") ? gw_capability_by_name(name + 2) : -1;
    bool value;

    if (param >= 0) {
        return apply_parameter(m, param, text, errp);
    }
    if (!parse_bool(text, &value)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'%s' is neither 'on' nor 'off'", text);
    }
    if (cap >= 0) {
        const MigrationCapabilityChange change = {cap, value};

        return gw_capabilities_set(m->migration, &change, 1, errp);
    }
    return gw_compat_set(m->migration, name, value, errp);
}

static bool apply_global(Machine *m, const char *text, GError **errp)
{
    g_auto(GStrv) pair = g_strsplit(text, "=", 2);

    if (!pair[0] || !pair[1]) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-global %s: expected driver.property=value, such as "
                       "migration.send-switchover-start=off", text);
    }
    if (g_strv_contains(ignored_globals, pair[0])) {
        return true;
    }
    if (!g_str_has_prefix(pair[0], "migration.")) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "-global %s: '%s' is not known here; supported are the migration.NAME "
                       "switches", text, pair[0]);
    }
    if (!apply_migration_property(m, pair[0] + strlen("migration."), pair[1], errp)) {
        g_prefix_error(errp, "-global %s: ", text);
        return false;
    }
    return true;
}

bool machine_init_migration(Machine *m, GError **errp)
{
    const MachineConfig *c = m->config;
    MigrationDirtyLogOps log;
    MigrationSettings settings = {
        .size = sizeof(settings),
        .machine_name = m->board->name,
        .has_uuid = c->has_uuid,
        .host = &machine_migration_host_ops,
        .host_opaque = m,
        .nr_vcpus = m->nr_vcpus,
        .dirty_log_opaque = m,
    };

    memcpy(settings.uuid, c->uuid, sizeof(settings.uuid));
    if (machine_dirty_log_ops(m, &log)) {
        settings.dirty_log = &log;
    }
    m->migration = gw_migration_new(&settings, errp);
    if (!m->migration) {
        return false;
    }
    for (guint i = 0; i < c->globals->len; i++) {
        if (!apply_global(m, g_ptr_array_index(c->globals, i), errp)) {
            return false;
        }
    }
    if (machine_config_prop_bool(c, "suppress-vmdesc", false) &&
        !gw_compat_set(m->migration, "suppress-vmdesc", true, errp)) {
        return false;
    }
    if (c->incoming) {
        gw_incoming_prepare(m->migration);
    }
    return true;
}
