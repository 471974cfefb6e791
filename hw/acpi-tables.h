/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables that describe a microvm to its guest. Made of a plain description of the board,
 * without the machine; any thread.
 */
#ifndef HW_ACPI_TABLES_H
#define HW_ACPI_TABLES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A virtio-mmio transport that has a device. */
typedef struct AcpiTransport {
    unsigned slot;      /* _UID and name */
    uint32_t gpa, size; /* bytes */
    unsigned gsi;
    bool shared;        /* the line has other transports too */
} AcpiTransport;

typedef struct AcpiBoard {
    unsigned cpus;      /* local APIC identifiers 0 and up */
    bool pic, pit, rtc, serial, ioapic2;
    const AcpiTransport *transports;
    unsigned nr_transports;
} AcpiBoard;

/* Room for 128 transports twice over. */
#define ACPI_TABLES_MAX 0x8000U
#define ACPI_RSDP_SIZE 36U

/* RSDP (at its beginning), XSDT, FADT, MADT and DSDT in one piece, which ends at `end` and begins
 * at the page boundary that is told in *gpa; NULL with *errp. */
GBytes *acpi_tables_build(const AcpiBoard *b, uint64_t end, uint64_t *gpa, GError **errp);

/* acpi-dsdt.c: the devices, in AML without the table's header. */
GBytes *acpi_dsdt_build(const AcpiBoard *b, GError **errp);

#endif
