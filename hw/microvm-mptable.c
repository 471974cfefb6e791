/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MP table of a microvm that boots a kernel directly: which processors and which I/O APIC there
 * are and which line each ISA interrupt takes, for kernels without ACPI. Layout: Intel's public
 * "MultiProcessor Specification", version 1.4. Firmware, where there is some (-bios), makes its
 * own.
 *
 * It lies in the extended BIOS data area, where kernels look for it, and which the memory map they
 * get calls reserved. A migration brings it along as part of RAM. Main thread, machine lock held.
 */
#include <string.h>

#include "loader.h"
#include "microvm.h"

#define SPEC_REV 4
#define TABLE_AT (LOADER_EBDA + sizeof(MpPointer))
#define LAPIC_BASE 0xfee00000U
#define LAPIC_VERSION 0x14
#define IOAPIC_BASE 0xfec00000U
#define IOAPIC_VERSION 0x11
#define IOAPIC_ID 0 /* as the chip says after a reset */
#define ISA_IRQS 16
/* The timer's line reaches pin 2; the line 2 of the ISA bus has no device. */
#define TIMER_IRQ 0
#define TIMER_PIN 2
#define ALL_LAPICS 0xff

enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };
enum { CPU_ENABLED = 1, CPU_BOOT = 2, CPU_FEATURES = 0x301 /* x87, cmpxchg8b, APIC */ };

typedef struct MpPointer {
    char signature[4];
    uint32_t table;
    uint8_t length; /* in units of 16 bytes */
    uint8_t spec_rev, checksum, features[5];
} MpPointer;
_Static_assert(sizeof(MpPointer) == 16, "MP floating pointer");

typedef struct MpHeader {
    char signature[4];
    uint16_t length;
    uint8_t spec_rev, checksum;
    char oem[8], product[12];
    uint32_t oem_table;
    uint16_t oem_size, entries;
    uint32_t lapic;
    uint16_t ext_length;
    uint8_t ext_checksum, reserved;
} MpHeader;
_Static_assert(sizeof(MpHeader) == 44, "MP configuration table header");

typedef struct MpProcessor {
    uint8_t type, lapic_id, lapic_version, flags;
    uint32_t signature, features, reserved[2];
} MpProcessor;
_Static_assert(sizeof(MpProcessor) == 20, "MP processor entry");

typedef struct MpBus {
    uint8_t type, id;
    char name[6];
} MpBus;
_Static_assert(sizeof(MpBus) == 8, "MP bus entry");

typedef struct MpIoapic {
    uint8_t type, id, version, flags;
    uint32_t address;
} MpIoapic;
_Static_assert(sizeof(MpIoapic) == 8, "MP I/O APIC entry");

typedef struct MpInterrupt {
    uint8_t type, kind;
    uint16_t flags; /* 0: as the bus has it */
    uint8_t bus, irq, chip, pin;
} MpInterrupt;
_Static_assert(sizeof(MpInterrupt) == 8, "MP interrupt entry");

_Static_assert(sizeof(MpPointer) + sizeof(MpHeader) + MACHINE_MAX_CPUS * sizeof(MpProcessor) +
               sizeof(MpBus) + sizeof(MpIoapic) + (ISA_IRQS + 1) * sizeof(MpInterrupt) <=
               LOADER_EBDA_SIZE, "the whole fits into the extended BIOS data area");

/* What makes the sum of all bytes zero. */
static uint8_t checksum(const void *data, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += ((const uint8_t *)data)[i];
    }
    return -sum;
}

static void add(GByteArray *table, const void *entry, size_t len)
{
    MpHeader *h = (MpHeader *)table->data;

    h->entries++;
    g_byte_array_append(table, entry, len);
}

static void add_interrupts(GByteArray *table)
{
    const MpInterrupt lint0 = { MP_LOCAL_INTERRUPT, MP_EXTINT, 0, 0, 0, 0, 0 };
    const MpInterrupt lint1 = { MP_LOCAL_INTERRUPT, MP_NMI, 0, 0, 0, ALL_LAPICS, 1 };

    for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
        MpInterrupt e = { MP_IO_INTERRUPT, MP_INT, 0, 0, irq, IOAPIC_ID, irq };

        if (irq == TIMER_IRQ) {
            e.pin = TIMER_PIN;
        }
        if (irq != TIMER_PIN) {
            add(table, &e, sizeof(e));
        }
    }
    add(table, &lint0, sizeof(lint0));
    add(table, &lint1, sizeof(lint1));
}

static GByteArray *make_table(unsigned cpus)
{
    const MpHeader head = { .signature = "PCMP", .spec_rev = SPEC_REV, .oem = "GODWIT  ",
                            .product = "microvm     ", .lapic = LAPIC_BASE };
    const MpBus isa = { MP_BUS, 0, "ISA   " };
    const MpIoapic ioapic = { MP_IOAPIC, IOAPIC_ID, IOAPIC_VERSION, 1, IOAPIC_BASE };
    GByteArray *table = g_byte_array_new();

    g_byte_array_append(table, (const uint8_t *)&head, sizeof(head));
    for (unsigned i = 0; i < cpus; i++) {
        MpProcessor p = { MP_PROCESSOR, i, LAPIC_VERSION, CPU_ENABLED | (i ? 0 : CPU_BOOT), 0x600,
                          CPU_FEATURES, { 0 } };

        add(table, &p, sizeof(p));
    }
    add(table, &isa, sizeof(isa));
    add(table, &ioapic, sizeof(ioapic));
    add_interrupts(table);

    MpHeader *h = (MpHeader *)table->data;

    h->length = table->len;
    h->checksum = checksum(table->data, table->len);
    return table;
}

bool microvm_mptable(Machine *m, GError **errp)
{
    MpPointer p = { .signature = "_MP_", .table = TABLE_AT, .length = 1, .spec_rev = SPEC_REV };

    if (!m->config->kernel || m->config->bios || m->ram_below_4g <= LOADER_EBDA) {
        return true;
    }
    g_autoptr(GByteArray) table = make_table(m->nr_vcpus);

    p.checksum = checksum(&p, sizeof(p));
    g_byte_array_prepend(table, (const uint8_t *)&p, sizeof(p));

    g_autoptr(GBytes) bytes = g_bytes_new(table->data, table->len);

    return boot_images_add(m, "MP table", LOADER_EBDA, bytes, 0, errp);
}
