/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections: the registry of handlers, the order in which they are written, and the two ends of the
 * element loop. Wire: spec stream 1.1-1.7.
 *
 * The registry changes under the machine lock only and not while a migration runs, so that the
 * migration and incoming threads read it without a lock of its own.
 */
#ifndef MIGRATION_SAVEVM_H
#define MIGRATION_SAVEVM_H

#include <pthread.h>

#include "migration/migration.h"
#include "stream.h"

typedef struct VMDesc VMDesc;

#define QEMU_VM_FILE_MAGIC   0x5145564dU
#define QEMU_VM_FILE_VERSION 3U

enum {
    QEMU_VM_EOF = 0x00,
    QEMU_VM_SECTION_START = 0x01,
    QEMU_VM_SECTION_PART = 0x02,
    QEMU_VM_SECTION_END = 0x03,
    QEMU_VM_SECTION_FULL = 0x04,
    QEMU_VM_SUBSECTION = 0x05,
    QEMU_VM_VMDESCRIPTION = 0x06,
    QEMU_VM_CONFIGURATION = 0x07,
    QEMU_VM_COMMAND = 0x08,
    QEMU_VM_SECTION_FOOTER = 0x7e,
};

/* State that is sent in rounds while the guest runs. RAM is the one user so far. */
typedef struct SaveVMHandlers {
    /* Migration thread, lock not held unless said. */
    bool (*save_setup)(void *opaque, StreamWriter *w, GError **errp); /* body of START; lock held */
    /* Body of one PART: until `budget` bytes are put or nothing is left. *done tells the latter. */
    bool (*save_iterate)(void *opaque, StreamWriter *w, uint64_t budget, bool *done,
                         GError **errp);
    bool (*save_complete)(void *opaque, StreamWriter *w, GError **errp); /* END; guest stopped */
    void (*save_cleanup)(void *opaque);
    /* Bytes left to send: a cheap estimate, or, exact, after a dirty sync. */
    bool (*pending)(void *opaque, bool exact, uint64_t *bytes, GError **errp);
    /* Incoming thread. */
    bool (*load_setup)(void *opaque, GError **errp);
    /* Body of START, PART and END alike. */
    bool (*load_state)(void *opaque, StreamReader *r, int version_id, GError **errp);
    void (*load_cleanup)(void *opaque);
    bool has_postcopy; /* may go on after the switchover */
} SaveVMHandlers;

/* What one section cost; relaxed atomics. */
typedef struct SectionTimes {
    uint64_t save_ns, decode_ns, apply_ns, post_commit_ns, bytes;
} SectionTimes;

/* One registered entry (SE). */
typedef struct SaveStateEntry {
    char *idstr;
    uint32_t instance_id;
    uint32_t section_id;   /* ours, when sending */
    int version_id;
    MigrationPriority priority;
    const VMStateDescription *vmsd; /* exactly one of these two */
    const SaveVMHandlers *handlers;
    void *opaque;
    bool saving;           /* save_setup was called, save_cleanup is due */
    bool ended;            /* its END was sent in this migration */
    /* incoming; the next three under load_lock of the registry */
    bool announced;        /* START or FULL seen in this load */
    uint32_t load_section_id; /* theirs, valid while announced */
    int load_version_id;
    bool loading;          /* load_setup was called, load_cleanup is due */
    SectionTimes times;    /* of the last save and the last load */
} SaveStateEntry;

typedef struct SaveRegistry {
    GPtrArray *entries; /* of SaveStateEntry, by descending priority, then registration order */
    uint32_t next_section_id;
    pthread_mutex_t load_lock; /* leaf: in postcopy two threads read sections at the same time */
} SaveRegistry;

void save_registry_init(SaveRegistry *reg);
void save_registry_clear(SaveRegistry *reg);
bool save_registry_add_iterable(SaveRegistry *reg, const char *idstr, uint32_t instance_id,
                                int version_id, const SaveVMHandlers *handlers, void *opaque,
                                GError **errp);
bool save_registry_add_vmstate(SaveRegistry *reg, const char *idstr, uint32_t instance_id,
                               const VMStateDescription *vmsd, void *opaque,
                               MigrationPriority priority, GError **errp);
/* The entry of that name and instance, NULL if there is none. */
SaveStateEntry *save_registry_find(SaveRegistry *reg, const char *idstr, uint32_t instance_id);
void save_registry_remove(SaveRegistry *reg, const VMStateDescription *vmsd, void *opaque);

/* ---- sending; migration thread ---- */

void savevm_put_header(MigrationState *ms, StreamWriter *w);   /* magic, version, configuration */
void savevm_put_command(StreamWriter *w, uint16_t cmd, const void *payload, uint16_t len);
/* START of every iterable; machine lock held. */
bool savevm_state_setup(MigrationState *ms, StreamWriter *w, GError **errp);
/* One PART of every iterable that has something; *done when none has anything left. */
bool savevm_state_iterate(MigrationState *ms, StreamWriter *w, uint64_t budget, bool *done,
                          GError **errp);
bool savevm_state_pending(MigrationState *ms, bool exact, uint64_t *bytes, GError **errp);
/* END of every iterable that has not had it; guest stopped. `in_postcopy`: not yet of those that go
 * on after the switchover. */
bool savevm_state_complete_iterable(MigrationState *ms, StreamWriter *w, bool in_postcopy,
                                    GError **errp);
/* After a broken connection in postcopy: what was sent last, an END too, may not have arrived. */
void savevm_state_reopen(MigrationState *ms);
/* FULL of everything else that is needed; guest stopped, machine lock held. In `vmdesc`, if not
 * NULL, it is noted for the description (vmdesc.h). */
bool savevm_state_complete_devices(MigrationState *ms, StreamWriter *w, VMDesc *vmdesc,
                                   GError **errp);
/* `json` stays until the next flush. */
void savevm_put_vmdesc(StreamWriter *w, const char *json);
void savevm_state_cleanup(MigrationState *ms);

/* ---- loading; incoming thread ---- */

typedef enum LoadvmResult {
    LOADVM_ERROR = -1,
    LOADVM_EOF,   /* the element loop ended with QEMU_VM_EOF */
    LOADVM_QUIT,  /* a command handler asked this reader to stop (postcopy RUN) */
} LoadvmResult;

/* What commands do is the incoming state machine's business. `opaque` is its own. */
typedef struct LoadvmCommandOps {
    /* `payload` holds exactly the command's `len` bytes; PACKAGED reads its blob from `r`. Sets
     * *quit to end the loop. */
    bool (*command)(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                    uint16_t len, bool *quit, GError **errp);
} LoadvmCommandOps;

/* Header and configuration. */
bool loadvm_header(MigrationState *ms, StreamReader *r, GError **errp);
/* Forgets which sections were announced, runs load_setup. */
bool loadvm_setup(MigrationState *ms, GError **errp);
/* The element loop until EOF, quit or error. Takes the machine lock around each FULL section. */
LoadvmResult loadvm_elements(MigrationState *ms, StreamReader *r, const LoadvmCommandOps *cmds,
                             void *opaque, GError **errp);
/* Reads the description after EOF if there is one, so that the source's last write succeeds.
 * Never an error. */
void loadvm_drain_vmdesc(StreamReader *r);
void loadvm_cleanup(MigrationState *ms);

#endif
