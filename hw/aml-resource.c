/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resource descriptors of an ACPI device's _CRS object: ports, memory, interrupts. Layouts are ACPI
 * specification 6.3's, 6.4.2 (small) and 6.4.3 (large items). No state; any thread.
 */
#include "aml-internal.h"

enum {
    SMALL_IRQ = 0x22,  /* 2 bytes follow: no flags, hence edge and active high */
    SMALL_IO = 0x47,   /* 7 bytes follow */
    SMALL_END = 0x79,  /* 1 byte follows: a checksum, 0 for none */
    LARGE_MEMORY32 = 0x86,
    LARGE_INTERRUPT = 0x89,
};
enum { IO_DECODE16 = 1, MEMORY_WRITABLE = 1 };
enum { INT_CONSUMER = 1, INT_EDGE = 2, INT_SHARED = 8 };
#define ISA_IRQS 16

void aml_begin_resources(Aml *a)
{
    aml_name(a, "_CRS");
    aml_begin_buffer(a);
}

void aml_resources_end(GByteArray *descriptors)
{
    const uint8_t end[] = { SMALL_END, 0 };

    g_byte_array_append(descriptors, end, sizeof(end));
}

void aml_io(Aml *a, uint16_t port, uint8_t size)
{
    aml_le(a, SMALL_IO, 1);
    aml_le(a, IO_DECODE16, 1);
    aml_le(a, port, 2); /* from here */
    aml_le(a, port, 2); /* to here: it can't be elsewhere */
    aml_le(a, 1, 1);    /* alignment */
    aml_le(a, size, 1);
}

void aml_isa_irq(Aml *a, unsigned irq)
{
    if (irq >= ISA_IRQS) {
        aml_fail(a, "not a line of the ISA bus:", "interrupt");
        return;
    }
    aml_le(a, SMALL_IRQ, 1);
    aml_le(a, 1U << irq, 2);
}

void aml_memory32(Aml *a, uint32_t gpa, uint32_t size)
{
    aml_le(a, LARGE_MEMORY32, 1);
    aml_le(a, 1 + 4 + 4, 2);
    aml_le(a, MEMORY_WRITABLE, 1);
    aml_le(a, gpa, 4);
    aml_le(a, size, 4);
}

void aml_interrupt(Aml *a, AmlInterrupt irq)
{
    aml_le(a, LARGE_INTERRUPT, 1);
    aml_le(a, 1 + 1 + 4, 2);
    aml_le(a, INT_CONSUMER | (irq.edge ? INT_EDGE : 0) | (irq.shared ? INT_SHARED : 0), 1);
    aml_le(a, 1, 1); /* one line */
    aml_le(a, irq.gsi, 4);
}
