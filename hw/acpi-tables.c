/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RSDP, XSDT, FADT and MADT of a microvm, laid out around the DSDT (acpi-dsdt.c) in one piece of
 * guest memory. The board is "hardware-reduced": no PM timer, no SCI; power is switched by the
 * registers of the event device (acpi-ged.c). ACPI specification 6.3, 5.2.5 to 5.2.12.
 *
 * Values that a guest of QEMU's microvm finds are the same here where a moved guest may use them
 * later: registers, lines, APICs. No state; any thread.
 */
#include "acpi-tables.h"

#include <string.h>

#include "acpi-ged.h"
#include "error.h"

#define PAGE 4096U
#define ALIGN 16U
#define HEADER_SIZE 36U
#define LENGTH_AT 4U
#define CHECKSUM_AT 9U
#define LAPIC_BASE 0xfee00000U
#define IOAPIC_BASE 0xfec00000U
#define IOAPIC2_BASE 0xfec10000U
#define IOAPIC_PINS 24U
#define ALL_CPUS 0xff
#define TIMER_IRQ 0 /* of the ISA bus; reaches pin 2 of the I/O APIC */
#define TIMER_PIN 2

enum { REV_RSDP = 2, REV_XSDT = 1, REV_DSDT = 2, REV_MADT = 5, REV_FADT = 6, REV_FADT_MINOR = 3 };
enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_NMI = 4 };
enum { MADT_PCAT_COMPAT = 1, LAPIC_ENABLED = 1, NMI_LINT = 1 };

/* FADT: offsets of the fields that are not zero. */
enum {
    FADT_DSDT = 40, FADT_BOOT_ARCH = 109, FADT_FLAGS = 112, FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128, FADT_MINOR = 131, FADT_X_DSDT = 140, FADT_SLEEP_CONTROL = 244,
    FADT_SLEEP_STATUS = 256, FADT_SIZE = 276,
};
enum { BOOT_NO_VGA = 1 << 2, BOOT_NO_CMOS_RTC = 1 << 5 };
enum {
    FLAG_WBINVD = 1 << 0, FLAG_POWER_BUTTON = 1 << 4, /* as a device, not a fixed feature */
    FLAG_SLEEP_BUTTON = 1 << 5, FLAG_RESET_REG = 1 << 10, FLAG_HW_REDUCED = 1 << 20,
};

/* Where the tables go: offsets in the piece. */
typedef struct Layout {
    uint64_t gpa;
    size_t xsdt, fadt, madt, dsdt, size;
} Layout;

static void put_le(uint8_t *at, uint64_t value, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        at[i] = value >> (8 * i);
    }
}

/* What makes the sum of all bytes zero. */
static uint8_t checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += p[i];
    }
    return -sum;
}

/* Length and checksum follow when the table is complete. */
static GByteArray *table_new(const char *signature, uint8_t revision)
{
    GByteArray *t = g_byte_array_new();
    uint8_t head[HEADER_SIZE] = { 0 };

    memcpy(head, signature, 4);
    head[8] = revision;
    memcpy(head + 10, "GODWIT", 6);
    memcpy(head + 16, "MICROVM ", 8);
    put_le(head + 24, 1, 4);
    memcpy(head + 28, "GDWT", 4);
    put_le(head + 32, 1, 4);
    g_byte_array_append(t, head, sizeof(head));
    return t;
}

static void table_close(GByteArray *t)
{
    put_le(t->data + LENGTH_AT, t->len, 4);
    t->data[CHECKSUM_AT] = 0;
    t->data[CHECKSUM_AT] = checksum(t->data, t->len);
}

/* ---- processors and interrupts ---- */

static void add_lapics(GByteArray *t, unsigned cpus)
{
    for (unsigned i = 0; i < cpus; i++) {
        const uint8_t e[8] = { MADT_LAPIC, 8, i, i, LAPIC_ENABLED };

        g_byte_array_append(t, e, sizeof(e));
    }
}

static void add_ioapic(GByteArray *t, uint8_t id, uint32_t gpa, uint32_t first_gsi)
{
    uint8_t e[12] = { MADT_IOAPIC, 12, id };

    put_le(e + 4, gpa, 4);
    put_le(e + 8, first_gsi, 4);
    g_byte_array_append(t, e, sizeof(e));
}

static GByteArray *make_madt(const AcpiBoard *b)
{
    const uint8_t timer[10] = { MADT_OVERRIDE, 10, 0, TIMER_IRQ, TIMER_PIN };
    const uint8_t nmi[6] = { MADT_NMI, 6, ALL_CPUS, 0, 0, NMI_LINT };
    GByteArray *t = table_new("APIC", REV_MADT);
    uint8_t head[8];

    put_le(head, LAPIC_BASE, 4);
    put_le(head + 4, b->pic ? MADT_PCAT_COMPAT : 0, 4);
    g_byte_array_append(t, head, sizeof(head));
    add_lapics(t, b->cpus);
    add_ioapic(t, 0, IOAPIC_BASE, 0);
    if (b->ioapic2) {
        add_ioapic(t, 1, IOAPIC2_BASE, IOAPIC_PINS);
    }
    if (b->pit) {
        g_byte_array_append(t, timer, sizeof(timer));
    }
    g_byte_array_append(t, nmi, sizeof(nmi));
    table_close(t);
    return t;
}

