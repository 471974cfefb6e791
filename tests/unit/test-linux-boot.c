/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Direct boot of a Linux bzImage: what a kernel is handed over, where it is put, every field of its
 * header out of bounds, ten thousand mutated images, and the MP table of the microvm. */
#include <asm/bootparam.h>
#include <glib.h>

#include "boards.h"
#include "machine-fixture.h"

#define SETUP_SIZE 1024
#define KERNEL_SIZE 4096
#define PREF 0x200000
#define INIT_SIZE 0x20000

static char *dir;

/* As a file: the setup part, then the kernel. */
typedef struct File {
    uint8_t bytes[SETUP_SIZE + KERNEL_SIZE];
} File;

static struct setup_header good_header(void)
{
    return (struct setup_header){
        .setup_sects = 1, .syssize = KERNEL_SIZE / 16, .boot_flag = 0xaa55, .jump = 0x6aeb,
        .header = 0x53726448, .version = 0x20f, .loadflags = LOADED_HIGH,
        .initrd_addr_max = 0x7fffffff, .kernel_alignment = 0x100000, .relocatable_kernel = 1,
        .xloadflags = XLF_KERNEL_64, .cmdline_size = 255, .setup_data = 0x1234,
        .pref_address = PREF, .init_size = INIT_SIZE,
    };
}

static File make_file(const struct setup_header *h)
{
    File f;

    memset(f.bytes, 0xff, SETUP_SIZE);
    memcpy(f.bytes + 0x1f1, h, sizeof(*h));
    for (size_t i = 0; i < KERNEL_SIZE; i++) {
        f.bytes[SETUP_SIZE + i] = i >> 4;
    }
    return f;
}

static char *put_file(const char *name, const void *data, size_t len)
{
    char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
    return path;
}

static MachineConfig *config_of(const struct setup_header *h, const char *append)
{
    MachineConfig *c = fixture_config(1);
    File f = make_file(h);

    c->kernel = put_file("bzImage", &f, sizeof(f));
    c->append = g_strdup(append);
    return c;
}

static uint64_t entry_of_table(Machine *m, uint64_t table, unsigned index)
{
    uint64_t v;

    g_assert_true(memory_read(m->memory, table + index * 8, &v, 8, false));
    return v;
}

/* The address that the page tables of the entry state give. */
static uint64_t translate(Machine *m, uint64_t cr3, uint64_t va)
{
    uint64_t mask = ~UINT64_C(0xfff);
    uint64_t l4 = entry_of_table(m, cr3, va >> 39 & 511);
    uint64_t l3 = entry_of_table(m, l4 & mask, va >> 30 & 511);
    uint64_t l2 = entry_of_table(m, l3 & mask, va >> 21 & 511);

    g_assert_cmphex(l4 & 3, ==, 3);
    g_assert_cmphex(l3 & 0x83, ==, 3);
    g_assert_cmphex(l2 & 0x83, ==, 0x83);
    return (l2 & mask & ~UINT64_C(0x1fffff)) | (va & 0x1fffff);
}

static struct boot_params zero_page(Machine *m)
{
    struct boot_params p;

    g_assert_true(memory_read(m->memory, fake_cpu(m, 0)->linux_entry.boot_params, &p, sizeof(p),
                              false));
    return p;
}

static void check_entry(Machine *m)
{
    const X86LinuxEntry *e = &fake_cpu(m, 0)->linux_entry;
    uint64_t gdt[4] = { 0 };

    g_assert_cmphex(e->rip, ==, PREF + 0x200);
    g_assert_cmphex(e->boot_params & 4095, ==, 0);
    g_assert_cmphex(translate(m, e->page_table, 0), ==, 0);
    g_assert_cmphex(translate(m, e->page_table, PREF + 0x234), ==, PREF + 0x234);
    g_assert_cmphex(translate(m, e->page_table, 0xfee00123), ==, 0xfee00123);
    g_assert_cmpuint(e->gdt_limit, ==, sizeof(gdt) - 1);
    g_assert_true(memory_read(m->memory, e->gdt, gdt, sizeof(gdt), false));
    g_assert_cmphex(gdt[X86_LINUX_CS / 8] >> 53 & 1, ==, 1); /* 64 bits */
    g_assert_cmphex(gdt[X86_LINUX_DS / 8] >> 41 & 1, ==, 1); /* writable */
}

