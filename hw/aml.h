/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small encoder of AML, the byte code of ACPI's definition blocks: just what the board describes
 * itself with. ACPI specification 6.3, chapter 20 (AML) and 6.4 (resource descriptors).
 *
 * Objects nest between begin and end. What can't be encoded (a name that is none, an end too many)
 * is remembered and told by aml_finish(), so that callers need not check each step. No state but
 * the encoder's own; any thread, one at a time.
 */
#ifndef HW_AML_H
#define HW_AML_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Aml Aml;

Aml *aml_new(void);
void aml_free(Aml *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Aml, aml_free)
/* All that was encoded, at most `max` bytes; NULL with *errp: what could not be. */
GBytes *aml_finish(Aml *a, size_t max, GError **errp);

/* Names have 1 to 4 characters of A-Z, 0-9 and _. `at_root`: below the root of the namespace. */
void aml_begin_scope(Aml *a, const char *name, bool at_root);
void aml_begin_device(Aml *a, const char *name);
void aml_begin_method(Aml *a, const char *name, unsigned args);
/* Local0 & mask, inside a method. */
void aml_begin_if_local0(Aml *a, uint32_t mask);
void aml_end(Aml *a);

void aml_name_int(Aml *a, const char *name, uint64_t value);
void aml_name_string(Aml *a, const char *name, const char *value);
/* An identifier such as PNP0501: three letters and four hex digits. */
void aml_name_eisaid(Aml *a, const char *name, const char *id);
void aml_name_package(Aml *a, const char *name, const uint8_t *values, uint8_t n);
/* Registers in memory, and one field of 32 bits at its start: read by whole words. */
void aml_memory_field32(Aml *a, const char *region, uint64_t gpa, const char *field);
/* Inside a method. */
void aml_store_local0(Aml *a, const char *from);
void aml_notify(Aml *a, const char *device, uint8_t value);

/* The object _CRS, resources between it and aml_end(). */
void aml_begin_resources(Aml *a);
void aml_io(Aml *a, uint16_t port, uint8_t size);
/* A line of the ISA bus: 0 to 15, edge triggered. */
void aml_isa_irq(Aml *a, unsigned irq);
void aml_memory32(Aml *a, uint32_t gpa, uint32_t size);
typedef struct AmlInterrupt {
    uint32_t gsi;
    bool edge, shared; /* active high */
} AmlInterrupt;
void aml_interrupt(Aml *a, AmlInterrupt irq);

#endif
