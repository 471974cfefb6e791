/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page records in postcopy, of the main channel (inside PART and END) and of the preempt channel
 * (bare). Normal pages are read into a page-aligned buffer and placed in runs: a run ends when the
 * next record does not continue it, when it is full, and before the thread would wait for bytes.
 * The channel's own thread. Wire: spec ram 2.8; everything here comes from a peer.
 */
#include "postcopy.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "error.h"

static uint64_t host_page_pages(const RAMBlock *b)
{
    return b->info.page_size >> GW_TARGET_PAGE_BITS;
}

bool postcopy_channel_init(PostcopyChannel *pc, MigrationState *ms, StreamReader *r, bool preempt,
                           GError **errp)
{
    postcopy_channel_clear(pc);
    *pc = (PostcopyChannel){.ms = ms, .preempt = preempt};
    pc->ram.reader = r;
    pc->buffer_size = POSTCOPY_RUN_PAGES * GW_TARGET_PAGE_SIZE;
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        pc->buffer_size = MAX(pc->buffer_size, ram_block_at(ms, i)->info.page_size);
    }
    pc->buffer = mmap(NULL, pc->buffer_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    return pc->buffer != MAP_FAILED ||
           gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "postcopy: a page buffer of %zu bytes",
                         pc->buffer_size);
}

void postcopy_channel_restart(PostcopyChannel *pc, StreamReader *r)
{
    pc->ram = (RamLoadChannel){.reader = r};
    pc->run_block = NULL;
    pc->run_pages = 0;
    pc->run_zero = false;
}

void postcopy_channel_clear(PostcopyChannel *pc)
{
    if (pc->buffer && pc->buffer != MAP_FAILED) {
        munmap(pc->buffer, pc->buffer_size);
    }
    pc->buffer = NULL;
    pc->run_pages = 0;
}

static const char *channel_name(const PostcopyChannel *pc)
{
    return pc->preempt ? "preempt" : "main";
}

static bool place_run(PostcopyChannel *pc, GError **errp)
{
    const unsigned n = pc->run_pages;

    if (n == 0) {
        return true;
    }
    pc->run_pages = 0;
    return postcopy_place(pc->ms, pc->run_block, pc->run_first, n,
                          pc->run_zero ? NULL : pc->buffer, errp);
}

/* In the middle of a huge page: it can only be placed as a whole. */
static bool in_host_page(const PostcopyChannel *pc)
{
    return pc->run_pages && (pc->run_first + pc->run_pages) % host_page_pages(pc->run_block);
}

/* A run of zeros that a normal page of the same huge page follows becomes bytes. */
static void materialise(PostcopyChannel *pc)
{
    if (pc->run_zero && pc->run_pages) {
        memset(pc->buffer, 0, (size_t)pc->run_pages << GW_TARGET_PAGE_BITS);
    }
    pc->run_zero = false;
}

static bool continues_run(const PostcopyChannel *pc, uint64_t page, bool zero)
{
    const uint64_t room = pc->buffer_size >> GW_TARGET_PAGE_BITS;

    return pc->run_pages && pc->run_block == pc->ram.block &&
           page == pc->run_first + pc->run_pages &&
           (in_host_page(pc) || (pc->run_zero == zero && pc->run_pages < room));
}

/* Makes room for one more page at the end of the run; a run that it does not continue is placed. */
static bool extend_run(PostcopyChannel *pc, uint64_t page, bool zero, GError **errp)
{
    RAMBlock *b = pc->ram.block;

    if (!continues_run(pc, page, zero)) {
        if (in_host_page(pc)) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "%s: Non-same host page detected: block '%s' offset 0x%" PRIx64
                           " comes in the middle of the huge page at 0x%" PRIx64, channel_name(pc),
                           b->info.idstr, page << GW_TARGET_PAGE_BITS,
                           pc->run_first << GW_TARGET_PAGE_BITS);
        }
        if (!place_run(pc, errp)) {
            return false;
        }
        if (page % host_page_pages(b)) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "%s: block '%s' offset 0x%" PRIx64 " is not the start of a huge page of "
                           "0x%zx bytes", channel_name(pc), b->info.idstr,
                           page << GW_TARGET_PAGE_BITS, b->info.page_size);
        }
        pc->run_block = b;
        pc->run_first = page;
        pc->run_zero = zero;
    }
    if (pc->run_zero && !zero) {
        materialise(pc);
    }
    return true;
}

