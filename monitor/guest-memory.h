/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory for monitor commands: by physical address, or through a vCPU's page tables. */
#ifndef MONITOR_GUEST_MEMORY_H
#define MONITOR_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct GuestWait;
struct MonitorSet;

/* How to read: vcpu < 0 means physical addresses. */
typedef struct GuestView {
    struct MonitorSet *set;
    int vcpu;
} GuestView;

typedef enum GuestRead {
    GUEST_READ_OK,
    GUEST_READ_NO_MEMORY, /* some of it is not memory */
    GUEST_READ_NOT_YET,   /* a postcopy has not brought some of it, and did not in half a second */
} GuestRead;

/* Longest piece that is read at once, bytes. */
#define GUEST_READ_MAX (64 * 1024u)

/* Reads len bytes, at most GUEST_READ_MAX; pages are translated one by one. Main loop's thread,
 * machine lock not held. */
GuestRead guest_view_read(const GuestView *v, uint64_t addr, void *buf, uint64_t len);
/* Writes a piece of guest memory to a file; the file is replaced. */
bool guest_view_save(const GuestView *v, uint64_t addr, uint64_t size, const char *filename,
                     GError **errp);

/* guest-wait.c: waits a moment for memory that a postcopy has not brought yet; false: it is still
 * missing. At most GUEST_READ_MAX bytes. */
bool guest_wait(struct MonitorSet *set, uint64_t gpa, uint64_t len);
/* Waits for the thread. After the engine has stopped: then nothing is missing any more. */
void guest_wait_free(struct GuestWait *w);

#endif
