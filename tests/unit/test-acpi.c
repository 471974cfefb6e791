/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI tables of microvms with 0 to 128 transports and 1 to 16 processors, read back from guest
 * memory by a reader of the test's own: every checksum, length, device and resource; and what the
 * event device does with its power button. */
#include <elf.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "acpi-tables.h"
#include "boards.h"
#include "machine-fixture.h"

#define PVH_ENTRY 0x100000U
#define MAX_DEVICES 160

static char *kernel; /* an ELF file with a PVH entry */

/* ---- a reader of tables ---- */

typedef struct Device {
    char name[5], hid[16];
    uint32_t uid, memory, memory_size, gsi, irq_flags, port, ports, irq_mask;
} Device;

typedef struct Reader {
    Machine *m;
    Device devices[MAX_DEVICES];
    unsigned nr;
    uint32_t s5;
} Reader;

static uint64_t le(const uint8_t *p, unsigned len)
{
    uint64_t v = 0;

    while (len--) {
        v = v << 8 | p[len];
    }
    return v;
}

static uint8_t sum_of(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--) {
        sum += *p++;
    }
    return sum;
}

/* A copy of the table at `gpa`, its checksum checked. */
static uint8_t *read_table(Machine *m, uint64_t gpa, const char *signature, size_t *len)
{
    uint8_t head[36];

    g_assert_true(memory_read(m->memory, gpa, head, sizeof(head), false));
    g_assert_cmpmem(head, 4, signature, 4);
    *len = le(head + 4, 4);
    g_assert_cmpuint(*len, >=, sizeof(head));
    g_assert_cmpuint(*len, <=, ACPI_TABLES_MAX);
    g_assert_cmpuint(gpa + *len, <=, LOADER_EBDA);

    uint8_t *t = g_malloc(*len);

    g_assert_true(memory_read(m->memory, gpa, t, *len, false));
    g_assert_cmpuint(sum_of(t, *len), ==, 0);
    return t;
}

/* Reads a package length; returns where the object ends. */
static const uint8_t *pkg_end(const uint8_t **p, const uint8_t *limit)
{
    const uint8_t *start = *p;
    unsigned more = **p >> 6;
    size_t len = more ? (**p & 15) | le(*p + 1, more) << 4 : (size_t)(**p & 63);

    *p += 1 + more;
    g_assert_true(start + len <= limit);
    return start + len;
}

static uint64_t read_int(const uint8_t **p)
{
    unsigned len = 0;
    uint8_t op = *(*p)++;

    if (op <= 1) {
        return op;
    }
    len = op == 0x0a ? 1 : op == 0x0b ? 2 : op == 0x0c ? 4 : op == 0x0e ? 8 : 0;
    g_assert_cmpuint(len, !=, 0);
    *p += len;
    return le(*p - len, len);
}

static void read_resources(Device *d, const uint8_t *p, const uint8_t *end)
{
    while (*p != 0x79) {
        g_assert_true(p < end);
        if (*p == 0x86) {
            g_assert_cmpuint(le(p + 1, 2), ==, 9);
            d->memory = le(p + 4, 4);
            d->memory_size = le(p + 8, 4);
        } else if (*p == 0x89) {
            g_assert_cmpuint(le(p + 1, 2), ==, 6);
            g_assert_cmpuint(p[4], ==, 1);
            d->irq_flags = p[3];
            d->gsi = le(p + 5, 4);
        } else if (*p == 0x47) {
            g_assert_cmpuint(le(p + 2, 2), ==, le(p + 4, 2));
            d->port = le(p + 2, 2);
            d->ports = p[7];
        } else {
            g_assert_cmphex(*p, ==, 0x22);
            d->irq_mask = le(p + 1, 2);
        }
        p += *p & 0x80 ? 3 + le(p + 1, 2) : 1 + (*p & 7);
    }
    g_assert_true(p + 2 == end);
}

