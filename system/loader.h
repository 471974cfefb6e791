/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in guest memory when it starts: images that every reset writes again, and how vCPU 0
 * begins. Main thread, machine lock held.
 */
#ifndef SYSTEM_LOADER_H
#define SYSTEM_LOADER_H

#include "machine.h"

typedef enum BootMode {
    BOOT_FIRMWARE, /* the reset vector: ROM at the end of 4 GiB, or nothing at all */
    BOOT_PVH,
    BOOT_SECTOR,
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
} BootImages;

BootImages *boot_images_new(void);
void boot_images_free(BootImages *b);
/* Takes a reference of bytes. The place is checked against RAM and the other images. */
bool boot_images_add(Machine *m, const char *name, uint64_t gpa, GBytes *bytes, uint64_t zero,
                     GError **errp);
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

/* loader-pvh.c */
bool loader_pvh(Machine *m, GError **errp);
/* loader-bootsector.c: sets *found when the config has one. */
bool loader_bootsector(Machine *m, bool *found, GError **errp);
/* loader-device.c */
bool loader_devices(Machine *m, GError **errp);

#endif
