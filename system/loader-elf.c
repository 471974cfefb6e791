/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads an ELF file's loadable segments and its PVH entry (note type 18 of owner "Xen"). The file
 * is input from outside: every offset and count is checked against its length before it is used.
 * Pure functions; any thread.
 */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "loader.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define MAX_PROGRAM_HEADERS 4096

typedef struct Header {
    uint64_t offset, paddr, vaddr, filesz, memsz;
    uint32_t type;
} Header;

bool elf_is_elf(const uint8_t *buf, size_t len)
{
    return len >= EI_NIDENT && memcmp(buf, ELFMAG, SELFMAG) == 0;
}

void elf_image_free(ElfImage *e)
{
    if (e) {
        g_array_free(e->segments, TRUE);
        g_free(e);
    }
}

/* Program header number i; the caller has checked that it lies within the file. */
static Header get_header(const uint8_t *at, bool is_64)
{
    if (is_64) {
        Elf64_Phdr p;

        memcpy(&p, at, sizeof(p));
        return (Header){ p.p_offset, p.p_paddr, p.p_vaddr, p.p_filesz, p.p_memsz, p.p_type };
    }
    Elf32_Phdr p;

    memcpy(&p, at, sizeof(p));
    return (Header){ p.p_offset, p.p_paddr, p.p_vaddr, p.p_filesz, p.p_memsz, p.p_type };
}

static bool in_file(uint64_t offset, uint64_t size, size_t len)
{
    return offset <= len && size <= len - offset;
}

static uint64_t align4(uint64_t v)
{
    return (v + 3) & ~UINT64_C(3);
}

/* Walks the notes of one PT_NOTE segment, which lies within the file. */
static void scan_notes(ElfImage *e, const uint8_t *at, uint64_t size)
{
    while (size >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr n; /* the same in both classes */

        memcpy(&n, at, sizeof(n));

        uint64_t name_size = align4(n.n_namesz), desc_size = align4(n.n_descsz);
        uint64_t left = size - sizeof(n);

        if (name_size > left || n.n_descsz > left - name_size) {
            return;
        }
        const uint8_t *name = at + sizeof(n), *desc = name + name_size;

        if (n.n_type == XEN_ELFNOTE_PHYS32_ENTRY && n.n_namesz == 4 &&
            memcmp(name, "Xen", 4) == 0 && (n.n_descsz == 4 || n.n_descsz == 8)) {
            e->pvh_entry = 0;
            memcpy(&e->pvh_entry, desc, n.n_descsz);
            e->has_pvh_entry = true;
            return;
        }
        if (desc_size > left - name_size) {
            return; /* the last note, its padding cut off */
        }
        at = desc + desc_size;
        size = left - name_size - desc_size;
    }
}

static bool take_header(ElfImage *e, const Header *h, unsigned i, const uint8_t *buf, size_t len,
                        const char *name, GError **errp)
{
    if (h->type != PT_LOAD && h->type != PT_NOTE) {
        return true;
    }
    if (!in_file(h->offset, h->filesz, len)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "'%s': ELF program header %u: 0x%" PRIx64 " bytes at 0x%" PRIx64
                       " are beyond the end of the file", name, i, h->filesz, h->offset);
    }
    if (h->type == PT_NOTE) {
        if (!e->has_pvh_entry) {
            scan_notes(e, buf + h->offset, h->filesz);
        }
        return true;
    }
    if (h->memsz < h->filesz || h->memsz > UINT64_MAX - h->paddr) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "'%s': ELF program header %u: impossible memory size 0x%" PRIx64, name, i,
                       h->memsz);
    }
    if (h->memsz) {
        ElfSegment s = { h->paddr, h->offset, h->filesz, h->memsz };

        g_array_append_val(e->segments, s);
    }
    return true;
}

static bool check_ident(const uint8_t *buf, size_t len, const char *name, GError **errp)
{
    if (!elf_is_elf(buf, len)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'%s' is not an ELF file", name);
    }
    if (buf[EI_DATA] != ELFDATA2LSB ||
        (buf[EI_CLASS] != ELFCLASS32 && buf[EI_CLASS] != ELFCLASS64)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'%s' is an ELF file, but not for x86", name);
    }
    if (len < (buf[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr))) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'%s': the ELF header is cut off", name);
    }
    return true;
}

ElfImage *elf_parse(const uint8_t *buf, size_t len, const char *name, GError **errp)
{
    g_autoptr(ElfImage) e = NULL;
    uint64_t phoff;
    unsigned phnum, phentsize, machine;

    if (!check_ident(buf, len, name, errp)) {
        return NULL;
    }
    e = g_new0(ElfImage, 1);
    e->segments = g_array_new(FALSE, FALSE, sizeof(ElfSegment));
    e->is_64 = buf[EI_CLASS] == ELFCLASS64;
    if (e->is_64) {
        Elf64_Ehdr h;

        memcpy(&h, buf, sizeof(h));
        e->entry = h.e_entry;
        phoff = h.e_phoff, phnum = h.e_phnum, phentsize = h.e_phentsize, machine = h.e_machine;
    } else {
        Elf32_Ehdr h;

        memcpy(&h, buf, sizeof(h));
        e->entry = h.e_entry;
        phoff = h.e_phoff, phnum = h.e_phnum, phentsize = h.e_phentsize, machine = h.e_machine;
    }
    if (machine != EM_X86_64 && machine != EM_386) {
        gw_fail(errp, GW_ERROR_GENERIC, "'%s' is an ELF file, but not for x86 (machine %u)", name,
                machine);
        return NULL;
    }
    if (phentsize != (e->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || phnum == 0 ||
        phnum > MAX_PROGRAM_HEADERS || !in_file(phoff, (uint64_t)phnum * phentsize, len)) {
        gw_fail(errp, GW_ERROR_GENERIC,
                "'%s': its ELF program headers (%u of %u bytes at 0x%" PRIx64 ") are not usable",
                name, phnum, phentsize, phoff);
        return NULL;
    }
    for (unsigned i = 0; i < phnum; i++) {
        Header h = get_header(buf + phoff + (uint64_t)i * phentsize, e->is_64);

        if (!take_header(e, &h, i, buf, len, name, errp)) {
            return NULL;
        }
    }
    if (e->segments->len == 0) {
        gw_fail(errp, GW_ERROR_GENERIC, "'%s': the ELF file has nothing to load", name);
        return NULL;
    }
    return g_steal_pointer(&e);
}
