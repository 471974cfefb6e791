/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one table of HMP commands: names, arguments, help, handler, completion; and the handlers of
 * the run state. `help`, parsing and completion come from it. Main loop's thread. Spec: qmp 5.6.
 */
#include "hmp-run.h"

#include "monitor-set.h"

typedef void (*AddWord)(void *opaque, const char *word);

static void complete_capability(unsigned index, AddWord add, void *opaque)
{
    for (int i = 0; index == 0 && i < MIGRATION_CAP__COUNT; i++) {
        add(opaque, gw_capability_desc(i)->name);
    }
    if (index == 1) {
        add(opaque, "on");
        add(opaque, "off");
    }
}

static void complete_parameter(unsigned index, AddWord add, void *opaque)
{
    for (int i = 0; index == 0 && i < MIGRATION_PARAM__COUNT; i++) {
        add(opaque, gw_param_desc(i)->name);
    }
}

static void complete_info(unsigned index, AddWord add, void *opaque)
{
    for (const HmpCommand *c = hmp_info_commands; index == 0 && c->name; c++) {
        add(opaque, c->name);
    }
}

static void complete_help(unsigned index, AddWord add, void *opaque)
{
    for (const HmpCommand *c = hmp_commands; index == 0 && c->name; c++) {
        add(opaque, c->name);
    }
}

static void complete_continue(unsigned index, AddWord add, void *opaque)
{
    if (index == 0) {
        add(opaque, "pre-switchover");
    }
}

static void hmp_stop(HmpCall *call)
{
    monitor_stop_guest(call->set);
}

static void hmp_cont(HmpCall *call)
{
    g_autoptr(GError) err = NULL;

    monitor_continue_guest(call->set, &err);
    hmp_error(call, err);
}

static void hmp_quit(HmpCall *call)
{
    call->quit = true;
}

static void hmp_system_reset(HmpCall *call)
{
    monitor_reset(call->set);
}

static void hmp_system_powerdown(HmpCall *call)
{
    monitor_powerdown(call->set);
}

