/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The JSON description of device state that follows a precopy stream. While the state is encoded,
 * the guest stands still: so its layout, with sizes as on the wire, is only noted then, and turned
 * into text when the state is on its way. Migration thread; no state of its own.
 * Wire: spec stream 1.5. Readers ignore the content, people and analysis tools do not.
 *
 * The destination reads the text before it starts the guest: that is why it is written straight
 * into a buffer, without a tree of objects in between.
 */
#include "vmstate-codec.h"

#include <inttypes.h>
#include <json.h>
#include <string.h>

#define NOTES_AT_FIRST 4096

static const VMStateNote *note_at(const VMStateNotes *notes, guint i)
{
    return &g_array_index(notes, VMStateNote, i);
}

/* ---- noting ---- */

VMStateNotes *vmstate_notes_new(void)
{
    return g_array_sized_new(FALSE, FALSE, sizeof(VMStateNote), NOTES_AT_FIRST);
}

guint vmstate_note(VMStateNotes *notes, VMStateNoteKind kind, const void *what, uint64_t n)
{
    const VMStateNote note = {.kind = kind, .span = 1, .what = what, .n = n};

    if (!notes) {
        return 0;
    }
    g_array_append_val(notes, note);
    return notes->len - 1;
}

void vmstate_note_close(VMStateNotes *notes, guint note, const void *what, uint64_t n)
{
    if (notes) {
        VMStateNote *open = &g_array_index(notes, VMStateNote, note);

        open->span = notes->len - note;
        open->what = what;
        open->n = n;
    }
}

/* ---- describing ---- */

static void append_number(GString *out, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    g_string_append_len(out, digits + at, (gssize)(sizeof(digits) - at));
}

/* Names are those of members and sections: as a rule nothing in them has to be escaped. */
static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

void vmstate_describe_string(GString *out, const char *text)
{
    json_object *s;

    if (is_plain(text)) {
        g_string_append_c(out, '"');
        g_string_append(out, text);
        g_string_append_c(out, '"');
        return;
    }
    s = json_object_new_string(text);
    g_string_append(out, json_object_to_json_string_ext(s, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(s);
}

/* A name that the description lists more than once gets its number among those: "unused[1]". */
static void append_field_name(GString *out, const VMStateDescription *vmsd, const VMStateField *f)
{
    g_autofree char *numbered = NULL;
    int same = 0, number = 0;

    for (const VMStateField *g = vmsd->fields; g->name; g++) {
        if (g == f) {
            number = same;
        }
        same += g->name[0] == f->name[0] && strcmp(g->name, f->name) == 0;
    }
    if (same > 1) {
        numbered = g_strdup_printf("%s[%d]", f->name, number);
    }
    vmstate_describe_string(out, numbered ? numbered : f->name);
}

static void append_element(GString *out, const VMStateNotes *notes, guint at)
{
    const VMStateNote *e = note_at(notes, at);
    const VMStateField *f = e->what;

    g_string_append(out, "\"type\":");
    vmstate_describe_string(out, f ? vmstate_type_name(f) : "nullptr");
    if (e->span > 1 && f->kind == VMS_TMP) {
        g_string_append_c(out, ',');
        vmstate_describe(out, notes, at + 1);
    } else if (e->span > 1) {
        g_string_append(out, ",\"struct\":{");
        vmstate_describe(out, notes, at + 1);
        g_string_append_c(out, '}');
    }
    g_string_append(out, ",\"size\":");
    append_number(out, e->n);
}

static void append_entry(GString *out, const VMStateNotes *notes, const VMStateDescription *vmsd,
                         const VMStateField *f, const char *position, uint64_t value, guint element)
{
    if (out->str[out->len - 1] == '}') {
        g_string_append_c(out, ',');
    }
    g_string_append(out, "{\"name\":");
    append_field_name(out, vmsd, f);
    if (position) {
        g_string_append(out, position);
        append_number(out, value);
    }
    g_string_append_c(out, ',');
    append_element(out, notes, element);
    g_string_append_c(out, '}');
}

static bool same_notes(const VMStateNotes *notes, guint a, guint b)
{
    const guint span = note_at(notes, a)->span;

    return note_at(notes, b)->span == span &&
           memcmp(note_at(notes, a), note_at(notes, b), span * sizeof(VMStateNote)) == 0;
}

/* Elements that are all alike become one entry, others one each. */
static void append_field(GString *out, const VMStateNotes *notes, const VMStateDescription *vmsd,
                         guint at)
{
    const VMStateNote *field = note_at(notes, at);
    const guint first = at + 1, end = at + field->span;
    uint64_t index = 0;
    bool same = true;

    for (guint i = first; i < end && same; i += note_at(notes, i)->span) {
        same = same_notes(notes, first, i);
    }
    if (same && first < end) {
        append_entry(out, notes, vmsd, field->what, field->n > 1 ? ",\"array_len\":" : NULL,
                     field->n, first);
        return;
    }
    for (guint i = first; i < end; i += note_at(notes, i)->span) {
        append_entry(out, notes, vmsd, field->what, ",\"index\":", index++, i);
    }
}

static void append_subsections(GString *out, const VMStateNotes *notes, guint at, guint end)
{
    const char *before = ",\"subsections\":[{";

    for (guint i = at; i < end; i += note_at(notes, i)->span) {
        g_string_append(out, before);
        vmstate_describe(out, notes, i);
        before = "},{";
    }
    g_string_append(out, at < end ? "}]" : "");
}

void vmstate_describe(GString *out, const VMStateNotes *notes, guint at)
{
    const VMStateNote *object = note_at(notes, at);
    const VMStateDescription *vmsd = object->what;
    const guint end = at + object->span;
    guint i = at + 1;

    g_string_append(out, "\"vmsd_name\":");
    vmstate_describe_string(out, vmsd->name);
    g_string_append(out, ",\"version\":");
    append_number(out, object->n);
    g_string_append(out, ",\"fields\":[");
    for (; i < end && note_at(notes, i)->kind == VMSTATE_NOTE_FIELD; i += note_at(notes, i)->span) {
        append_field(out, notes, vmsd, i);
    }
    g_string_append_c(out, ']');
    append_subsections(out, notes, i, end);
}
