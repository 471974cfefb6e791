/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RAM section of an incoming migration: records one by one, every check, and the set-up of the
 * target's memory. ram-load-fast.c handles the common runs; whatever it declines comes here, so
 * this file alone decides what is an error.
 * Incoming thread. Wire: spec ram 2.1-2.5 and 2.10.
 */
#include "ram-load.h"

#include <inttypes.h>
#include <sys/mman.h>

#include "error.h"
#include "postcopy.h"
#include "xbzrle.h"

void ram_load_mark(RAMBlock *b, uint64_t page, uint64_t n, bool zero)
{
    if (zero) {
        bits_set_range(b->known_zero, page, n);
    } else {
        bits_clear_range(b->known_zero, page, n);
    }
    bits_atomic_set_range(b->received, page, n);
}

static bool load_mem_size(RamLoad *ld, RamLoadChannel *ch, uint64_t offset, GError **errp)
{
    return ram_load_block_list(ld, ch->reader, offset, errp);
}

static bool load_zero(RamLoad *ld, RamLoadChannel *ch, uint64_t offset, GError **errp)
{
    uint8_t fill;

    if (!stream_get_u8(ch->reader, &fill, errp)) {
        return false;
    }
    if (fill != 0) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Found a zero page with value %u: block '%s', offset 0x%" PRIx64, fill,
                       ch->block->info.idstr, offset);
    }
    ram_load_zero_pages(ld, ch->block, offset >> GW_TARGET_PAGE_BITS, 1);
    return true;
}

static bool load_page(RamLoad *ld, RamLoadChannel *ch, uint64_t offset, GError **errp)
{
    return ram_load_page(ld, ch, offset >> GW_TARGET_PAGE_BITS, errp);
}

static bool load_xbzrle(RamLoad *ld, RamLoadChannel *ch, uint64_t offset, GError **errp)
{
    uint8_t enc[GW_TARGET_PAGE_SIZE];
    RAMBlock *b = ch->block;
    uint8_t encoding;
    uint16_t len;

    if (!stream_get_u8(ch->reader, &encoding, errp) || !stream_get_be16(ch->reader, &len, errp)) {
        return false;
    }
    if (encoding != RAM_XBZRLE_ENCODING || len > sizeof(enc)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "XBZRLE page of block '%s' at 0x%" PRIx64 ": encoding %u with %u bytes; "
                       "only encoding %d with up to %zu bytes is known", b->info.idstr, offset,
                       encoding, len, RAM_XBZRLE_ENCODING, sizeof(enc));
    }
    if (!stream_get_bytes(ch->reader, enc, len, errp)) {
        return false;
    }
    if (!xbzrle_decode(enc, len, b->info.host + offset, GW_TARGET_PAGE_SIZE, errp)) {
        g_prefix_error(errp, "block '%s', offset 0x%" PRIx64 ": ", b->info.idstr, offset);
        return false;
    }
    ram_load_mark(b, offset >> GW_TARGET_PAGE_BITS, 1, false);
    return true;
}

/* Reads the block's name unless CONTINUE says that it is the last one; checks the offset. */
bool ram_load_place(MigrationState *ms, RamLoadChannel *ch, uint64_t word, GError **errp)
{
    const uint64_t offset = word & ~(uint64_t)RAM_FLAG_MASK;
    char id[256];

    if (!(word & RAM_FLAG_CONTINUE)) {
        if (!stream_get_str8(ch->reader, id, errp)) {
            return false;
        }
        ch->block = gw_ram_block_find(ms, id);
        ram_load_end_run(ch);
        if (!ch->block) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "Can't find block '%s' of the page at 0x%" PRIx64, id, offset);
        }
    } else if (!ch->block) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "The page at 0x%" PRIx64 " continues a block (flags 0x%x), but none was "
                       "named before: bad migration stream", offset,
                       (unsigned)(word & RAM_FLAG_MASK));
    }
    if (ch->block->ignored) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "A page of block '%s' at 0x%" PRIx64 ", which x-ignore-shared leaves to its "
                       "file: it must not be sent", ch->block->info.idstr, offset);
    }
    if (offset >= ch->block->info.used_length) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Illegal RAM offset %" PRIx64 " of block '%s', which has 0x%" PRIx64
                       " bytes", offset, ch->block->info.idstr, ch->block->info.used_length);
    }
    return true;
}