static bool take_zero(PostcopyChannel *pc, uint64_t page, GError **errp)
{
    uint8_t fill;

    if (!stream_get_u8(pc->ram.reader, &fill, errp)) {
        return false;
    }
    if (fill != 0) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "%s: Found a zero page with value %u: block '%s', offset 0x%" PRIx64,
                       channel_name(pc), fill, pc->ram.block->info.idstr,
                       page << GW_TARGET_PAGE_BITS);
    }
    if (!extend_run(pc, page, true, errp)) {
        return false;
    }
    if (!pc->run_zero) {
        memset(pc->buffer + ((size_t)pc->run_pages << GW_TARGET_PAGE_BITS), 0,
               GW_TARGET_PAGE_SIZE);
    }
    pc->run_pages++;
    return true;
}

static bool take_page(PostcopyChannel *pc, uint64_t page, GError **errp)
{
    if (!extend_run(pc, page, false, errp) ||
        !stream_get_bytes(pc->ram.reader,
                          pc->buffer + ((size_t)pc->run_pages << GW_TARGET_PAGE_BITS),
                          GW_TARGET_PAGE_SIZE, errp)) {
        return false;
    }
    pc->run_pages++;
    return true;
}

/* The bytes that a run may wait for: enough for the next header. */
static bool would_wait(PostcopyChannel *pc)
{
    const uint8_t *bytes;

    return stream_buffered(pc->ram.reader, &bytes) < RAM_HEADER_SIZE;
}

static bool load_record(PostcopyChannel *pc, uint64_t word, GError **errp)
{
    const unsigned flags = word & RAM_FLAG_MASK;
    const uint64_t offset = word - flags;

    switch (flags & ~RAM_FLAG_CONTINUE) {
    case RAM_FLAG_ZERO:
        return ram_load_place(pc->ms, &pc->ram, word, errp) &&
               take_zero(pc, offset >> GW_TARGET_PAGE_BITS, errp);
    case RAM_FLAG_PAGE:
        return ram_load_place(pc->ms, &pc->ram, word, errp) &&
               take_page(pc, offset >> GW_TARGET_PAGE_BITS, errp);
    default:
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "%s: Unknown combination of migration flags: 0x%x (in postcopy only zero "
                       "and normal pages may come)", channel_name(pc), flags);
    }
}

bool postcopy_load_records(PostcopyChannel *pc, bool *eos, bool *end, GError **errp)
{
    uint64_t word;

    for (*eos = *end = false; !*eos;) {
        if (!in_host_page(pc) && would_wait(pc) && !place_run(pc, errp)) {
            return false;
        }
        if (pc->preempt && !stream_peek(pc->ram.reader, 1, NULL)) {
            *end = true; /* between two records the source may end this channel */
            return in_host_page(pc) ? gw_fail(errp, GW_ERROR_PROTOCOL,
                                              "preempt: it ended in the middle of a huge page")
                                    : place_run(pc, errp);
        }
        if (!stream_get_be64(pc->ram.reader, &word, errp)) {
            return false;
        }
        if (word == RAM_FLAG_EOS) {
            *eos = true;
            return in_host_page(pc) || place_run(pc, errp);
        }
        if (!load_record(pc, word, errp)) {
            return false;
        }
    }
    return true;
}

bool postcopy_load_section(MigrationState *ms, StreamReader *r, GError **errp)
{
    PostcopyChannel *pc = &ms->postcopy_incoming->main;
    bool eos, end;

    if (pc->ram.reader != r) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "section 'ram' inside of the package");
    }
    return postcopy_load_records(pc, &eos, &end, errp);
}