static void test_handover(void)
{
    struct setup_header h = good_header();
    g_autoptr(MachineConfig) c = config_of(&h, "console=ttyS0");
    char text[16] = "";

    c->initrd = put_file("initrd", "ramdisk!", 8);

    Machine *m = fixture_machine(c);
    struct boot_params p = zero_page(m);

    check_entry(m);
    g_assert_cmphex(p.hdr.header, ==, 0x53726448);
    g_assert_cmphex(p.hdr.type_of_loader, ==, 0xff);
    g_assert_cmphex(p.hdr.setup_data, ==, 0);
    g_assert_cmphex(p.sentinel, ==, 0);
    g_assert_cmphex(p.hdr.cmd_line_ptr, <, 0xa0000);
    memory_read(m->memory, p.hdr.cmd_line_ptr, text, 14, false);
    g_assert_cmpstr(text, ==, "console=ttyS0");
    g_assert_cmpuint(p.hdr.ramdisk_size, ==, 8);
    g_assert_cmphex(p.hdr.ramdisk_image, >=, PREF + INIT_SIZE);
    memory_read(m->memory, p.hdr.ramdisk_image, text, 8, false);
    g_assert_cmpmem(text, 8, "ramdisk!", 8);
    g_assert_cmpuint(p.e820_entries, ==, 4);
    g_assert_cmphex(p.e820_table[0].size, ==, 0x9fc00);
    g_assert_cmphex(p.e820_table[3].addr, ==, 0x100000);
    g_assert_cmphex(p.e820_table[3].addr + p.e820_table[3].size, ==, TEST_RAM_SIZE);

    /* A reset puts everything back. */
    memory_write(m->memory, PREF, "\xcc", 1, false);
    machine_lock(m);
    machine_reset(m);
    machine_unlock(m);
    g_assert_cmphex(*memory_host_ptr(m->memory, PREF, 1), ==, 0);
    g_assert_cmphex(*memory_host_ptr(m->memory, PREF + KERNEL_SIZE - 1, 1), ==, 0xff);
    check_entry(m);
    machine_free(m);
}

/* A kernel whose favourite place is beyond memory goes to the lowest one. */
static void test_relocated(void)
{
    struct setup_header h = good_header();

    h.pref_address = 0x1000000;

    g_autoptr(MachineConfig) c = config_of(&h, NULL);
    Machine *m = fixture_machine(c);

    g_assert_cmphex(fake_cpu(m, 0)->linux_entry.rip, ==, 0x100200);
    machine_free(m);
}

/* The initrd stays below what the kernel can reach. */
static void test_initrd_limit(void)
{
    struct setup_header h = good_header();

    h.initrd_addr_max = 0x2fffff;

    g_autoptr(MachineConfig) c = config_of(&h, NULL);

    c->initrd = put_file("initrd", "ramdisk!", 8);

    Machine *m = fixture_machine(c);
    struct boot_params p = zero_page(m);

    g_assert_cmphex(p.hdr.ramdisk_image + 8, <=, 0x300000);
    machine_free(m);
}

/* ---- what is refused ---- */

typedef struct BadField {
    const char *error;
    size_t at, size;
    uint64_t value;
} BadField;

#define FIELD(name) offsetof(struct setup_header, name), \
    sizeof(((struct setup_header *)NULL)->name)

