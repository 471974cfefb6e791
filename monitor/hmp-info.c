/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: `info` about the machine. Main loop's thread. */
#include "hmp-run.h"

#include "chardev.h"
#include "monitor-info.h"
#include "monitor-set.h"
#include "qmp.h"
#include "vcpu.h"

void hmp_info_status(HmpCall *call)
{
    const RunState s = runstate_get(call->machine->run_state);
    const bool running = s == RUN_STATE_RUNNING;

    hmp_printf(call, "VM status: %s", running ? "running" : "paused");
    if (!running && s != RUN_STATE_PAUSED) {
        hmp_printf(call, " (%s)", runstate_name(s));
    }
    hmp_printf(call, "\n");
}

void hmp_info_version(HmpCall *call)
{
    json_object *v = qmp_version_info(), *qemu = jo_get(v, "qemu");

    hmp_printf(call, "%d.%d.%d (%s)\n", json_object_get_int(jo_get(qemu, "major")),
               json_object_get_int(jo_get(qemu, "minor")),
               json_object_get_int(jo_get(qemu, "micro")), jo_get_str(v, "package"));
    json_object_put(v);
}

void hmp_info_name(HmpCall *call)
{
    if (call->machine->config->name) {
        hmp_printf(call, "%s\n", call->machine->config->name);
    }
}

void hmp_info_uuid(HmpCall *call)
{
    g_autofree char *text = monitor_uuid_text(call->machine->config);

    hmp_printf(call, "%s\n", text);
}

void hmp_info_cpus(HmpCall *call)
{
    for (unsigned i = 0; i < call->machine->nr_vcpus; i++) {
        hmp_printf(call, "%c CPU #%u: thread_id=%d\n", i == call->cpu ? '*' : ' ', i,
                   __atomic_load_n(&call->machine->vcpus[i]->tid, __ATOMIC_RELAXED));
    }
}

void hmp_info_kvm(HmpCall *call)
{
    hmp_printf(call, "kvm support: %s\n",
               monitor_kvm_enabled(call->machine) ? "enabled" : "disabled");
}

static void put_range(const MemoryRange *r, void *opaque)
{
    static const char *const types[] = {
        [MEMORY_RANGE_RAM] = "ram", [MEMORY_RANGE_ROM] = "rom", [MEMORY_RANGE_MMIO] = "i/o",
    };

    hmp_printf(opaque, "  %016" G_GINT64_MODIFIER "x-%016" G_GINT64_MODIFIER "x (prio 0, %s): %s",
               r->gpa, r->gpa + (r->size - 1), types[r->type], r->name);
    if (r->block) {
        hmp_printf(opaque, " @%s %016" G_GINT64_MODIFIER "x", gw_ram_block_info(r->block)->idstr,
                   r->block_offset);
    }
    hmp_printf(opaque, "\n");
}

void hmp_info_mtree(HmpCall *call)
{
    hmp_printf(call, "address-space: memory\n");
    memory_map_foreach(call->machine->memory, put_range, call);
}

void hmp_info_chardev(HmpCall *call)
{
    const GPtrArray *list = call->machine->chardevs;

    for (guint i = 0; list && i < list->len; i++) {
        Chardev *c = g_ptr_array_index(list, i);
        g_autofree char *what = chardev_describe(c);

        hmp_printf(call, "%s: filename=%s\n", chardev_id(c), what);
    }
}

void hmp_info_memory_size_summary(HmpCall *call)
{
    hmp_printf(call, "base memory: %" G_GUINT64_FORMAT "\nplugged memory: 0\n",
               call->machine->ram_size);
}
