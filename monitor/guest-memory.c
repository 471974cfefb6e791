/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory for x, xp, memsave and pmemsave. The guest may run meanwhile: what is read is as
 * torn as what another vCPU would see. Memory that a postcopy has yet to bring: guest-wait.c.
 * Main loop's thread.
 */
#include "guest-memory.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "monitor-set.h"

#define PAGE 4096u

static bool translate(const GuestView *v, uint64_t *addr)
{
    Machine *m = v->set->machine;
    bool ok;

    if (v->vcpu < 0 || !m->accel || !m->accel->vcpu_translate) {
        return true;
    }
    machine_lock(m);
    ok = m->accel->vcpu_translate(m->vcpus[v->vcpu], *addr, addr);
    machine_unlock(m);
    return ok;
}

GuestRead guest_view_read(const GuestView *v, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        uint64_t phys = addr;
        uint64_t n = v->vcpu < 0 ? len : MIN(len, PAGE - addr % PAGE);

        if (!translate(v, &phys)) {
            return GUEST_READ_NO_MEMORY;
        }
        if (!guest_wait(v->set, phys, n)) {
            return GUEST_READ_NOT_YET;
        }
        if (!memory_read(v->set->machine->memory, phys, to, n, false)) {
            return GUEST_READ_NO_MEMORY;
        }
        addr += n;
        to += n;
        len -= n;
    }
    return GUEST_READ_OK;
}

/* Holes in physical space are saved as 0xff, so that a dump over a hole has its size. */
static bool check_read(const GuestView *v, GuestRead result, uint64_t addr, uint64_t done,
                       uint64_t size, GError **errp)
{
    if (result == GUEST_READ_NOT_YET) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory at 0x%016" G_GINT64_MODIFIER "x has not arrived yet: it is still at "
                       "the source of the postcopy migration", addr + done);
    }
    if (result == GUEST_READ_NO_MEMORY && v->vcpu >= 0) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Invalid addr 0x%016" G_GINT64_MODIFIER "x/size %" G_GUINT64_FORMAT
                       " specified", addr, size);
    }
    return true;
}

bool guest_view_save(const GuestView *v, uint64_t addr, uint64_t size, const char *filename,
                     GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(GUEST_READ_MAX);
    FILE *f = fopen(filename, "wbe");
    bool ok = true;

    if (!f) {
        return gw_fail_errno(errp, GW_ERROR_IO, errno, "Could not open '%s'", filename);
    }
    for (uint64_t done = 0; ok && done < size;) {
        uint64_t n = MIN(size - done, GUEST_READ_MAX);

        ok = check_read(v, guest_view_read(v, addr + done, buf, n), addr, done, size, errp);
        if (ok && fwrite(buf, 1, n, f) != n) {
            ok = gw_fail_errno(errp, GW_ERROR_IO, errno, "Could not write '%s'", filename);
        }
        done += n;
    }
    if (fclose(f) != 0 && ok) {
        ok = gw_fail_errno(errp, GW_ERROR_IO, errno, "Could not write '%s'", filename);
    }
    return ok;
}