const HmpCommand hmp_commands[] = {
    {"announce_self", "[interfaces] [id]", "Trigger GARP/RARP announcements", hmp_announce_self,
     {{"interfaces", HMP_STRING, true}, {"id", HMP_STRING, true}}, NULL},
    {"balloon", "target", "request VM to change its memory allocation (in MB)", hmp_balloon,
     {{"target", HMP_NUMBER}}, NULL},
    {"calc_dirty_rate", "[-r] [-b] second [sample_pages_per_GB]",
     "start a round of guest dirty rate measurement (-r: by dirty ring, -b: by dirty bitmap)",
     hmp_calc_dirty_rate,
     {{"r", HMP_FLAG}, {"b", HMP_FLAG}, {"second", HMP_NUMBER},
      {"sample_pages_per_GB", HMP_NUMBER, true}}, NULL},
    {"cancel_vcpu_dirty_limit", "[cpu_index]",
     "cancel dirty page rate limit, use cpu_index to cancel\n\t\t\t\t\t limit on a specified "
     "virtual cpu", hmp_cancel_vcpu_dirty_limit, {{"cpu_index", HMP_REST, true}}, NULL},
    {"cont|c", "", "resume emulation", hmp_cont, {{NULL}}, NULL},
    {"help|?", "[cmd]", "show the help", hmp_help, {{"cmd", HMP_REST, true}}, complete_help},
    {"info", "[subcommand]", "show various information about the system state", hmp_info,
     {{"what", HMP_REST, true}}, complete_info},
    {"memsave", "addr size file",
     "save to disk virtual memory dump starting at 'addr' of size 'size'", hmp_memsave,
     {{"addr", HMP_NUMBER}, {"size", HMP_NUMBER}, {"file", HMP_STRING}}, NULL},
    {"migrate", "[-d] [-r] uri",
     "migrate to URI (using -d to not wait for completion)\n\t\t\t -r to resume a paused migration",
     hmp_migrate, {{"d", HMP_FLAG}, {"r", HMP_FLAG}, {"uri", HMP_STRING}}, NULL},
    {"migrate_cancel", "", "cancel the current VM migration", hmp_migrate_cancel, {{NULL}}, NULL},
    {"migrate_continue", "state", "Continue migration from the given paused state",
     hmp_migrate_continue, {{"state", HMP_STRING}}, complete_continue},
    {"migrate_estimate", "[-f] [bandwidth]",
     "tell what a migration would take, at so many MiB/s (-f: measure the guest anew)",
     hmp_migrate_estimate, {{"f", HMP_FLAG}, {"bandwidth", HMP_NUMBER, true}}, NULL},
    {"migrate_incoming", "uri", "Continue an incoming migration from an -incoming defer",
     hmp_migrate_incoming, {{"uri", HMP_STRING}}, NULL},
    {"migrate_pause", "", "Pause an ongoing postcopy migration", hmp_migrate_pause, {{NULL}}, NULL},
    {"migrate_recover", "uri", "Continue a paused incoming postcopy migration",
     hmp_migrate_recover, {{"uri", HMP_STRING}}, NULL},
    {"migrate_set_capability", "capability state",
     "Enable/Disable the usage of a capability for migration", hmp_migrate_set_capability,
     {{"capability", HMP_STRING}, {"state", HMP_ON_OFF}}, complete_capability},
    {"migrate_set_parameter", "parameter value", "Set the parameter for migration",
     hmp_migrate_set_parameter, {{"parameter", HMP_STRING}, {"value", HMP_STRING}},
     complete_parameter},
    {"migrate_start_postcopy", "",
     "Followup to a migration command to switch the migration to postcopy mode",
     hmp_migrate_start_postcopy, {{NULL}}, NULL},
    {"pmemsave", "addr size file",
     "save to disk physical memory dump starting at 'addr' of size 'size'", hmp_pmemsave,
     {{"addr", HMP_NUMBER}, {"size", HMP_NUMBER}, {"file", HMP_STRING}}, NULL},
    {"quit|q", "", "quit the emulator", hmp_quit, {{NULL}}, NULL},
    {"set_link", "name on|off", "change the link status of a network adapter", hmp_set_link,
     {{"name", HMP_STRING}, {"up", HMP_ON_OFF}}, NULL},
    {"set_vcpu_dirty_limit", "dirty_rate [cpu_index]",
     "set dirty page rate limit, use cpu_index to set limit\n\t\t\t\t\t on a specified virtual "
     "cpu", hmp_set_vcpu_dirty_limit, {{"dirty_rate", HMP_NUMBER}, {"cpu_index", HMP_REST, true}},
     NULL},
    {"stop|s", "", "stop emulation", hmp_stop, {{NULL}}, NULL},
    {"system_powerdown", "", "send system power down event", hmp_system_powerdown, {{NULL}}, NULL},
    {"system_reset", "", "reset the system", hmp_system_reset, {{NULL}}, NULL},
    {"x", "/fmt addr", "virtual memory dump starting at 'addr'", hmp_x,
     {{"fmt", HMP_FORMAT}, {"addr", HMP_NUMBER}}, NULL},
    {"xp", "/fmt addr", "physical memory dump starting at 'addr'", hmp_xp,
     {{"fmt", HMP_FORMAT}, {"addr", HMP_NUMBER}}, NULL},
    {NULL},
};

const HmpCommand hmp_info_commands[] = {
    {"balloon", "", "show balloon information", hmp_info_balloon, {{NULL}}, NULL},
    {"block", "", "show the drives of the guest", hmp_info_block, {{NULL}}, NULL},
    {"chardev", "", "show the character devices", hmp_info_chardev, {{NULL}}, NULL},
    {"cpus", "", "show infos for each CPU", hmp_info_cpus, {{NULL}}, NULL},
    {"dirty_rate", "", "show dirty rate information", hmp_info_dirty_rate, {{NULL}}, NULL},
    {"kvm", "", "show KVM information", hmp_info_kvm, {{NULL}}, NULL},
    {"memory_size_summary", "", "show the amount of memory in bytes",
     hmp_info_memory_size_summary, {{NULL}}, NULL},
    {"migrate", "[-a]", "show migration status (-a: all, dump all status)", hmp_info_migrate,
     {{"a", HMP_FLAG}}, NULL},
    {"migrate_capabilities", "", "show current migration capabilities",
     hmp_info_migrate_capabilities, {{NULL}}, NULL},
    {"migrate_parameters", "", "show current migration parameters", hmp_info_migrate_parameters,
     {{NULL}}, NULL},
    {"mtree", "", "show the memory map", hmp_info_mtree, {{NULL}}, NULL},
    {"name", "", "show the current VM name", hmp_info_name, {{NULL}}, NULL},
    {"network", "", "show the network state", hmp_info_network, {{NULL}}, NULL},
    {"status", "", "show the current VM status (running|paused)", hmp_info_status, {{NULL}}, NULL},
    {"uuid", "", "show the current VM UUID", hmp_info_uuid, {{NULL}}, NULL},
    {"vcpu_dirty_limit", "", "show dirty page limit information of all vCPU",
     hmp_info_vcpu_dirty_limit, {{NULL}}, NULL},
    {"version", "", "show the version", hmp_info_version, {{NULL}}, NULL},
    {NULL},
};
