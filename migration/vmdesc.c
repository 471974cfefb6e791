/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of the description: configuration, page size, and an entry for each section with a
 * vmstate description. Objects: vmstate-desc.c. Migration thread, machine lock not needed: what is
 * described was noted before, and the registry does not change while a migration runs.
 * Wire: spec stream 1.5.
 */
#include "vmdesc.h"

#include "config-section.h"
#include "state.h"

#define TARGET_PAGE_SIZE 4096
#define TEXT_AT_FIRST ((gsize)64 * 1024)

typedef struct Section {
    const SaveStateEntry *se;
    guint at; /* its object's note */
} Section;

struct VMDesc {
    VMStateNotes *notes;
    GArray *sections; /* of Section */
};

VMDesc *vmdesc_new(void)
{
    VMDesc *d = g_new(VMDesc, 1);

    d->notes = vmstate_notes_new();
    d->sections = g_array_new(FALSE, FALSE, sizeof(Section));
    return d;
}

void vmdesc_free(VMDesc *d)
{
    if (d) {
        g_array_unref(d->notes);
        g_array_unref(d->sections);
        g_free(d);
    }
}

VMStateNotes *vmdesc_begin_section(VMDesc *d, const SaveStateEntry *se)
{
    if (!d) {
        return NULL;
    }
    const Section s = {se, d->notes->len};

    g_array_append_val(d->sections, s);
    return d->notes;
}

/* It went out with the header: it is encoded again, to nowhere, to be noted. */
static void append_configuration(MigrationState *ms, GString *out)
{
    g_autoptr(StreamWriter) nowhere = stream_writer_new(NULL);
    g_autoptr(GArray) notes = vmstate_notes_new();

    if (gw_compat(ms)->send_configuration && config_section_save(ms, nowhere, notes, NULL)) {
        g_string_append(out, "\"configuration\":{");
        vmstate_describe(out, notes, 0);
        g_string_append(out, "},");
    }
}

static void append_section(GString *out, const VMDesc *d, const Section *s)
{
    g_string_append(out, "{\"name\":");
    vmstate_describe_string(out, s->se->idstr);
    g_string_append_printf(out, ",\"instance_id\":%u,", s->se->instance_id);
    vmstate_describe(out, d->notes, s->at);
    g_string_append_c(out, '}');
}

GString *vmdesc_text(MigrationState *ms, const VMDesc *d)
{
    GString *out = g_string_sized_new(TEXT_AT_FIRST);

    g_string_append_c(out, '{');
    append_configuration(ms, out);
    g_string_append_printf(out, "\"page_size\":%d,\"devices\":[", TARGET_PAGE_SIZE);
    for (guint i = 0; i < d->sections->len; i++) {
        g_string_append(out, i ? "," : "");
        append_section(out, d, &g_array_index(d->sections, Section, i));
    }
    g_string_append(out, "]}");
    return out;
}
