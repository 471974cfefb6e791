/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands about what the machine is made of. They read what does not change while it runs.
 * Main loop's thread.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "chardev.h"
#include "machine.h"
#include "monitor-info.h"
#include "vcpu.h"

bool qmp_query_name(QmpCall *call, GError **errp)
{
    call->ret = jo_new();
    if (call->machine->config->name) {
        jo_str(call->ret, "name", call->machine->config->name);
    }
    return true;
}

char *monitor_uuid_text(const MachineConfig *conf)
{
    GString *s = g_string_new(NULL);

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            g_string_append_c(s, '-');
        }
        g_string_append_printf(s, "%02x", conf->has_uuid ? conf->uuid[i] : 0);
    }
    return g_string_free(s, FALSE);
}

bool qmp_query_uuid(QmpCall *call, GError **errp)
{
    g_autofree char *text = monitor_uuid_text(call->machine->config);

    call->ret = jo_new();
    jo_str(call->ret, "UUID", text);
    return true;
}

bool monitor_kvm_enabled(const Machine *m)
{
    return m->accel && strcmp(m->accel->name, "kvm") == 0;
}

bool qmp_query_kvm(QmpCall *call, GError **errp)
{
    bool present = false;

    for (const AccelOps *const *a = accel_list(); *a; a++) {
        present |= strcmp((*a)->name, "kvm") == 0;
    }
    call->ret = jo_new();
    jo_bool(call->ret, "enabled", monitor_kvm_enabled(call->machine));
    jo_bool(call->ret, "present", present);
    return true;
}

bool qmp_query_target(QmpCall *call, GError **errp)
{
    call->ret = jo_new();
    jo_str(call->ret, "arch", "x86_64");
    return true;
}

bool qmp_query_machines(QmpCall *call, GError **errp)
{
    call->ret = jo_array();
    for (const BoardOps *const *b = machine_boards(); *b; b++) {
        json_object *o = jo_new();

        jo_bool(o, "hotpluggable-cpus", false);
        jo_str(o, "name", (*b)->name);
        jo_bool(o, "numa-mem-supported", false);
        jo_int(o, "cpu-max", MAX((*b)->max_cpus, 1));
        jo_bool(o, "deprecated", false);
        if ((*b)->default_ram_id) {
            jo_str(o, "default-ram-id", (*b)->default_ram_id);
        }
        json_object_array_add(call->ret, o);
    }
    return true;
}

bool qmp_query_cpus_fast(QmpCall *call, GError **errp)
{
    const Machine *m = call->machine;

    call->ret = jo_array();
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        json_object *o = jo_new(), *props = jo_new();
        g_autofree char *path = g_strdup_printf("/machine/unattached/device[%u]", i);

        jo_int(o, "thread-id", __atomic_load_n(&m->vcpus[i]->tid, __ATOMIC_RELAXED));
        jo_int(props, "core-id", 0);
        jo_int(props, "thread-id", 0);
        jo_int(props, "socket-id", i);
        json_object_object_add(o, "props", props);
        jo_str(o, "qom-path", path);
        jo_int(o, "cpu-index", i);
        jo_str(o, "target", "x86_64");
        json_object_array_add(call->ret, o);
    }
    return true;
}

bool qmp_query_chardev(QmpCall *call, GError **errp)
{
    const GPtrArray *list = call->machine->chardevs;

    call->ret = jo_array();
    for (guint i = 0; list && i < list->len; i++) {
        Chardev *c = g_ptr_array_index(list, i);
        g_autofree char *what = chardev_describe(c);
        json_object *o = jo_new();

        jo_bool(o, "frontend-open", chardev_is_open(c));
        jo_str(o, "filename", what);
        jo_str(o, "label", chardev_id(c));
        json_object_array_add(call->ret, o);
    }
    return true;
}

bool qmp_query_memory_size_summary(QmpCall *call, GError **errp)
{
    call->ret = jo_new();
    jo_uint(call->ret, "base-memory", call->machine->ram_size);
    jo_uint(call->ret, "plugged-memory", 0);
    return true;
}

/* Devices are served by the main loop, there are no threads for them. */
bool qmp_query_iothreads(QmpCall *call, GError **errp)
{
    call->ret = jo_array();
    return true;
}

bool qmp_query_named_block_nodes(QmpCall *call, GError **errp)
{
    call->ret = jo_array();
    return true;
}
