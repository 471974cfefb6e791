/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI generic event device: the event selector (reading takes the events) and the sleep and reset
 * registers of a hardware-reduced ACPI machine. Its one event is the power button, which
 * system_powerdown presses. The guest finds it in the DSDT (acpi-dsdt.c).
 * Machine lock held. Section acpi-ged version 1 (spec minimal-machines 6.3).
 */
#include "acpi-ged.h"

#include <string.h>

#define GED_REGS_SIZE 3
#define SLEEP_ENABLE 0x20
#define SLEEP_TYPE(v) (((v) >> 2) & 7)

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

    if (offset == ACPI_GED_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
        SLEEP_TYPE(value) == ACPI_GED_SLEEP_S5) {
        runstate_request_stop(s->machine->run_state, RUN_STATE_SHUTDOWN);
    }
    if (offset == ACPI_GED_RESET && value == ACPI_GED_RESET_VALUE) {
        runstate_request_reset(s->machine->run_state);
    }
}

/* The line is edge triggered. A guest that is not listening yet sees the event with the next. */
static void press_power_button(void *opaque)
{
    AcpiGed *s = opaque;

    s->sel |= ACPI_GED_POWER_BUTTON;
    machine_set_irq(s->machine, ACPI_GED_IRQ, 1);
    machine_set_irq(s->machine, ACPI_GED_IRQ, 0);
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
    MemoryRange events = { .type = MEMORY_RANGE_MMIO, .gpa = ACPI_GED_EVENTS, .size = 4,
                           .ops = &events_ops, .opaque = s, .name = "acpi-ged" };
    MemoryRange regs = { .type = MEMORY_RANGE_MMIO, .gpa = ACPI_GED_REGS,
                         .size = GED_REGS_SIZE,
                         .ops = &regs_ops, .opaque = s, .name = "acpi-ged-regs" };

    s->machine = m;
    machine_add_device(m, s, ged_free, ged_reset);
    machine_set_power_button(m, press_power_button, s);
    return memory_map_add(m->memory, &events, errp) && memory_map_add(m->memory, &regs, errp) &&
           gw_vmstate_register(m->migration, NULL, 0, &vmstate_ged, s, MIGRATION_PRIORITY_DEFAULT,
                               errp);
}