static void read_name(Reader *r, Device *d, const uint8_t **p, const uint8_t *limit)
{
    const char *name = (const char *)*p;
    bool is_hid = !memcmp(name, "_HID", 4);

    *p += 4;
    if (**p == 0x0d) {
        g_strlcpy(is_hid ? d->hid : (char[16]){ 0 }, (const char *)*p + 1, 16);
        *p += strlen((const char *)*p) + 1;
    } else if (**p == 0x11) {
        ++*p;

        const uint8_t *end = pkg_end(p, limit);
        uint64_t size = read_int(p);

        g_assert_true(*p + size == end);
        g_assert_cmpmem(name, 4, "_CRS", 4);
        read_resources(d, *p, end);
        *p = end;
    } else if (**p == 0x12) {
        ++*p;

        const uint8_t *end = pkg_end(p, limit);

        g_assert_cmpmem(name, 4, "_S5_", 4);
        g_assert_cmpuint(*(*p)++, ==, 4);
        r->s5 = read_int(p);
        *p = end;
    } else {
        uint64_t v = read_int(p);

        if (is_hid) {
            g_snprintf(d->hid, sizeof(d->hid), "%08x", GUINT32_SWAP_LE_BE((uint32_t)v));
        } else if (!memcmp(name, "_UID", 4)) {
            d->uid = v;
        }
    }
}

/* Terms of a scope or device; methods and fields are passed over. */
static void read_terms(Reader *r, Device *d, const uint8_t *p, const uint8_t *limit)
{
    while (p < limit) {
        uint8_t op = *p++;

        if (op == 0x08) {
            read_name(r, d, &p, limit);
        } else if (op == 0x10) {
            const uint8_t *end = pkg_end(&p, limit);

            g_assert_cmpmem(p, 5, "\\_SB_", 5);
            read_terms(r, d, p + 5, end);
            p = end;
        } else if (op == 0x14) {
            p = pkg_end(&p, limit);
        } else if (*p == 0x80) {
            p += 1 + 4 + 1;
            g_assert_cmphex(read_int(&p), ==, 0xfea00000);
            g_assert_cmpuint(read_int(&p), ==, 4);
        } else {
            uint8_t ext = *p++;
            const uint8_t *end = pkg_end(&p, limit);

            g_assert_cmphex(op, ==, 0x5b);
            if (ext == 0x82) {
                g_assert_cmpuint(r->nr, <, MAX_DEVICES);
                d = &r->devices[r->nr++];
                memcpy(d->name, p, 4);
                read_terms(r, d, p + 4, end);
            }
            p = end;
        }
    }
    g_assert_true(p == limit);
}

static const Device *find(const Reader *r, const char *hid)
{
    for (unsigned i = 0; i < r->nr; i++) {
        if (!strcmp(r->devices[i].hid, hid)) {
            return &r->devices[i];
        }
    }
    return NULL;
}

/* The addresses in the XSDT. */
static void read_roots(Machine *m, uint64_t rsdp, uint64_t *fadt, uint64_t *madt)
{
    uint8_t p[ACPI_RSDP_SIZE];
    size_t len;

    g_assert_true(memory_read(m->memory, rsdp, p, sizeof(p), false));
    g_assert_cmpmem(p, 8, "RSD PTR ", 8);
    g_assert_cmpuint(p[15], ==, 2);
    g_assert_cmpuint(sum_of(p, 20), ==, 0);
    g_assert_cmpuint(sum_of(p, sizeof(p)), ==, 0);
    g_assert_cmpuint(le(p + 20, 4), ==, sizeof(p));

    g_autofree uint8_t *xsdt = read_table(m, le(p + 24, 8), "XSDT", &len);

    g_assert_cmpuint(len, ==, 36 + 2 * 8);
    *fadt = le(xsdt + 36, 8);
    *madt = le(xsdt + 44, 8);
}

static void check_fadt(Machine *m, Reader *r, uint64_t gpa)
{
    size_t len;
    g_autofree uint8_t *t = read_table(m, gpa, "FACP", &len);

    g_assert_cmpuint(len, ==, 276);
    g_assert_cmpuint(le(t + 112, 4) & (1 << 20 | 1 << 10), ==, 1 << 20 | 1 << 10);
    g_assert_cmphex(le(t + 120, 8), ==, 0xfea00202);
    g_assert_cmphex(t[128], ==, 0x42);
    g_assert_cmphex(le(t + 248, 8), ==, 0xfea00200);
    g_assert_cmphex(le(t + 260, 8), ==, 0xfea00201);
    g_assert_cmphex(le(t + 40, 4), ==, le(t + 140, 8));

    g_autofree uint8_t *dsdt = read_table(m, le(t + 140, 8), "DSDT", &len);
    Device none = { 0 };

    read_terms(r, &none, dsdt + 36, dsdt + len);
    g_assert_cmpuint(r->s5, ==, 5);
}

