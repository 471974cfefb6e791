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
    "virtio-mmio.force-legacy",    /* transports are modern or legacy as the driver wants */
    NULL,
};

static bool parse_bool(const char *word, bool *out)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };

    *out = g_strv_contains(on, word);
    return *out || g_strv_contains(off, word);
}

static bool apply_global(Machine *m, const char *text, GError **errp)
{
    g_auto(GStrv) pair = g_strsplit(text, "=", 2);
    bool value;

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
    if (!parse_bool(pair[1], &value)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-global %s: '%s' is neither 'on' nor 'off'", text,
                       pair[1]);
    }
    if (!gw_compat_set(m->migration, pair[0] + strlen("migration."), value, errp)) {
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
