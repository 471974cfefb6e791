/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boot images: what every reset writes into guest memory again, and where vCPU 0 begins.
 *
 * While a guest waits for a migration nothing is written: all content comes in the stream, and
 * memory that was never touched costs nothing. Main thread, machine lock held.
 */
#include "loader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include <glib/gstdio.h>

#include "error.h"
#include "loader-place.h"
#include "x86-boot.h"

/* Larger files are mapped instead of read: a 2 GiB memory image need not be there twice. */
#define READ_MAX ((uint64_t)16 << 20)

static void image_free(gpointer p)
{
    BootImage *img = p;

    g_free(img->name);
    g_bytes_unref(img->bytes);
    g_free(img);
}

BootImages *boot_images_new(void)
{
    BootImages *b = g_new0(BootImages, 1);

    b->images = g_ptr_array_new_with_free_func(image_free);
    b->words = g_string_new(NULL);
    return b;
}

void boot_images_free(BootImages *b)
{
    if (b) {
        g_ptr_array_unref(b->images);
        g_string_free(b->words, TRUE);
        g_free(b);
    }
}

static uint64_t image_size(const BootImage *img)
{
    return g_bytes_get_size(img->bytes) + img->zero;
}

bool boot_images_add(Machine *m, const char *name, uint64_t gpa, GBytes *bytes, uint64_t zero,
                     GError **errp)
{
    BootImages *b = m->boot_images;
    uint64_t size = g_bytes_get_size(bytes);

    if (zero > UINT64_MAX - size || size + zero > UINT64_MAX - gpa) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: its place in memory has no end", name);
    }
    size += zero;
    if (size == 0) {
        return true;
    }
    if (!memory_host_ptr(m->memory, gpa, size)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64 " do not fit into the guest's "
                       "memory (%" PRIu64 " MiB); give more with -m",
                       name, size, gpa, m->ram_size >> 20);
    }
    for (guint i = 0; i < b->images->len; i++) {
        BootImage *other = g_ptr_array_index(b->images, i);

        if (gpa < other->gpa + image_size(other) && other->gpa < gpa + size) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "%s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64, name, gpa, other->name,
                           other->gpa);
        }
    }
    BootImage *img = g_new0(BootImage, 1);

    img->name = g_strdup(name);
    img->gpa = gpa;
    img->bytes = g_bytes_ref(bytes);
    img->zero = zero;
    g_ptr_array_add(b->images, img);
    return true;
}

/* The image that lies across [gpa, gpa + size), NULL if none does. */
static const BootImage *image_in(const BootImages *b, uint64_t gpa, uint64_t size)
{
    for (guint i = 0; i < b->images->len; i++) {
        const BootImage *img = g_ptr_array_index(b->images, i);

        if (gpa < img->gpa + image_size(img) && img->gpa < gpa + size) {
            return img;
        }
    }
    return NULL;
}

bool boot_images_find_low(const BootImages *b, uint64_t lo, uint64_t hi, uint64_t size,
                          uint64_t *gpa)
{
    uint64_t at = lo;

    while (size <= hi && at <= hi - size) {
        const BootImage *img = image_in(b, at, size);

        if (!img) {
            *gpa = at;
            return true;
        }
        at = (img->gpa + image_size(img) + 4095) & ~UINT64_C(4095);
    }
    return false;
}

bool boot_images_find_high(const BootImages *b, uint64_t lo, uint64_t hi, uint64_t size,
                           uint64_t *gpa)
{
    while (hi >= lo && size <= hi - lo) {
        uint64_t at = (hi - size) & ~UINT64_C(4095);
        const BootImage *img = at >= lo ? image_in(b, at, size) : NULL;

        if (at < lo) {
            return false;
        }
        if (!img) {
            *gpa = at;
            return true;
        }
        hi = img->gpa;
    }
    return false;
}