static void check_madt(Machine *m, uint64_t gpa, unsigned cpus, bool ioapic2)
{
    unsigned kinds[5] = { 0 };
    size_t len;
    g_autofree uint8_t *t = read_table(m, gpa, "APIC", &len);

    g_assert_cmphex(le(t + 36, 4), ==, 0xfee00000);
    for (const uint8_t *p = t + 44; p < t + len; p += p[1]) {
        g_assert_cmpuint(*p, <, G_N_ELEMENTS(kinds));
        g_assert_cmpuint(p[1], >=, 6);
        if (*p == 0) {
            g_assert_cmpuint(p[3], ==, kinds[0]);
            g_assert_cmpuint(le(p + 4, 4), ==, 1);
        } else if (*p == 1) {
            g_assert_cmphex(le(p + 4, 4), ==, 0xfec00000 + 0x10000 * kinds[1]);
            g_assert_cmpuint(le(p + 8, 4), ==, 24 * kinds[1]);
        }
        kinds[*p]++;
    }
    g_assert_cmpuint(kinds[0], ==, cpus);
    g_assert_cmpuint(kinds[1], ==, ioapic2 ? 2 : 1);
    g_assert_cmpuint(kinds[2], ==, 1); /* the timer's pin */
    g_assert_cmpuint(kinds[4], ==, 1);
}

/* ---- machines ---- */

static MachineConfig *microvm_config(const char *props, unsigned cpus, unsigned devices)
{
    MachineConfig *c = fixture_config(cpus);
    g_auto(GStrv) words = g_strsplit(props, ",", -1);

    machine_set_boards(hw_boards);
    g_free(c->machine_type);
    c->machine_type = g_strdup("microvm");
    c->ram_size = TEST_RAM_SIZE;
    c->kernel = g_strdup(kernel);
    for (char **w = words; *w; w++) {
        char *eq = strchr(*w, '=');

        if (eq) {
            g_hash_table_insert(c->machine_props, g_strndup(*w, eq - *w), g_strdup(eq + 1));
        }
    }
    for (unsigned i = 0; i < devices; i++) {
        DeviceConfig *d = g_new0(DeviceConfig, 1);

        d->driver = g_strdup("virtio-rng-device");
        d->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_ptr_array_add(c->devices, d);
    }
    return c;
}

/* What the kernel is handed over: hvm_start_info. */
static uint64_t handed_rsdp(Machine *m, bool *in_acpi_memory)
{
    uint64_t info[7], entry[3];

    g_assert_true(memory_read(m->memory, fake_cpu(m, 0)->ebx, info, sizeof(info), false));
    *in_acpi_memory = false;
    for (unsigned i = 0; i < (uint32_t)info[6]; i++) {
        g_assert_true(memory_read(m->memory, info[5] + i * sizeof(entry), entry, sizeof(entry),
                                  false));
        if ((uint32_t)entry[2] == 3) {
            *in_acpi_memory = info[4] >= entry[0] && entry[0] + entry[1] == LOADER_EBDA;
        }
    }
    return info[4];
}

static Machine *booted(const MachineConfig *c)
{
    g_autoptr(GError) err = NULL;
    Machine *m = fixture_machine(c);

    g_assert_true(boot_images_apply(m, &err));
    g_assert_no_error(err);
    return m;
}

/* First line, lines and transports of a board. */
typedef struct Board {
    const char *props;
    unsigned cpus, devices, transports, first_gsi, lines;
    bool ioapic2;
} Board;

static void check_transports(const Reader *r, const Board *b)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < r->nr; i++) {
        const Device *d = &r->devices[i];

        if (strcmp(d->hid, "LNRO0005")) {
            continue;
        }
        unsigned slot = b->transports - 1 - seen++; /* the first device has the last */
        bool shared = b->transports > b->lines &&
                      (slot >= b->lines || slot + b->lines < b->transports);

        g_assert_cmpuint(d->uid, ==, slot);
        g_assert_cmphex(d->memory, ==, 0xfeb00000 + slot * 0x200);
        g_assert_cmphex(d->memory_size, ==, 0x200);
        g_assert_cmpuint(d->gsi, ==, b->first_gsi + slot % b->lines);
        g_assert_cmphex(d->irq_flags, ==, shared ? 9 : 1);
        for (unsigned j = 0; j < i; j++) {
            g_assert_cmpstr(d->name, !=, r->devices[j].name);
        }
    }
    g_assert_cmpuint(seen, ==, b->devices);
}

