/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sending end of the element loop: header, sections with their footers, commands, and the
 * description after the end. Migration thread; which calls want the machine lock: savevm.h.
 * Wire: spec stream 1.1, 1.3, 1.5 and 1.6; the configuration section is config-section.c.
 *
 * What is encoded under the machine lock is held back in the writer, so that no call here waits for
 * the peer with the lock held: whoever dropped the lock flushes.
 */
#include "savevm.h"

#include <string.h>

#include "config-section.h"
#include "error.h"
#include "state.h"
#include "vmdesc.h"

static bool writer_ok(StreamWriter *w, GError **errp)
{
    const GError *err = stream_writer_error(w);

    if (err) {
        g_propagate_error(errp, g_error_copy(err));
    }
    return !err;
}

static SaveStateEntry *entry_at(MigrationState *ms, guint i)
{
    return g_ptr_array_index(ms->registry.entries, i);
}

void savevm_put_header(MigrationState *ms, StreamWriter *w)
{
    g_autoptr(GError) err = NULL;

    stream_put_be32(w, QEMU_VM_FILE_MAGIC);
    stream_put_be32(w, QEMU_VM_FILE_VERSION);
    if (gw_compat(ms)->send_configuration) {
        stream_put_u8(w, QEMU_VM_CONFIGURATION);
        if (!config_section_save(ms, w, NULL, &err)) {
            stream_writer_set_error(w, err);
        }
    }
}

void savevm_put_command(StreamWriter *w, uint16_t cmd, const void *payload, uint16_t len)
{
    stream_put_u8(w, QEMU_VM_COMMAND);
    stream_put_be16(w, cmd);
    stream_put_be16(w, len);
    stream_put_bytes(w, payload, len);
}

/* PART and END name the section by its id alone. */
static void put_section_head(StreamWriter *w, const SaveStateEntry *se, uint8_t type)
{
    stream_put_u8(w, type);
    stream_put_be32(w, se->section_id);
    if (type == QEMU_VM_SECTION_START || type == QEMU_VM_SECTION_FULL) {
        stream_put_str8(w, se->idstr);
        stream_put_be32(w, se->instance_id);
        stream_put_be32(w, (uint32_t)se->version_id);
    }
}

/* Ends a section whose body came out as `ok`; gives what the section as a whole came to. */
static bool section_done(MigrationState *ms, StreamWriter *w, const SaveStateEntry *se, bool ok,
                         GError **errp)
{
    if (!ok) {
        g_prefix_error(errp, "Saving section '%s' instance %u failed: ", se->idstr,
                       se->instance_id);
        return false;
    }
    if (gw_compat(ms)->send_section_footer) {
        stream_put_u8(w, QEMU_VM_SECTION_FOOTER);
        stream_put_be32(w, se->section_id);
    }
    return writer_ok(w, errp);
}

static bool setup_entries(MigrationState *ms, StreamWriter *w, GError **errp)
{
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);
        bool ok;

        se->ended = false;
        if (!se->handlers) {
            continue;
        }
        put_section_head(w, se, QEMU_VM_SECTION_START);
        se->saving = true;
        ok = se->handlers->save_setup(se->opaque, w, errp);
        if (!section_done(ms, w, se, ok, errp)) {
            return false;
        }
    }
    return true;
}

bool savevm_state_setup(MigrationState *ms, StreamWriter *w, GError **errp)
{
    bool ok;

    stream_hold(w);
    ok = setup_entries(ms, w, errp);
    stream_release(w);
    return ok;
}

static bool entry_pending(SaveStateEntry *se, bool exact, uint64_t *bytes, GError **errp)
{
    *bytes = 0;
    if (!se->handlers->pending) {
        return true;
    }
    if (!se->handlers->pending(se->opaque, exact, bytes, errp)) {
        g_prefix_error(errp, "section '%s' instance %u: ", se->idstr, se->instance_id);
        return false;
    }
    return true;
}

bool savevm_state_iterate(MigrationState *ms, StreamWriter *w, uint64_t budget, bool *done,
                          GError **errp)
{
    uint64_t end = stream_written(w) + budget;

    *done = true;
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);
        uint64_t left, now = stream_written(w);
        bool ok, entry_done = true;

        if (!se->handlers || se->ended) {
            continue;
        }
        if (!entry_pending(se, false, &left, errp)) {
            return false;
        }
        if (left == 0 && se->handlers->pending) {
            continue;
        }
        put_section_head(w, se, QEMU_VM_SECTION_PART);
        ok = se->handlers->save_iterate(se->opaque, w, end > now ? end - now : 0, &entry_done,
                                        errp);
        if (!section_done(ms, w, se, ok, errp)) {
            return false;
        }
        *done = *done && entry_done;
    }
    return true;
}

bool savevm_state_pending(MigrationState *ms, bool exact, uint64_t *bytes, GError **errp)
{
    *bytes = 0;
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);
        uint64_t left;

        if (!se->handlers || se->ended) {
            continue;
        }
        if (!entry_pending(se, exact, &left, errp)) {
            return false;
        }
        *bytes += left;
    }
    return true;
}

bool savevm_state_complete_iterable(MigrationState *ms, StreamWriter *w, bool in_postcopy,
                                    GError **errp)
{
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);
        bool ok;

        if (!se->handlers || se->ended || (in_postcopy && se->handlers->has_postcopy)) {
            continue;
        }
        put_section_head(w, se, QEMU_VM_SECTION_END);
        ok = se->handlers->save_complete(se->opaque, w, errp);
        if (!section_done(ms, w, se, ok, errp)) {
            return false;
        }
        se->ended = true;
    }
    return true;
}

void savevm_state_reopen(MigrationState *ms)
{
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);

        if (se->handlers && se->handlers->has_postcopy) {
            se->ended = false;
        }
    }
}

static bool complete_devices(MigrationState *ms, StreamWriter *w, VMDesc *vmdesc, GError **errp)
{
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);
        bool ok;

        if (!se->vmsd || (se->vmsd->needed && !se->vmsd->needed(se->opaque))) {
            continue;
        }
        const int64_t start = ms_now_ns(ms);
        const uint64_t before = stream_written(w);

        put_section_head(w, se, QEMU_VM_SECTION_FULL);
        ok = vmstate_save(w, se->vmsd, se->opaque, vmdesc_begin_section(vmdesc, se), errp);
        if (!section_done(ms, w, se, ok, errp)) {
            return false;
        }
        STAT_SET(se->times.save_ns, (uint64_t)(ms_now_ns(ms) - start));
        STAT_SET(se->times.bytes, stream_written(w) - before);
    }
    return true;
}

bool savevm_state_complete_devices(MigrationState *ms, StreamWriter *w, VMDesc *vmdesc,
                                   GError **errp)
{
    bool ok;

    stream_hold(w);
    ok = complete_devices(ms, w, vmdesc, errp);
    stream_release(w);
    return ok;
}

void savevm_put_vmdesc(StreamWriter *w, const char *json)
{
    size_t len = strlen(json);

    stream_put_u8(w, QEMU_VM_VMDESCRIPTION);
    stream_put_be32(w, (uint32_t)len);
    stream_put_ref(w, json, len);
}

void savevm_state_cleanup(MigrationState *ms)
{
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);

        if (se->saving && se->handlers->save_cleanup) {
            se->handlers->save_cleanup(se->opaque);
        }
        se->saving = false;
    }
}