static const BadField bad_fields[] = {
    { "neither an ELF file", FIELD(boot_flag), 0 },
    { "neither an ELF file", FIELD(header), 0x12345678 },
    { "boot protocol 2.11", FIELD(version), 0x20b },
    { "boot protocol 0.00", FIELD(version), 0 },
    { "loadflags", FIELD(loadflags), 0 },
    { "xloadflags", FIELD(xloadflags), 0xfffe },
    { "setup_sects 255", FIELD(setup_sects), 255 },
    { "setup header ends", FIELD(jump), 0x00eb },
    { "setup header ends", FIELD(jump), 0x30eb },
    { "syssize", FIELD(syssize), 0 },
    { "syssize", FIELD(syssize), 0x200 / 16 },
    { "syssize", FIELD(syssize), KERNEL_SIZE / 16 + 1 },
    { "syssize", FIELD(syssize), UINT32_MAX },
    { "kernel_alignment", FIELD(kernel_alignment), 0 },
    { "kernel_alignment", FIELD(kernel_alignment), 0x300000 },
    { "kernel_alignment", FIELD(kernel_alignment), 2048 },
    { "init_size, relocatable", FIELD(kernel_alignment), 0x80000000 },
    { "pref_address", FIELD(pref_address), 0x1000 },
    { "pref_address", FIELD(pref_address), UINT64_C(1) << 32 },
    { "pref_address", FIELD(pref_address), UINT64_MAX },
    { "init_size, relocatable", FIELD(init_size), 0x400000 },
    { "init_size, relocatable", FIELD(init_size), UINT32_MAX },
    { "more than the 3", FIELD(cmdline_size), 3 },
    { "no room", FIELD(initrd_addr_max), 0 },
    { "no room", FIELD(initrd_addr_max), PREF + INIT_SIZE + 2 },
};

static void check_refused(const MachineConfig *c, const char *error)
{
    g_autoptr(GError) err = NULL;

    g_assert_null(machine_new(c, &err));
    g_assert_nonnull(err);
    if (!strstr(err->message, error)) {
        g_error("'%s' does not say '%s'", err->message, error);
    }
}

static void test_bad_fields(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_fields); i++) {
        const BadField *b = &bad_fields[i];
        struct setup_header h = good_header();

        memcpy((uint8_t *)&h + b->at, &b->value, b->size);
        /* Its favourite place is out of reach, so that the rest of the placing is tried. */
        if (b->at == offsetof(struct setup_header, kernel_alignment)) {
            h.pref_address = 0x1000000;
        }

        g_autoptr(MachineConfig) c = config_of(&h, "quiet");

        c->initrd = put_file("initrd", "ramdisk!", 8);
        check_refused(c, b->error);
    }
}

static void test_not_relocatable(void)
{
    struct setup_header h = good_header();

    h.relocatable_kernel = 0;
    h.pref_address = 0x1000000;

    g_autoptr(MachineConfig) c = config_of(&h, NULL);

    check_refused(c, "not relocatable");
}

/* Whatever the bytes are: an error that names the file, or parts that lie within it. */
static void mutate(const File *good)
{
    size_t len = g_test_rand_bit() ? sizeof(*good) : g_test_rand_int_range(0, sizeof(*good) + 1);
    g_autofree uint8_t *file = g_malloc(len ? len : 1);
    g_autoptr(GError) err = NULL;
    LinuxImage img;

    memcpy(file, good, len);
    for (int i = g_test_rand_int_range(1, 5); i > 0 && len > 0x270; i--) {
        file[g_test_rand_int_range(0x1f1, 0x270)] =
            g_test_rand_bit() ? 0xff : g_test_rand_int_range(0, 256);
    }
    if (!linux_parse(&img, file, len, "mutant", &err)) {
        g_assert_nonnull(err);
        g_assert_nonnull(strstr(err->message, "mutant"));
        return;
    }
    g_assert_no_error(err);
    g_assert_cmpuint(img.kernel_offset, <=, len);
    g_assert_cmpuint(img.kernel_size, <=, len - img.kernel_offset);
    g_assert_cmpuint(img.kernel_size, >, 0x200);
    g_assert_cmpuint(img.header_size, <=, sizeof(struct setup_header));
    g_assert_cmpuint(0x1f1 + img.header_size, <=, img.kernel_offset);
    g_assert_cmpuint(img.init_size, >=, img.kernel_size);
}

