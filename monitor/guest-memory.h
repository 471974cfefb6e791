/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory for monitor commands: by physical address, or through a vCPU's page tables. */
#ifndef MONITOR_GUEST_MEMORY_H
#define MONITOR_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct Machine;

/* How to read: vcpu < 0 means physical addresses. */
typedef struct GuestView {
    struct Machine *machine;
    int vcpu;
} GuestView;

/* Reads len bytes, at most up to the next page's begin are translated at a time. False if any of
 * them is not memory. Main loop's thread, machine lock not held. */
bool guest_view_read(const GuestView *v, uint64_t addr, void *buf, uint64_t len);
/* Writes a piece of guest memory to a file; the file is replaced. */
bool guest_view_save(const GuestView *v, uint64_t addr, uint64_t size, const char *filename,
                     GError **errp);

#endif