static void check_board(const Board *b)
{
    g_autoptr(MachineConfig) c = microvm_config(b->props, b->cpus, b->devices);
    Machine *m = booted(c);
    g_autofree Reader *r = g_new0(Reader, 1);
    uint64_t fadt, madt, fadt2, madt2;
    bool in_acpi_memory;

    read_roots(m, handed_rsdp(m, &in_acpi_memory), &fadt, &madt);
    g_assert_true(in_acpi_memory);
    read_roots(m, 0xf0000, &fadt2, &madt2); /* where a search finds it */
    g_assert_cmphex(fadt, ==, fadt2);
    g_assert_cmphex(madt, ==, madt2);
    check_fadt(m, r, fadt);
    check_madt(m, madt, b->cpus, b->ioapic2);
    check_transports(r, b);

    const Device *ged = find(r, "ACPI0013"), *fw_cfg = find(r, "QEMU0002");

    g_assert_nonnull(find(r, "41d00c0c"));
    g_assert_null(find(r, "41d00501")); /* no -serial, no port */
    g_assert_cmpuint(ged->gsi, ==, 9);
    g_assert_cmphex(ged->irq_flags, ==, 3); /* edge */
    g_assert_cmphex(fw_cfg->port, ==, 0x510);
    g_assert_cmpuint(fw_cfg->ports, ==, 12);
    g_assert_cmpuint(find(r, "41d00b00") != NULL, ==, strstr(b->props, "rtc=on") != NULL);
    machine_free(m);
}

static void test_boards(void)
{
    static const Board boards[] = {
        { "", 1, 0, 24, 24, 24, true },
        { "", 16, 1, 24, 24, 24, true },
        { "rtc=on", 3, 24, 24, 24, 24, true },
        { "acpi=on,ioapic2=off", 2, 8, 8, 16, 8, false },
        { "virtio-mmio-transports=32", 4, 32, 32, 24, 24, true },
        { "virtio-mmio-transports=128", 16, 128, 128, 24, 24, true },
        { "ioapic2=off,virtio-mmio-transports=9", 1, 9, 9, 16, 8, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(boards); i++) {
        check_board(&boards[i]);
    }
}

/* Without ACPI there are words instead, and never both. */
static void test_words(void)
{
    for (int acpi = 0; acpi < 2; acpi++) {
        g_autoptr(MachineConfig) c = microvm_config(acpi ? "acpi=on" : "acpi=off", 1, 2);
        Machine *m = booted(c);
        g_autofree char *cmdline = loader_cmdline(m);
        bool in_acpi_memory;
        uint8_t sig[8];

        g_assert_cmpuint(handed_rsdp(m, &in_acpi_memory) != 0, ==, acpi);
        g_assert_true(memory_read(m->memory, 0xf0000, sig, sizeof(sig), false));
        g_assert_cmpint(memcmp(sig, "RSD PTR ", 8) == 0, ==, acpi);
        g_assert_cmpstr(cmdline, ==, acpi ? "" : "virtio_mmio.device=512@0xfeb00e00:12 "
                                                 "virtio_mmio.device=512@0xfeb00c00:11");
        machine_free(m);
    }
}

/* system_powerdown is an event that the guest reads once. */
static void test_power_button(void)
{
    g_autoptr(MachineConfig) c = microvm_config("", 1, 0);
    Machine *m = booted(c);

    for (int i = 0; i < 2; i++) {
        uint32_t sel[2];

        machine_powerdown(m);
        for (int j = 0; j < 2; j++) {
            g_assert_true(memory_read(m->memory, 0xfea00000, &sel[j], 4, false));
        }
        g_assert_cmpuint(sel[0], ==, 2);
        g_assert_cmpuint(sel[1], ==, 0);
    }
    machine_free(m);
}

/* The smallest ELF file that a PVH loader takes: a note and one byte of code. */
static void make_kernel(void)
{
    struct {
        Elf64_Ehdr h;
        Elf64_Phdr load, note;
        Elf64_Nhdr n;
        char owner[4];
        uint32_t entry;
    } f = {
        .h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
               .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
               .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
        .n = { 4, 4, 18 }, .owner = "Xen", .entry = PVH_ENTRY,
    };
    int fd = g_file_open_tmp("godwit-acpi-XXXXXX", &kernel, NULL);

    f.load = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = PVH_ENTRY, .p_filesz = 1, .p_memsz = 1 };
    f.note = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = offsetof(typeof(f), n),
                           .p_filesz = sizeof(f) - offsetof(typeof(f), n) };
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, &f, sizeof(f)), ==, sizeof(f));
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_kernel();
    g_test_add_func("/acpi/boards", test_boards);
    g_test_add_func("/acpi/words", test_words);
    g_test_add_func("/acpi/power-button", test_power_button);

    int rc = g_test_run();

    g_unlink(kernel);
    g_free(kernel);
    return rc;
}
