/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a directly booted kernel learns what a microvm has. With ACPI: tables (acpi-tables.c) right
 * below the extended BIOS data area, in memory that the kernel's memory map calls ACPI's; the
 * kernel is handed the RSDP's address, and one more RSDP lies where BIOSes have theirs, for those
 * that search. Without: words on its command line tell where the virtio devices are. Never both,
 * since a kernel that understands both would find each device twice.
 *
 * The tables are in the guest's RAM, below what a firmware would cover: they move with it, and a
 * guest that has moved to QEMU finds them where they were. Firmware, where there is some (-bios),
 * makes its own. Main thread, machine lock held.
 */
#include <inttypes.h>

#include "acpi-tables.h"
#include "error.h"
#include "loader.h"
#include "microvm.h"
#include "virtio-bus.h"
#include "virtio-mmio.h"

#define BIOS_AREA 0xf0000U /* kernels search for an RSDP from 0xe0000 on */
#define ONE_MIB 0x100000U

static void add_words(MicrovmState *s)
{
    for (guint i = 0; i < s->places->len; i++) {
        const VirtIOPlace *p = &g_array_index(s->places, VirtIOPlace, i);
        g_autofree char *word = g_strdup_printf("virtio_mmio.device=%d@0x%" PRIx64 ":%u",
                                                VIRTIO_MMIO_SIZE, p->gpa, p->gsi);

        boot_images_add_word(s->machine, word);
    }
}

static GBytes *build_tables(const MicrovmState *s, uint64_t *gpa, GError **errp)
{
    const Machine *m = s->machine;
    const MachineConfig *c = m->config;
    g_autofree AcpiTransport *t = g_new(AcpiTransport, s->places->len);
    AcpiBoard board = {
        .cpus = m->nr_vcpus,
        .pic = machine_config_prop_bool(c, "pic", true),
        .pit = machine_config_prop_bool(c, "pit", true),
        .rtc = machine_config_prop_bool(c, "rtc", false),
        .ioapic2 = machine_config_prop_bool(c, "ioapic2", true),
        .serial = s->serial,
        .transports = t,
        .nr_transports = s->places->len,
    };

    for (guint i = 0; i < s->places->len; i++) {
        const VirtIOPlace *p = &g_array_index(s->places, VirtIOPlace, i);

        t[i] = (AcpiTransport){ p->slot, p->gpa, VIRTIO_MMIO_SIZE, p->gsi, p->shared };
    }
    return acpi_tables_build(&board, LOADER_EBDA, gpa, errp);
}

static bool add_tables(MicrovmState *s, GError **errp)
{
    Machine *m = s->machine;
    uint64_t gpa = 0;
    g_autoptr(GBytes) tables = build_tables(s, &gpa, errp);

    if (!tables) {
        return false;
    }
    g_autoptr(GBytes) rsdp = g_bytes_new_from_bytes(tables, 0, ACPI_RSDP_SIZE);

    m->boot_images->acpi = gpa;
    return boot_images_add(m, "ACPI tables", gpa, tables, 0, errp) &&
           boot_images_add(m, "ACPI root pointer", BIOS_AREA, rsdp, 0, errp);
}

bool microvm_describe(MicrovmState *s, GError **errp)
{
    const Machine *m = s->machine;
    const MachineConfig *c = m->config;

    if (!s->acpi) {
        if (machine_config_prop_bool(c, "auto-kernel-cmdline", true)) {
            add_words(s);
        }
        return true;
    }
    return !c->kernel || c->bios || m->ram_below_4g <= ONE_MIB || add_tables(s, errp);
}
