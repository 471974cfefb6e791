/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the rooms of vmstate: encoding, decoding and describing one object. Device state is
 * touched with the machine lock held; nothing here has a lock or state of its own.
 *
 * Order of the hooks. Saving: an object's pre_save, its fields, its subsections, its post_save (in
 * any case, once pre_save has succeeded). Decoding: pre_load, fields, subsections, post_load; so
 * post_load of a nested object runs before that of the object which holds it, in wire order. apply
 * and post_commit, in their phases, run in that same order.
 */
#ifndef MIGRATION_VMSTATE_CODEC_H
#define MIGRATION_VMSTATE_CODEC_H

#include "migration/vmstate.h"
#include "stream.h"

/* Elements that a list or tree, and bytes that a byte array may claim when num_max is 0. */
#define VMSTATE_LIST_MAX 65536
#define VMSTATE_BYTES_MAX (16u * 1024 * 1024)

#define VMSTATE_MARKER_NULL 0x30
#define VMSTATE_MARKER_PRESENT 0x31

struct VMStateWriter {
    StreamWriter *stream;
};

struct VMStateReader {
    StreamReader *stream;
    GArray *loaded; /* of VMStateLoaded; NULL inside a TMP object, which has no later phase */
};

/* A decoded object that wants a later phase. */
typedef struct VMStateLoaded {
    const VMStateDescription *vmsd;
    void *opaque;
} VMStateLoaded;

/*
 * What was encoded, noted at the cost of a few stores, to be described in JSON when there is time.
 * An object's note is followed by those of its fields, then by its subsections' objects; a field's
 * by those of its elements (one for all where they can only be alike), an element's by that of the
 * object which it is, if it is one.
 */
typedef enum VMStateNoteKind {
    VMSTATE_NOTE_OBJECT,  /* what: VMStateDescription; n: version */
    VMSTATE_NOTE_FIELD,   /* what: VMStateField; n: elements */
    VMSTATE_NOTE_ELEMENT, /* what: VMStateField, NULL for a NULL pointer; n: bytes */
} VMStateNoteKind;

typedef struct VMStateNote {
    uint32_t kind;
    uint32_t span;        /* this note and those inside */
    const void *what;     /* static */
    uint64_t n;
} VMStateNote;

typedef GArray VMStateNotes; /* of VMStateNote */

/* ---- the front door; savevm.c and loadvm.c ---- */

/* Encodes `opaque` at the description's own version. `notes`, if not NULL, gets the note of the
 * object and all that are inside. */
bool vmstate_save(StreamWriter *w, const VMStateDescription *vmsd, void *opaque,
                  VMStateNotes *notes, GError **errp);
/* Phase 1. Appends the objects with later phases to `loaded`, valid until the device is loaded
 * again or goes away. */
bool vmstate_load(StreamReader *r, const VMStateDescription *vmsd, void *opaque, int version_id,
                  GArray *loaded, GError **errp);
/* Phase 2, inside the machine's transaction. */
bool vmstate_apply(const GArray *loaded, GError **errp);
/* Phase 4, after the commit. */
bool vmstate_post_commit(const GArray *loaded, GError **errp);

/* ---- inside ---- */

bool vmstate_save_object(VMStateWriter *w, const VMStateDescription *vmsd, void *opaque,
                         int version_id, VMStateNotes *notes, GError **errp);
bool vmstate_load_object(VMStateReader *r, const VMStateDescription *vmsd, void *opaque,
                         int version_id, GError **errp);
bool vmstate_load_subsections(VMStateReader *r, const VMStateDescription *vmsd, void *opaque,
                              GError **errp);

/* vmstate-fields.c */
bool vmstate_field_exists(const VMStateField *f, void *opaque, int version_id);
int vmstate_nested_version(const VMStateField *f);
/* Whether a count member says how much there is. */
bool vmstate_field_is_counted(const VMStateField *f);
uint64_t vmstate_field_count(const VMStateField *f, const void *opaque);
/* How many elements follow each other on the wire (1 for kinds whose count is inside). */
uint64_t vmstate_field_elements(const VMStateField *f, const void *opaque);
/* Bytes of a variable buffer for a count that is within bounds; false if that overflows. */
bool vmstate_vbuffer_len(const VMStateField *f, const void *opaque, size_t *len);
/* Largest counts the stream may claim, one per field; NULL if no field needs one. */
uint64_t *vmstate_field_limits(const VMStateDescription *vmsd, const void *opaque);

/* vmstate-types.c: kinds whose wire form needs nothing but the member. */
const char *vmstate_type_name(const VMStateField *f);
void vmstate_put_leaf(VMStateWriter *w, const void *p, const VMStateField *f);
bool vmstate_get_leaf(VMStateReader *r, void *p, const VMStateField *f, GError **errp);

/* vmstate-containers.c. Sized: variable buffers and bitmaps, whose count is another member of
 * `opaque` and, when loading, has been checked. Containers: p is the member that holds the
 * GPtrArray *, GTree * or GByteArray *. */
bool vmstate_put_sized(VMStateWriter *w, const void *opaque, const VMStateField *f, GError **errp);
bool vmstate_get_sized(VMStateReader *r, void *opaque, const VMStateField *f, GError **errp);
bool vmstate_put_container(VMStateWriter *w, const void *p, const VMStateField *f, GError **errp);
bool vmstate_get_container(VMStateReader *r, void *p, const VMStateField *f, GError **errp);

/* vmstate-desc.c */
VMStateNotes *vmstate_notes_new(void);
/* Begins a note, to be closed with what it turned out to be when all inside is noted. Both do
 * nothing if `notes` is NULL. */
guint vmstate_note(VMStateNotes *notes, VMStateNoteKind kind, const void *what, uint64_t n);
void vmstate_note_close(VMStateNotes *notes, guint note, const void *what, uint64_t n);
/* Appends the members that describe the object noted at index `at`: vmsd_name, version, fields,
 * subsections. */
void vmstate_describe(GString *out, const VMStateNotes *notes, guint at);
/* A JSON string, quoted. */
void vmstate_describe_string(GString *out, const char *text);

#endif
