/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RAM section's header word: flags in the low bits of a page-aligned offset. Spec: ram 2.1. */
#ifndef MIGRATION_RAM_WIRE_H
#define MIGRATION_RAM_WIRE_H

#define RAM_SECTION_NAME    "ram"
#define RAM_SECTION_VERSION 4

enum {
    RAM_FLAG_ZERO = 0x002,
    RAM_FLAG_MEM_SIZE = 0x004,
    RAM_FLAG_PAGE = 0x008,
    RAM_FLAG_EOS = 0x010,
    RAM_FLAG_CONTINUE = 0x020,
    RAM_FLAG_XBZRLE = 0x040,
    RAM_FLAG_HOOK = 0x080,
    RAM_FLAG_COMPRESS_PAGE = 0x100,
    RAM_FLAG_MULTIFD_FLUSH = 0x200,
    RAM_FLAG_MASK = 0xfff,
};

/* Bytes of the commonest records, those with CONTINUE. */
#define RAM_HEADER_SIZE      8
#define RAM_ZERO_RECORD_SIZE 9
#define RAM_PAGE_RECORD_SIZE (RAM_HEADER_SIZE + GW_TARGET_PAGE_SIZE)

/* The encoding byte of an XBZRLE record. */
#define RAM_XBZRLE_ENCODING 1

#endif
