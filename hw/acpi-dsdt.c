/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DSDT of a microvm: which devices there are, where, and on which lines. Names, identifiers and
 * resources are those that a guest of QEMU's microvm finds (docs/user/linux.rst lists them), so
 * that a guest which has moved finds what it knows. ACPI specification 6.3, chapters 5.6 and 6.
 * No state; any thread.
 */
#include "acpi-ged.h"
#include "acpi-tables.h"
#include "aml.h"
#include "microvm.h"

#define FW_CFG_PORT 0x510
#define FW_CFG_PORTS 12
#define RTC_PORT 0x70
#define RTC_PORTS 2
#define RTC_IRQ 8
#define SERIAL_PORTS 8
#define STA_PRESENT 1
#define STA_ENABLED 2
#define STA_SHOWN 4
#define STA_WORKS 8
#define NOTIFY_PRESSED 0x80 /* what a power button's driver waits for */

static void add_fw_cfg(Aml *a)
{
    aml_begin_device(a, "FWCF");
    aml_name_string(a, "_HID", "QEMU0002");
    aml_name_int(a, "_STA", STA_PRESENT | STA_ENABLED | STA_WORKS);
    aml_begin_resources(a);
    aml_io(a, FW_CFG_PORT, FW_CFG_PORTS);
    aml_end(a);
    aml_end(a);
}

static void add_serial(Aml *a)
{
    aml_begin_device(a, "COM1");
    aml_name_eisaid(a, "_HID", "PNP0501");
    aml_name_int(a, "_UID", 1);
    aml_name_int(a, "_STA", STA_PRESENT | STA_ENABLED | STA_SHOWN | STA_WORKS);
    aml_begin_resources(a);
    aml_io(a, MICROVM_SERIAL_PORT, SERIAL_PORTS);
    aml_isa_irq(a, MICROVM_SERIAL_IRQ);
    aml_end(a);
    aml_end(a);
}

static void add_rtc(Aml *a)
{
    aml_begin_device(a, "RTC");
    aml_name_eisaid(a, "_HID", "PNP0B00");
    aml_begin_resources(a);
    aml_io(a, RTC_PORT, RTC_PORTS);
    aml_isa_irq(a, RTC_IRQ);
    aml_end(a);
    aml_end(a);
}

/* The event device's driver calls _EVT when the line has risen; it asks which events there were. */
static void add_events(Aml *a)
{
    aml_begin_device(a, "PWRB");
    aml_name_eisaid(a, "_HID", "PNP0C0C");
    aml_name_int(a, "_UID", 0);
    aml_end(a);

    aml_begin_device(a, "GED");
    aml_name_string(a, "_HID", "ACPI0013");
    aml_name_string(a, "_UID", "GED");
    aml_begin_resources(a);
    aml_interrupt(a, (AmlInterrupt){ .gsi = ACPI_GED_IRQ, .edge = true });
    aml_end(a);
    aml_memory_field32(a, "EREG", ACPI_GED_EVENTS, "ESEL");
    aml_begin_method(a, "_EVT", 1);
    aml_store_local0(a, "ESEL");
    aml_begin_if_local0(a, ACPI_GED_POWER_BUTTON);
    aml_notify(a, "PWRB", NOTIFY_PRESSED);
    aml_end(a);
    aml_end(a);
    aml_end(a);
}

static void add_transport(Aml *a, const AcpiTransport *t)
{
    /* QEMU's microvm has no slot 100. */
    g_autofree char *name = g_strdup_printf(t->slot < 100 ? "VR%02u" : "V%03u", t->slot);

    aml_begin_device(a, name);
    aml_name_string(a, "_HID", "LNRO0005");
    aml_name_int(a, "_UID", t->slot);
    aml_name_int(a, "_CCA", 1); /* its DMA sees the caches */
    aml_begin_resources(a);
    aml_memory32(a, t->gpa, t->size);
    aml_interrupt(a, (AmlInterrupt){ .gsi = t->gsi, .shared = t->shared });
    aml_end(a);
    aml_end(a);
}

GBytes *acpi_dsdt_build(const AcpiBoard *b, GError **errp)
{
    const uint8_t s5[] = { ACPI_GED_SLEEP_S5, 0, 0, 0 };
    g_autoptr(Aml) a = aml_new();

    aml_begin_scope(a, "_SB", true);
    add_fw_cfg(a);
    if (b->serial) {
        add_serial(a);
    }
    if (b->rtc) {
        add_rtc(a);
    }
    add_events(a);
    for (unsigned i = 0; i < b->nr_transports; i++) {
        add_transport(a, &b->transports[i]);
    }
    aml_end(a);
    aml_name_package(a, "_S5", s5, sizeof(s5));
    return aml_finish(a, ACPI_TABLES_MAX, errp);
}
