/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory for x, xp, memsave and pmemsave. The guest may run meanwhile: what is read is as
 * torn as what another vCPU would see. Main loop's thread.
 */
#include "guest-memory.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "machine.h"

#define PAGE 4096u
#define CHUNK (64 * 1024u)

static bool translate(const GuestView *v, uint64_t *addr)
{
    const AccelOps *accel = v->machine->accel;
    bool ok;

    if (v->vcpu < 0 || !accel || !accel->vcpu_translate) {
        return true;
    }
    machine_lock(v->machine);
    ok = accel->vcpu_translate(v->machine->vcpus[v->vcpu], *addr, addr);
    machine_unlock(v->machine);
    return ok;
}

bool guest_view_read(const GuestView *v, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        uint64_t phys = addr;
        uint64_t n = v->vcpu < 0 ? len : MIN(len, PAGE - addr % PAGE);

        if (!translate(v, &phys) || !memory_read(v->machine->memory, phys, to, n, false)) {
            return false;
        }
        addr += n;
        to += n;
        len -= n;
    }
    return true;
}

bool guest_view_save(const GuestView *v, uint64_t addr, uint64_t size, const char *filename,
                     GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    FILE *f = fopen(filename, "wbe");
    bool ok = true;

    if (!f) {
        return gw_fail_errno(errp, GW_ERROR_IO, errno, "Could not open '%s'", filename);
    }
    for (uint64_t done = 0; ok && done < size;) {
        uint64_t n = MIN(size - done, CHUNK);

        /* Holes in physical space are saved as 0xff, so that a dump over a hole has its size. */
        if (!guest_view_read(v, addr + done, buf, n) && v->vcpu >= 0) {
            ok = gw_fail(errp, GW_ERROR_GENERIC,
                         "Invalid addr 0x%016" G_GINT64_MODIFIER "x/size %" G_GUINT64_FORMAT
                         " specified", addr, size);
        } else if (fwrite(buf, 1, n, f) != n) {
            ok = gw_fail_errno(errp, GW_ERROR_IO, errno, "Could not write '%s'", filename);
        }
        done += n;
    }
    if (fclose(f) != 0 && ok) {
        ok = gw_fail_errno(errp, GW_ERROR_IO, errno, "Could not write '%s'", filename);
    }
    return ok;
}
