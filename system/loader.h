/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in guest memory when it starts: images that every reset writes again, and how vCPU 0
 * begins. Main thread, machine lock held.
 */
#ifndef SYSTEM_LOADER_H
#define SYSTEM_LOADER_H

#include "machine.h"
#include "x86-boot.h"

typedef enum BootMode {
    BOOT_FIRMWARE, /* the reset vector: ROM at the end of 4 GiB, or nothing at all */
    BOOT_PVH,
    BOOT_SECTOR,
    BOOT_LINUX,
} BootMode;

typedef struct BootImage {
    char *name;       /* for errors */
    uint64_t gpa;
    GBytes *bytes;
    uint64_t zero;    /* bytes of zero that follow (ELF bss) */
} BootImage;

typedef struct BootImages {
    GPtrArray *images; /* of BootImage */
    BootMode mode;
    uint32_t entry, start_info; /* PVH */
    X86LinuxEntry linux_entry;  /* bzImage */
    GString *words;             /* the board's part of the kernel's command line */
    uint64_t acpi; /* the board's tables, RSDP first, are from here to LOADER_EBDA; 0: none */
} BootImages;

BootImages *boot_images_new(void);
void boot_images_free(BootImages *b);
/* Takes a reference of bytes. The place is checked against RAM and the other images. */
bool boot_images_add(Machine *m, const char *name, uint64_t gpa, GBytes *bytes, uint64_t zero,
                     GError **errp);
/* Appends a word to the kernel's command line, before loader_init(): where a device is that the
 * kernel can't find by itself. */
void boot_images_add_word(Machine *m, const char *word);
/* The kernel's command line: -append and the board's words. The caller frees it. */
char *loader_cmdline(const Machine *m);
/* Writes every image into guest memory and sets vCPU 0's entry. */
bool boot_images_apply(Machine *m, GError **errp);

/* All of -kernel, -initrd, -append, boot sector and -device loader of the config. */
bool loader_init(Machine *m, GError **errp);
/* A file's content, or an error that names it; at most `max` bytes. */
GBytes *loader_read_file(const char *path, uint64_t max, GError **errp);

/* loader-elf.c: an ELF file's loadable parts and PVH entry. */
typedef struct ElfSegment {
    uint64_t paddr, file_offset, file_size, mem_size;
} ElfSegment;

typedef struct ElfImage {
    bool is_64;
    uint64_t entry;
    bool has_pvh_entry;
    uint64_t pvh_entry; /* ELF note type 18, owner "Xen" */
    GArray *segments;   /* of ElfSegment */
} ElfImage;

bool elf_is_elf(const uint8_t *buf, size_t len);
/* Parses a file that nobody vouched for; `name` is used in errors. */
ElfImage *elf_parse(const uint8_t *buf, size_t len, const char *name, GError **errp);
void elf_image_free(ElfImage *e);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ElfImage, elf_image_free)

/* loader-low.c */
/* The extended BIOS data area: from here to 640 KiB low memory is the board's, not the kernel's. */
#define LOADER_EBDA 0x9fc00U
#define LOADER_EBDA_SIZE 0x400U

/* loader-pvh.c: `file` is an ELF file. */
bool loader_pvh(Machine *m, GBytes *file, GError **errp);

/* loader-linux-image.c: a bzImage's header, checked. */
typedef struct LinuxImage {
    size_t header_size;      /* bytes of the setup header, from 0x1f1 */
    size_t kernel_offset, kernel_size; /* of the protected mode kernel, bytes in the file */
    uint64_t pref_address;   /* where it likes to be */
    uint32_t alignment;      /* bytes, a power of two */
    bool relocatable;
    uint64_t init_size;      /* bytes of memory that it needs from where it is loaded */
    uint32_t cmdline_max;    /* bytes without the final NUL */
    uint32_t initrd_last;    /* highest address of an initrd's byte */
} LinuxImage;

bool linux_is_bzimage(const uint8_t *buf, size_t len);
/* Parses a file that nobody vouched for; `name` is used in errors. */
bool linux_parse(LinuxImage *img, const uint8_t *buf, size_t len, const char *name,
                 GError **errp);

/* loader-linux.c: `file` is a bzImage. */
bool loader_linux(Machine *m, GBytes *file, GError **errp);
/* loader-bootsector.c: sets *found when the config has one. */
bool loader_bootsector(Machine *m, bool *found, GError **errp);
/* loader-device.c */
bool loader_devices(Machine *m, GError **errp);

#endif