/* ---- fixed features ---- */

/* A byte in memory. */
static void put_register(uint8_t *at, uint64_t gpa)
{
    at[0] = 0; /* memory */
    at[1] = 8; /* bits */
    at[3] = 1; /* accessed as bytes */
    put_le(at + 4, gpa, 8);
}

static GByteArray *make_fadt(const AcpiBoard *b, uint64_t dsdt)
{
    GByteArray *t = table_new("FACP", REV_FADT);
    uint8_t *p;

    g_byte_array_set_size(t, FADT_SIZE);
    p = t->data;
    memset(p + HEADER_SIZE, 0, FADT_SIZE - HEADER_SIZE);
    put_le(p + FADT_DSDT, dsdt, 4);
    put_le(p + FADT_BOOT_ARCH, BOOT_NO_VGA | (b->rtc ? 0 : BOOT_NO_CMOS_RTC), 2);
    put_le(p + FADT_FLAGS, FLAG_WBINVD | FLAG_POWER_BUTTON | FLAG_SLEEP_BUTTON | FLAG_RESET_REG |
                           FLAG_HW_REDUCED, 4);
    put_register(p + FADT_RESET_REG, ACPI_GED_REGS + ACPI_GED_RESET);
    p[FADT_RESET_VALUE] = ACPI_GED_RESET_VALUE;
    p[FADT_MINOR] = REV_FADT_MINOR;
    put_le(p + FADT_X_DSDT, dsdt, 8);
    put_register(p + FADT_SLEEP_CONTROL, ACPI_GED_REGS + ACPI_GED_SLEEP_CONTROL);
    put_register(p + FADT_SLEEP_STATUS, ACPI_GED_REGS + ACPI_GED_SLEEP_STATUS);
    table_close(t);
    return t;
}

/* ---- the roots ---- */

static GByteArray *make_xsdt(const Layout *l)
{
    GByteArray *t = table_new("XSDT", REV_XSDT);
    uint8_t entries[16];

    put_le(entries, l->gpa + l->fadt, 8);
    put_le(entries + 8, l->gpa + l->madt, 8);
    g_byte_array_append(t, entries, sizeof(entries));
    table_close(t);
    return t;
}

static void put_rsdp(uint8_t *p, const Layout *l)
{
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "GODWIT", 6);
    p[15] = REV_RSDP;
    put_le(p + 20, ACPI_RSDP_SIZE, 4);
    put_le(p + 24, l->gpa + l->xsdt, 8);
    p[8] = checksum(p, 20); /* of what version 1 has */
    p[32] = checksum(p, ACPI_RSDP_SIZE);
}

static size_t align(size_t size)
{
    return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static Layout make_layout(size_t madt_len, size_t dsdt_len, uint64_t end)
{
    Layout l = { .xsdt = align(ACPI_RSDP_SIZE) };

    l.fadt = align(l.xsdt + HEADER_SIZE + 2 * 8);
    l.madt = align(l.fadt + FADT_SIZE);
    l.dsdt = align(l.madt + madt_len);
    l.size = l.dsdt + dsdt_len;
    l.gpa = l.size <= end ? (end - l.size) & ~(uint64_t)(PAGE - 1) : 0;
    return l;
}

GBytes *acpi_tables_build(const AcpiBoard *b, uint64_t end, uint64_t *gpa, GError **errp)
{
    g_autoptr(GBytes) code = acpi_dsdt_build(b, errp);
    g_autoptr(GByteArray) dsdt = table_new("DSDT", REV_DSDT), madt = make_madt(b);
    gsize len;

    if (!code) {
        return NULL;
    }
    const uint8_t *aml = g_bytes_get_data(code, &len);

    g_byte_array_append(dsdt, aml, len);
    table_close(dsdt);

    Layout l = make_layout(madt->len, dsdt->len, end);
    g_autoptr(GByteArray) fadt = make_fadt(b, l.gpa + l.dsdt), xsdt = make_xsdt(&l);

    if (l.gpa == 0 || l.gpa + ACPI_TABLES_MAX < end) {
        gw_fail(errp, GW_ERROR_GENERIC, "ACPI: %zu bytes of tables are more than the %u there is "
                "room for", l.size, ACPI_TABLES_MAX);
        return NULL;
    }
    uint8_t *all = g_malloc0(l.size);

    put_rsdp(all, &l);
    memcpy(all + l.xsdt, xsdt->data, xsdt->len);
    memcpy(all + l.fadt, fadt->data, fadt->len);
    memcpy(all + l.madt, madt->data, madt->len);
    memcpy(all + l.dsdt, dsdt->data, dsdt->len);
    *gpa = l.gpa;
    return g_bytes_new_take(all, l.size);
}
