/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot images: a good ELF of either class, ten thousand mutated ones, PVH start_info, boot sectors,
 * -device loader, and what the messages say when a file is missing or wrong. */
#include <elf.h>
#include <glib.h>

#include "machine-fixture.h"

#define LOAD_ADDR 0x100000
#define ENTRY 0x100020

static char *dir;

static char *put_file(const char *name, const void *data, size_t len)
{
    char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
    return path;
}

/* A 64-bit ELF with one segment of 64 bytes (and 32 of bss) and a PVH note. */
typedef struct Elf64Image {
    Elf64_Ehdr eh;
    Elf64_Phdr load, note;
    struct {
        Elf64_Nhdr h;
        char name[4];
        uint64_t entry;
    } pvh;
    uint8_t text[64];
} Elf64Image;

static Elf64Image elf64(void)
{
    Elf64Image e = {
        .eh = { .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1, .e_entry = LOAD_ADDR,
                .e_phoff = offsetof(Elf64Image, load), .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
        .load = { .p_type = PT_LOAD, .p_offset = offsetof(Elf64Image, text),
                  .p_paddr = LOAD_ADDR, .p_filesz = 64, .p_memsz = 96 },
        .note = { .p_type = PT_NOTE, .p_offset = offsetof(Elf64Image, pvh),
                  .p_filesz = sizeof(e.pvh), .p_memsz = sizeof(e.pvh) },
        .pvh = { .h = { 4, 8, 18 }, .name = "Xen", .entry = ENTRY },
    };

    memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
    e.eh.e_ident[EI_CLASS] = ELFCLASS64;
    e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
    memset(e.text, 0x90, sizeof(e.text));
    return e;
}

typedef struct Elf32Image {
    Elf32_Ehdr eh;
    Elf32_Phdr load, note;
    struct {
        Elf32_Nhdr h;
        char name[4];
        uint32_t entry;
    } pvh;
    uint8_t text[64];
} Elf32Image;

static Elf32Image elf32(void)
{
    Elf32Image e = {
        .eh = { .e_type = ET_EXEC, .e_machine = EM_386, .e_version = 1, .e_entry = LOAD_ADDR,
                .e_phoff = offsetof(Elf32Image, load), .e_ehsize = sizeof(Elf32_Ehdr),
                .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2 },
        .load = { .p_type = PT_LOAD, .p_offset = offsetof(Elf32Image, text),
                  .p_paddr = LOAD_ADDR, .p_filesz = 64, .p_memsz = 64 },
        .note = { .p_type = PT_NOTE, .p_offset = offsetof(Elf32Image, pvh),
                  .p_filesz = sizeof(e.pvh), .p_memsz = sizeof(e.pvh) },
        .pvh = { .h = { 4, 4, 18 }, .name = "Xen", .entry = ENTRY },
    };

    memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
    e.eh.e_ident[EI_CLASS] = ELFCLASS32;
    e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
    memset(e.text, 0x90, sizeof(e.text));
    return e;
}

static void check_good(const void *buf, size_t len)
{
    GError *err = NULL;
    g_autoptr(ElfImage) e = elf_parse(buf, len, "test", &err);

    g_assert_no_error(err);
    g_assert_true(e->has_pvh_entry);
    g_assert_cmphex(e->pvh_entry, ==, ENTRY);
    g_assert_cmpuint(e->segments->len, ==, 1);
    g_assert_cmphex(g_array_index(e->segments, ElfSegment, 0).paddr, ==, LOAD_ADDR);
}

static void test_elf_good(void)
{
    Elf64Image a = elf64();
    Elf32Image b = elf32();

    check_good(&a, sizeof(a));
    check_good(&b, sizeof(b));
}

/* Whatever the bytes are: an error or segments that lie within the file. */
static void mutate(const void *good, size_t len)
{
    g_autofree uint8_t *buf = g_memdup2(good, len);
    size_t cut = g_test_rand_bit() ? len : (size_t)g_test_rand_int_range(0, len + 1);
    int changes = g_test_rand_int_range(1, 6);
    static const uint8_t nasty[] = { 0, 1, 0x7f, 0x80, 0xff };

    for (int i = 0; i < changes; i++) {
        size_t at = g_test_rand_int_range(0, len);

        buf[at] = g_test_rand_bit() ? nasty[g_test_rand_int_range(0, sizeof(nasty))]
                                    : g_test_rand_int_range(0, 256);
    }
    /* A heap copy of exactly that size, so that address sanitizer sees one byte too many. */
    g_autofree uint8_t *file = g_malloc(cut ? cut : 1);

    memcpy(file, buf, cut);

    g_autoptr(GError) err = NULL;
    g_autoptr(ElfImage) e = elf_parse(file, cut, "mutant", &err);

    g_assert_true((e == NULL) == (err != NULL));
    g_assert_true(!err || strstr(err->message, "mutant"));
    for (guint i = 0; e && i < e->segments->len; i++) {
        const ElfSegment *s = &g_array_index(e->segments, ElfSegment, i);

        g_assert_cmpuint(s->file_offset, <=, cut);
        g_assert_cmpuint(s->file_size, <=, cut - s->file_offset);
        g_assert_cmpuint(s->mem_size, >=, s->file_size);
        g_assert_cmpuint(s->mem_size, <=, UINT64_MAX - s->paddr);
    }
}

static void test_elf_mutated(void)
{
    Elf64Image a = elf64();
    Elf32Image b = elf32();

    for (int i = 0; i < 10000; i++) {
        mutate(&a, sizeof(a));
        mutate(&b, sizeof(b));
    }
}

static void test_pvh(void)
{
    Elf64Image e = elf64();
    g_autofree char *kernel = put_file("kernel", &e, sizeof(e));
    g_autofree char *initrd = put_file("initrd", "ramdisk!", 8);
    g_autoptr(MachineConfig) c = fixture_config(1);
    uint32_t info[14];
    uint64_t module[4], map[3];
    char cmdline[16] = "";

    c->kernel = g_strdup(kernel);
    c->initrd = g_strdup(initrd);
    c->append = g_strdup("hello=1");

    Machine *m = fixture_machine(c);

    g_assert_cmphex(fake_cpu(m, 0)->eip, ==, ENTRY);
    g_assert_true(memory_read(m->memory, fake_cpu(m, 0)->ebx, info, sizeof(info), false));
    g_assert_cmphex(info[0], ==, 0x336ec578);
    g_assert_cmpuint(info[1], ==, 1);
    g_assert_cmpuint(info[3], ==, 1);
    g_assert_true(memory_read(m->memory, info[4], module, sizeof(module), false));
    g_assert_cmpuint(module[1], ==, 8);
    g_assert_true(memory_read(m->memory, module[0], cmdline, 8, false));
    g_assert_cmpmem(cmdline, 8, "ramdisk!", 8);
    g_assert_true(memory_read(m->memory, info[6], cmdline, 8, false));
    g_assert_cmpstr(cmdline, ==, "hello=1");
    g_assert_cmpuint(info[12], ==, 4);
    g_assert_true(memory_read(m->memory, info[10] + 3 * sizeof(map), map, sizeof(map), false));
    g_assert_cmphex(map[0], ==, 0x100000);
    g_assert_cmphex(map[0] + map[1], ==, TEST_RAM_SIZE);

    /* A reset puts everything back, bss as well. */
    memory_write(m->memory, LOAD_ADDR, "\xcc", 1, false);
    memory_write(m->memory, LOAD_ADDR + 95, "\xcc", 1, false);
    fake_cpu(m, 0)->eip = 0;
    machine_lock(m);
    machine_reset(m);
    machine_unlock(m);
    g_assert_cmphex(*memory_host_ptr(m->memory, LOAD_ADDR, 1), ==, 0x90);
    g_assert_cmphex(*memory_host_ptr(m->memory, LOAD_ADDR + 95, 1), ==, 0);
    g_assert_cmphex(fake_cpu(m, 0)->eip, ==, ENTRY);
    machine_free(m);
}

/* A guest that waits for a migration has nothing written into its memory. */
static void test_incoming_is_pristine(void)
{
    Elf64Image e = elf64();
    g_autofree char *kernel = put_file("kernel", &e, sizeof(e));
    g_autoptr(MachineConfig) c = fixture_config(1);

    c->kernel = g_strdup(kernel);
    c->incoming = g_strdup("defer");

    Machine *m = fixture_machine(c);

    g_assert_cmphex(*memory_host_ptr(m->memory, LOAD_ADDR, 1), ==, 0);
    machine_free(m);
}

static void test_boot_sector(void)
{
    uint8_t sector[1024] = { 0xf4 };
    g_autoptr(MachineConfig) c = fixture_config(1);
    DriveConfig *d = g_new0(DriveConfig, 1);

    sector[510] = 0x55;
    sector[511] = 0xaa;
    d->file = put_file("disk", sector, sizeof(sector));
    g_ptr_array_add(c->drives, d);

    Machine *m = fixture_machine(c);

    g_assert_cmphex(fake_cpu(m, 0)->ip, ==, 0x7c00);
    g_assert_cmphex(*memory_host_ptr(m->memory, 0x7c00, 1), ==, 0xf4);
    g_assert_cmphex(*memory_host_ptr(m->memory, 0x7c00 + 511, 1), ==, 0xaa);
    machine_free(m);
}

static LoaderConfig *add_loader(MachineConfig *c)
{
    LoaderConfig *l = g_new0(LoaderConfig, 1);

    l->cpu_num = -1;
    g_ptr_array_add(c->loaders, l);
    return l;
}

static void test_device_loader(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    LoaderConfig *raw = add_loader(c), *be = add_loader(c);
    uint8_t buf[8];

    raw->file = put_file("raw", "raw image", 9);
    raw->addr = 0x3000;
    raw->has_addr = true;
    *be = (LoaderConfig){ .addr = 0x2000, .has_addr = true, .data = 0x0102, .data_len = 2,
                          .data_be = true, .cpu_num = -1 };

    Machine *m = fixture_machine(c);

    memory_read(m->memory, 0x3000, buf, 8, false);
    g_assert_cmpmem(buf, 8, "raw imag", 8);
    memory_read(m->memory, 0x2000, buf, 2, false);
    g_assert_cmpmem(buf, 2, "\x01\x02", 2);
    machine_free(m);
}

/* ---- messages ---- */

typedef struct BadCase {
    const char *kernel, *append, *initrd, *bios, *drive, *loader;
    const char *error;
} BadCase;

static void test_messages(void)
{
    static const uint8_t junk[700];
    Elf64Image no_note = elf64(), high = elf64(), low_memory = elf64();
    uint8_t unsigned_sector[512] = { 0 };

    no_note.pvh.h.n_type = 17;
    high.load.p_paddr = TEST_RAM_SIZE - 64;
    low_memory.load.p_memsz = UINT64_MAX / 2;
    g_free(put_file("junk", junk, sizeof(junk)));
    g_free(put_file("short", junk, 100));
    g_free(put_file("no-note", &no_note, sizeof(no_note)));
    g_free(put_file("high", &high, sizeof(high)));
    g_free(put_file("huge-bss", &low_memory, sizeof(low_memory)));
    g_free(put_file("unsigned", unsigned_sector, sizeof(unsigned_sector)));

    static const BadCase cases[] = {
        { .kernel = "missing", .error = "missing" },
        { .kernel = "junk", .error = "neither an ELF file" },
        { .kernel = "no-note", .error = "no PVH entry" },
        { .kernel = "high", .error = "do not fit" },
        { .kernel = "huge-bss", .error = "do not fit" },
        { .kernel = ".", .error = "not a regular file" },
        { .append = "x", .error = "only makes sense with -kernel" },
        { .drive = "missing", .error = "missing" },
        { .drive = "short", .error = "no boot sector" },
        { .drive = "junk", .error = "not bootable" },
        { .bios = "unsigned", .error = "not bootable" },
        { .loader = "missing", .error = "missing" },
        { .loader = "junk", .error = "needs addr=" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const BadCase *b = &cases[i];
        g_autoptr(MachineConfig) c = fixture_config(1);
        g_autoptr(GError) err = NULL;

        c->kernel = b->kernel ? g_build_filename(dir, b->kernel, NULL) : NULL;
        c->bios = b->bios ? g_build_filename(dir, b->bios, NULL) : NULL;
        c->append = g_strdup(b->append);
        if (b->drive) {
            DriveConfig *d = g_new0(DriveConfig, 1);

            d->file = g_build_filename(dir, b->drive, NULL);
            g_ptr_array_add(c->drives, d);
        }
        if (b->loader) {
            add_loader(c)->file = g_build_filename(dir, b->loader, NULL);
        }
        g_assert_null(machine_new(c, &err));
        g_assert_nonnull(err);
        if (!strstr(err->message, b->error)) {
            g_error("case %zu: '%s' does not say '%s'", i, err->message, b->error);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-loader-XXXXXX", NULL);
    g_assert_nonnull(dir);
    g_test_add_func("/loader/elf/good", test_elf_good);
    g_test_add_func("/loader/elf/mutated", test_elf_mutated);
    g_test_add_func("/loader/pvh", test_pvh);
    g_test_add_func("/loader/incoming-is-pristine", test_incoming_is_pristine);
    g_test_add_func("/loader/boot-sector", test_boot_sector);
    g_test_add_func("/loader/device", test_device_loader);
    g_test_add_func("/loader/messages", test_messages);

    int rc = g_test_run();

    fixture_remove_dir(dir);
    return rc;
}
