/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI generic event device: the event selector at 0xfea00000 (reading takes the events) and the
 * sleep registers of a hardware-reduced ACPI machine at 0xfea00200. Nothing raises events yet; the
 * device exists for its state, which a stream of QEMU's carries with acpi=on.
 * Machine lock held. Section acpi-ged version 1 (spec minimal-machines 6.3).
 */
#include "acpi-ged.h"

#include <string.h>

#define GED_EVENTS UINT64_C(0xfea00000)
#define GED_REGS UINT64_C(0xfea00200)
#define SLEEP_CONTROL 0
#define SLEEP_ENABLE 0x20
#define SLEEP_TYPE(v) (((v) >> 2) & 7)
#define SLEEP_S5 5

typedef struct AcpiGed {
    Machine *machine;
    uint32_t sel;
    uint32_t memhp_selector; /* of memory hot-plug, which is not there: carried */
} AcpiGed;

static uint64_t events_read(void *opaque, uint64_t offset, unsigned size)
{
    AcpiGed *s = opaque;
    uint32_t sel = s->sel;

    s->sel = 0;
    return sel;
}

static uint64_t regs_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0;
}

static void regs_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    AcpiGed *s = opaque;

    if (offset == SLEEP_CONTROL && (value & SLEEP_ENABLE) && SLEEP_TYPE(value) == SLEEP_S5) {
        runstate_request_stop(s->machine->run_state, RUN_STATE_SHUTDOWN);
    }
}

static const MmioOps events_ops = { events_read, NULL };
static const MmioOps regs_ops = { regs_read, regs_write };

static const VMStateField memhp_fields[] = {
    VMSTATE_UINT32(memhp_selector, AcpiGed),
    VMSTATE_END,
};

static const VMStateDescription vmstate_memhp = {
    .name = "acpi-ged/memhp",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = memhp_fields,
};

static const VMStateField ged_fields[] = {
    VMSTATE_UINT32(sel, AcpiGed),
    VMSTATE_END,
};

static const VMStateDescription *const ged_subsections[] = { &vmstate_memhp, NULL };

static const VMStateDescription vmstate_ged = {
    .name = "acpi-ged",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = ged_fields,
    .subsections = ged_subsections,
};

static void ged_reset(void *opaque)
{
    AcpiGed *s = opaque;

    s->sel = 0;
    s->memhp_selector = 0;
}

static void ged_free(void *opaque)
{
    AcpiGed *s = opaque;

    gw_vmstate_unregister(s->machine->migration, &vmstate_ged, s);
    g_free(s);
}

bool acpi_ged_new(Machine *m, GError **errp)
{
    AcpiGed *s = g_new0(AcpiGed, 1);
    MemoryRange events = { .type = MEMORY_RANGE_MMIO, .gpa = GED_EVENTS, .size = 4,
                           .ops = &events_ops, .opaque = s, .name = "acpi-ged" };
    MemoryRange regs = { .type = MEMORY_RANGE_MMIO, .gpa = GED_REGS, .size = 3,
                         .ops = &regs_ops, .opaque = s, .name = "acpi-ged-regs" };

    s->machine = m;
    machine_add_device(m, s, ged_free, ged_reset);
    return memory_map_add(m->memory, &events, errp) && memory_map_add(m->memory, &regs, errp) &&
           gw_vmstate_register(m->migration, NULL, 0, &vmstate_ged, s, MIGRATION_PRIORITY_DEFAULT,
                               errp);
}