static void test_mutated(void)
{
    struct setup_header h = good_header();
    File f = make_file(&h);

    for (int i = 0; i < 10000; i++) {
        mutate(&f);
    }
}

/* ---- the board's part ---- */

static uint8_t sum_of(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += p[i];
    }
    return sum;
}

static void test_mptable(void)
{
    struct setup_header h = good_header();
    g_autoptr(MachineConfig) c = config_of(&h, NULL);
    uint8_t area[LOADER_EBDA_SIZE], *table = area + 16;
    unsigned kinds[5] = { 0 }, len;

    machine_set_boards(hw_boards);
    g_free(c->machine_type);
    c->machine_type = g_strdup("microvm");
    c->smp = 3;
    c->ram_size = TEST_RAM_SIZE;

    Machine *m = fixture_machine(c);

    g_assert_true(memory_read(m->memory, LOADER_EBDA, area, sizeof(area), false));
    g_assert_cmpmem(area, 4, "_MP_", 4);
    g_assert_cmpuint(sum_of(area, 16), ==, 0);
    g_assert_cmphex(area[4] | area[5] << 8 | area[6] << 16, ==, LOADER_EBDA + 16);
    g_assert_cmpmem(table, 4, "PCMP", 4);
    len = table[4] | table[5] << 8;
    g_assert_cmpuint(len, <=, sizeof(area) - 16);
    g_assert_cmpuint(sum_of(table, len), ==, 0);
    for (const uint8_t *p = table + 44; p < table + len; p += *p == 0 ? 20 : 8) {
        g_assert_cmpuint(*p, <, G_N_ELEMENTS(kinds));
        kinds[*p]++;
    }
    g_assert_cmpuint(kinds[0], ==, 3);
    g_assert_cmpuint(kinds[1], ==, 1);
    g_assert_cmpuint(kinds[2], ==, 1);
    g_assert_cmpuint(kinds[3], ==, 15);
    g_assert_cmpuint(kinds[4], ==, 2);
    machine_free(m);
}

static void test_words(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    struct setup_header h = good_header();
    File f = make_file(&h);
    char text[32] = "";

    c->kernel = put_file("bzImage", &f, sizeof(f));

    Machine *m = fixture_machine(c);
    g_autoptr(GError) err = NULL;

    /* As a board does it before it calls the loader. */
    g_ptr_array_set_size(m->boot_images->images, 0);
    boot_images_add_word(m, "a=1");
    boot_images_add_word(m, "b=2");
    g_assert_true(loader_init(m, &err));
    g_assert_true(boot_images_apply(m, &err));
    g_assert_no_error(err);

    struct boot_params p = zero_page(m);

    memory_read(m->memory, p.hdr.cmd_line_ptr, text, 8, false);
    g_assert_cmpstr(text, ==, "a=1 b=2");
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-linux-boot-XXXXXX", NULL);
    g_assert_nonnull(dir);
    g_test_add_func("/linux-boot/handover", test_handover);
    g_test_add_func("/linux-boot/relocated", test_relocated);
    g_test_add_func("/linux-boot/initrd-limit", test_initrd_limit);
    g_test_add_func("/linux-boot/bad-fields", test_bad_fields);
    g_test_add_func("/linux-boot/not-relocatable", test_not_relocatable);
    g_test_add_func("/linux-boot/mutated", test_mutated);
    g_test_add_func("/linux-boot/mptable", test_mptable);
    g_test_add_func("/linux-boot/words", test_words);

    int rc = g_test_run();

    fixture_remove_dir(dir);
    return rc;
}
