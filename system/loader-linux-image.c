/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the header of a Linux bzImage: boot protocol 2.12 or later, with a 64-bit entry. Layout and
 * meaning are those of Linux's public header asm/bootparam.h and its documentation of the x86 boot
 * protocol. The file is input from outside: every field is checked before it is used, and what is
 * found to be wrong is named as the documentation names it.
 *
 * Pure functions; any thread.
 */
#include <asm/bootparam.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "loader.h"

#define HEADER_AT offsetof(struct boot_params, hdr)
#define HEADER_MAGIC 0x53726448U /* "HdrS" */
#define BOOT_FLAG 0xaa55U
#define JUMP_AT 0x200U           /* a short jump: its distance tells where the header ends */
#define SECTOR 512U
#define VERSION_64BIT_ENTRY 0x020cU
#define HEADER_NEEDED \
    (offsetof(struct setup_header, init_size) + sizeof_field(struct setup_header, init_size))
#define sizeof_field(type, field) sizeof(((type *)NULL)->field)
#define DEFAULT_SETUP_SECTS 4U   /* 0 in the header means this, for a reason of the past */
#define ENTRY_64 0x200U
#define FOUR_GIB (UINT64_C(1) << 32)

_Static_assert(HEADER_AT == 0x1f1, "where the setup header is");

bool linux_is_bzimage(const uint8_t *buf, size_t len)
{
    struct setup_header h;

    if (len < HEADER_AT + sizeof(h)) {
        return false;
    }
    memcpy(&h, buf + HEADER_AT, sizeof(h));
    return h.boot_flag == BOOT_FLAG && h.header == HEADER_MAGIC;
}

static bool check_kind(const struct setup_header *h, const char *name, GError **errp)
{
    if (h->version < VERSION_64BIT_ENTRY) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "kernel '%s': boot protocol %u.%02u is too old, 2.12 is needed (Linux 3.8)",
                       name, h->version >> 8, h->version & 0xff);
    }
    if (!(h->loadflags & LOADED_HIGH)) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "kernel '%s' is to be loaded below 1 MiB (loadflags 0x%02x); build a "
                       "bzImage", name, h->loadflags);
    }
    if (!(h->xloadflags & XLF_KERNEL_64)) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "kernel '%s' has no 64-bit entry (xloadflags 0x%04x); build it for x86-64",
                       name, h->xloadflags);
    }
    return true;
}

/* Where the parts lie in the file. */
static bool take_sizes(LinuxImage *img, const struct setup_header *h, const uint8_t *buf,
                       size_t len, const char *name, GError **errp)
{
    size_t setup = ((h->setup_sects ? h->setup_sects : DEFAULT_SETUP_SECTS) + 1) * SECTOR;
    uint64_t kernel = (uint64_t)h->syssize * 16;
    size_t header_end = JUMP_AT + 2 + buf[JUMP_AT + 1];

    if (setup > len) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "kernel '%s': setup_sects %u is beyond the end of its %zu bytes", name,
                       h->setup_sects, len);
    }
    if (header_end < HEADER_AT + HEADER_NEEDED || header_end > setup) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "kernel '%s': its setup header ends at 0x%zx, which boot protocol %u.%02u "
                       "cannot", name, header_end, h->version >> 8, h->version & 0xff);
    }
    /* syssize is rounded up to 16 bytes, and a signature may follow. */
    if (kernel <= ENTRY_64 || kernel > len - setup + 15) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "kernel '%s': syssize tells of %" PRIu64 " bytes, the file has %zu; is it "
                       "cut off?", name, kernel, len - setup);
    }
    img->kernel_offset = setup;
    img->kernel_size = MIN(kernel, len - setup);
    img->header_size = MIN(header_end - HEADER_AT, sizeof(struct setup_header));
    return true;
}

static bool take_place(LinuxImage *img, const struct setup_header *h, const char *name,
                       GError **errp)
{
    img->relocatable = h->relocatable_kernel;
    img->alignment = h->kernel_alignment;
    img->pref_address = h->pref_address;
    img->init_size = MAX(h->init_size, img->kernel_size);
    if (h->kernel_alignment < 4096 || (h->kernel_alignment & (h->kernel_alignment - 1))) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "kernel '%s': kernel_alignment 0x%x is not a power of two from 4096 on",
                       name, h->kernel_alignment);
    }
    if (h->pref_address >= FOUR_GIB || h->pref_address < 0x100000) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "kernel '%s': pref_address 0x%" PRIx64 " is not between 1 MiB and 4 GiB",
                       name, (uint64_t)h->pref_address);
    }
    return true;
}

bool linux_parse(LinuxImage *img, const uint8_t *buf, size_t len, const char *name, GError **errp)
{
    struct setup_header h;

    *img = (LinuxImage){ 0 };
    if (!linux_is_bzimage(buf, len)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "kernel '%s' is not a Linux bzImage", name);
    }
    memcpy(&h, buf + HEADER_AT, sizeof(h));
    img->cmdline_max = h.cmdline_size;
    img->initrd_last = h.initrd_addr_max;
    return check_kind(&h, name, errp) && take_sizes(img, &h, buf, len, name, errp) &&
           take_place(img, &h, name, errp);
}