typedef bool (*LoadRecord)(RamLoad *ld, RamLoadChannel *ch, uint64_t offset, GError **errp);

static bool unknown_flags(unsigned flags, GError **errp)
{
    const char *why = "";

    if (flags & RAM_FLAG_COMPRESS_PAGE) {
        why = ": switch the capability 'compress' off at the source";
    } else if (flags & RAM_FLAG_HOOK) {
        why = ": RDMA is not supported";
    }
    return gw_fail(errp, GW_ERROR_PROTOCOL, "Unknown combination of migration flags: 0x%x%s", flags,
                   why);
}

/* One record. *eos: it was the end of the section's body. */
static bool load_record(RamLoad *ld, RamLoadChannel *ch, bool *eos, GError **errp)
{
    LoadRecord load = NULL;
    uint64_t word;

    if (!stream_get_be64(ch->reader, &word, errp)) {
        return false;
    }
    const unsigned flags = word & RAM_FLAG_MASK;
    const uint64_t offset = word - flags;

    switch (flags) {
    case RAM_FLAG_EOS:
        *eos = true;
        return true;
    case RAM_FLAG_MULTIFD_FLUSH:
        return true; /* there are no channels to wait for */
    case RAM_FLAG_MEM_SIZE:
        return load_mem_size(ld, ch, offset, errp);
    case RAM_FLAG_ZERO:
    case RAM_FLAG_ZERO | RAM_FLAG_CONTINUE:
        load = load_zero;
        break;
    case RAM_FLAG_PAGE:
    case RAM_FLAG_PAGE | RAM_FLAG_CONTINUE:
        load = load_page;
        break;
    case RAM_FLAG_XBZRLE:
    case RAM_FLAG_XBZRLE | RAM_FLAG_CONTINUE:
        load = load_xbzrle;
        break;
    default:
        return unknown_flags(flags, errp);
    }
    return ram_load_place(ld->ms, ch, word, errp) && load(ld, ch, offset, errp);
}

bool ram_load_state(void *opaque, StreamReader *r, int version_id, GError **errp)
{
    MigrationState *ms = opaque;
    RamLoad *ld = ms->ram_load;
    bool eos = false;

    if (version_id != RAM_SECTION_VERSION) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "section 'ram': version %d, only %d is supported",
                       version_id, RAM_SECTION_VERSION);
    }
    if (postcopy_state(ms) >= POSTCOPY_LISTENING) {
        return postcopy_load_section(ms, r, errp);
    }
    ld->main.reader = r;
    while (!eos) {
        ram_load_buffered(ld, &ld->main);
        if (!load_record(ld, &ld->main, &eos, errp)) {
            g_prefix_error(errp, "section 'ram': ");
            return false;
        }
    }
    ram_load_end_run(&ld->main);
    return true;
}

/* A hint: one fault then brings 512 pages. Without it all still works. */
static void advise_huge(const RAMBlock *b)
{
    if (ram_block_is_private_anonymous(b) && b->info.page_size <= GW_TARGET_PAGE_SIZE) {
        (void)madvise(b->info.host, b->info.max_length, MADV_HUGEPAGE);
    }
}

bool ram_load_setup(void *opaque, GError **errp)
{
    MigrationState *ms = opaque;
    RamLoad *ld;

    ram_load_cleanup(ms);
    ld = ms->ram_load = g_new0(RamLoad, 1);
    ld->ms = ms;
    ld->is_zero = zero_page_best();
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);

        b->received = bits_new(ram_block_max_pages(b));
        ram_block_set_ignored(b);
        b->listed = false;
        ram_load_find_zero(b);
        advise_huge(b);
    }
    return true;
}

void ram_load_cleanup(void *opaque)
{
    MigrationState *ms = opaque;

    if (ms->ram_load && ms->ram_load->ahead) {
        ram_load_ahead_free(ms->ram_load->ahead);
        /* Where it made small pages khugepaged may join them now. */
        for (unsigned i = 0; i < ram_block_count(ms); i++) {
            advise_huge(ram_block_at(ms, i));
        }
    }
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        g_clear_pointer(&ram_block_at(ms, i)->received, g_free);
        g_clear_pointer(&ram_block_at(ms, i)->known_zero, g_free);
    }
    g_clear_pointer(&ms->ram_load, g_free);
}
