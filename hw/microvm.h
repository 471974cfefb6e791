/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the microvm board share. Machine lock held for all of it. */
#ifndef HW_MICROVM_H
#define HW_MICROVM_H

#include "machine.h"

#define MICROVM_PCI_HOLE UINT64_C(0xc0000000) /* RAM from 3 GiB on goes to 4 GiB and up */
#define MICROVM_SERIAL_PORT 0x3f8
#define MICROVM_SERIAL_IRQ 4

typedef struct MicrovmState {
    Machine *machine;
    bool acpi;
    bool serial;             /* the port is there */
    GArray *places;          /* of VirtIOPlace: where the virtio devices are */
    RAMBlock *bios;          /* "pc.bios"; absent from the stream while its length is 0 */
    uint64_t bios_mapped;    /* the length that the memory map holds */
    GPtrArray *mappings;     /* host memory of the blocks made here */
} MicrovmState;

/* microvm-memory.c: RAM, firmware and the blocks that ACPI machines list. */
bool microvm_memory_init(MicrovmState *s, GError **errp);
/* Maps RAM and firmware anew if a stream gave the firmware another size. */
bool microvm_memory_fit(MicrovmState *s, GError **errp);
void microvm_memory_free(MicrovmState *s);

/* microvm-describe.c: tells a directly booted kernel where what is, by ACPI tables, or without ACPI
 * by words on its command line. */
bool microvm_describe(MicrovmState *s, GError **errp);

/* microvm-mptable.c: the table that tells a directly booted kernel of processors and lines. */
bool microvm_mptable(Machine *m, GError **errp);

#endif