static bool set_entry(Machine *m, GError **errp)
{
    const BootImages *b = m->boot_images;

    if (m->nr_vcpus == 0) {
        return true;
    }
    if (b->mode == BOOT_PVH && !x86_set_pvh_entry(m->vcpus[0], b->entry, b->start_info)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cannot set the PVH entry state of vCPU 0");
    }
    if (b->mode == BOOT_LINUX && !x86_set_linux_entry(m->vcpus[0], &b->linux_entry)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cannot set the 64-bit Linux entry of vCPU 0");
    }
    if (b->mode == BOOT_SECTOR && !x86_set_realmode_entry(m->vcpus[0], 0, 0x7c00)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cannot set the boot sector entry of vCPU 0");
    }
    return true;
}

bool boot_images_apply(Machine *m, GError **errp)
{
    const BootImages *b = m->boot_images;

    if (runstate_get(m->run_state) == RUN_STATE_INMIGRATE) {
        return true;
    }
    for (guint i = 0; i < b->images->len; i++) {
        const BootImage *img = g_ptr_array_index(b->images, i);
        gsize len;
        const void *data = g_bytes_get_data(img->bytes, &len);
        uint8_t *host = memory_host_ptr(m->memory, img->gpa, len + img->zero);

        if (!host) {
            return gw_fail(errp, GW_ERROR_GENERIC, "%s: its memory is gone", img->name);
        }
        if (len) {
            memcpy(host, data, len);
        }
        memset(host + len, 0, img->zero);
        memory_mark_dirty(m->memory, img->gpa, len + img->zero);
    }
    return set_entry(m, errp);
}

GBytes *loader_read_file(const char *path, uint64_t max, GError **errp)
{
    g_autoptr(GError) err = NULL;
    GStatBuf st;

    if (g_stat(path, &st) < 0) {
        gw_fail(errp, GW_ERROR_GENERIC, "could not open '%s': %s", path, g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        gw_fail(errp, GW_ERROR_GENERIC, "could not load '%s': not a regular file", path);
        return NULL;
    }
    if ((uint64_t)st.st_size > max) {
        gw_fail(errp, GW_ERROR_GENERIC,
                "could not load '%s': its %" PRIu64 " bytes are more than the %" PRIu64
                " that fit", path, (uint64_t)st.st_size, max);
        return NULL;
    }
    if ((uint64_t)st.st_size > READ_MAX) {
        g_autoptr(GMappedFile) map = g_mapped_file_new(path, FALSE, &err);

        if (map) {
            return g_mapped_file_get_bytes(map);
        }
    } else {
        char *data;
        gsize len;

        if (g_file_get_contents(path, &data, &len, &err)) {
            return g_bytes_new_take(data, len);
        }
    }
    gw_fail(errp, GW_ERROR_GENERIC, "could not load '%s': %s", path, err->message);
    return NULL;
}

static bool load_kernel(Machine *m, GError **errp)
{
    const char *path = m->config->kernel;
    g_autoptr(GBytes) file = loader_read_file(path, m->ram_size, errp);
    gsize len;

    if (!file) {
        return false;
    }
    const uint8_t *data = g_bytes_get_data(file, &len);

    if (elf_is_elf(data, len)) {
        return loader_pvh(m, file, errp);
    }
    if (linux_is_bzimage(data, len)) {
        return loader_linux(m, file, errp);
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                   "kernel '%s' is neither an ELF file (vmlinux, with a PVH entry) nor a Linux "
                   "bzImage", path);
}

bool loader_init(Machine *m, GError **errp)
{
    const MachineConfig *c = m->config;
    bool sector = false;

    if (m->nr_vcpus == 0 && (c->kernel || c->bios)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "machine '%s' has no CPU that could boot '%s'",
                       m->board->name, c->kernel ? c->kernel : c->bios);
    }
    if (!c->kernel && (c->append || c->initrd)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s only makes sense with -kernel",
                       c->append ? "-append" : "-initrd");
    }
    if (c->kernel) {
        if (!load_kernel(m, errp)) {
            return false;
        }
    } else if (m->nr_vcpus && !loader_bootsector(m, &sector, errp)) {
        return false;
    }
    return loader_devices(m, errp);
}
