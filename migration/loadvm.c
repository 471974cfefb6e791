/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiving end: file header, then the element loop that hands sections to whoever registered
 * them and commands to the incoming state machine. Incoming thread (in postcopy a second reader
 * runs at the same time on the main channel: see load_lock in savevm.h); machine lock not held.
 * Wire: spec stream 1.1, 1.3 and 1.9.
 *
 * Section ids are the sender's; they are learnt from START and FULL. Nothing can be skipped, for
 * there are no lengths: every surprise ends the load with a message that names the section.
 */
#include "savevm.h"

#include <inttypes.h>
#include <string.h>

#include "config-section.h"
#include "device-load.h"
#include "error.h"
#include "state.h"

/* What a source without a description, but with an open return path, can make this side wait. */
#define VMDESC_WAIT_MS 500

static SaveStateEntry *entry_at(MigrationState *ms, guint i)
{
    return g_ptr_array_index(ms->registry.entries, i);
}

static bool load_file_header(StreamReader *r, GError **errp)
{
    uint32_t magic, version;

    if (!stream_get_be32(r, &magic, errp)) {
        return false;
    }
    if (magic != QEMU_VM_FILE_MAGIC) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "Not a migration stream, magic: %x != %x", magic,
                       QEMU_VM_FILE_MAGIC);
    }
    if (!stream_get_be32(r, &version, errp)) {
        return false;
    }
    if (version == 2) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "stream version 2 is obsolete and not supported; migrate from QEMU 0.10 or "
                       "newer");
    }
    return version == QEMU_VM_FILE_VERSION ||
           gw_fail(errp, GW_ERROR_UNSUPPORTED, "Unsupported migration stream version: %x != %x",
                   version, QEMU_VM_FILE_VERSION);
}

static bool load_configuration(MigrationState *ms, StreamReader *r, GError **errp)
{
    uint8_t type;

    if (!gw_compat(ms)->send_configuration) {
        return true;
    }
    if (!stream_get_u8(r, &type, errp)) {
        return false;
    }
    if (type != QEMU_VM_CONFIGURATION) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Configuration section missing, %x != %x; set migration.send-configuration "
                       "alike on both ends", type, QEMU_VM_CONFIGURATION);
    }
    return config_section_load(ms, r, errp);
}

bool loadvm_header(MigrationState *ms, StreamReader *r, GError **errp)
{
    return load_file_header(r, errp) && load_configuration(ms, r, errp);
}

bool loadvm_setup(MigrationState *ms, GError **errp)
{
    pthread_mutex_lock(&ms->registry.load_lock);
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        entry_at(ms, i)->announced = false;
    }
    pthread_mutex_unlock(&ms->registry.load_lock);
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);

        if (!se->handlers) {
            continue;
        }
        se->loading = true;
        if (se->handlers->load_setup && !se->handlers->load_setup(se->opaque, errp)) {
            g_prefix_error(errp, "section '%s' instance %u: ", se->idstr, se->instance_id);
            return false;
        }
    }
    return true;
}

/* The entry that the sender calls by that id; NULL if it announced none. */
static SaveStateEntry *find_announced(MigrationState *ms, uint32_t section_id, int *version_id)
{
    SaveStateEntry *found = NULL;

    pthread_mutex_lock(&ms->registry.load_lock);
    for (guint i = 0; i < ms->registry.entries->len && !found; i++) {
        SaveStateEntry *se = entry_at(ms, i);

        if (se->announced && se->load_section_id == section_id) {
            found = se;
            *version_id = se->load_version_id;
        }
    }
    pthread_mutex_unlock(&ms->registry.load_lock);
    return found;
}

static void announce(MigrationState *ms, SaveStateEntry *se, uint32_t section_id, int version_id)
{
    pthread_mutex_lock(&ms->registry.load_lock);
    se->announced = true;
    se->load_section_id = section_id;
    se->load_version_id = version_id;
    pthread_mutex_unlock(&ms->registry.load_lock);
}

/* The head of START and FULL after the id: which entry, and may it be loaded. */
static bool load_announcement(MigrationState *ms, StreamReader *r, uint8_t type,
                              uint32_t section_id, SaveStateEntry **se, int *version_id,
                              GError **errp)
{
    bool rounds = type == QEMU_VM_SECTION_START;
    SaveStateEntry *other;
    uint32_t instance_id, version;
    char idstr[256];

    if (!stream_get_str8(r, idstr, errp) || !stream_get_be32(r, &instance_id, errp) ||
        !stream_get_be32(r, &version, errp)) {
        return false;
    }
    *se = save_registry_find(&ms->registry, idstr, instance_id);
    if (!*idstr || !*se) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Unknown section or instance '%s' %u. Make sure that this machine has the "
                       "same devices as the source", idstr, instance_id);
    }
    if (rounds != ((*se)->handlers != NULL)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "section '%s' comes %s; expected is the opposite",
                       idstr, rounds ? "in rounds" : "in one piece");
    }
    if (version > (uint32_t)(*se)->version_id) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "unsupported version %u for '%s' v%d; the source is newer: choose a machine "
                       "version that both ends have", version, idstr, (*se)->version_id);
    }
    other = find_announced(ms, section_id, version_id);
    if (other && other != *se) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "section id %u of '%s' is already that of '%s'",
                       section_id, idstr, other->idstr);
    }
    *version_id = (int)version;
    announce(ms, *se, section_id, (int)version);
    return true;
}

static bool load_footer(MigrationState *ms, StreamReader *r, const SaveStateEntry *se,
                        uint32_t section_id, GError **errp)
{
    uint32_t footer_id;
    uint8_t mark;

    if (!gw_compat(ms)->send_section_footer) {
        return true;
    }
    if (!stream_get_u8(r, &mark, errp)) {
        return false;
    }
    if (mark != QEMU_VM_SECTION_FOOTER) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Missing section footer for %s: its layout on the source is another, or "
                       "migration.send-section-footer differs", se->idstr);
    }
    if (!stream_get_be32(r, &footer_id, errp)) {
        return false;
    }
    return footer_id == section_id ||
           gw_fail(errp, GW_ERROR_PROTOCOL,
                   "Mismatched section id in footer for %s: got %u, expected %u", se->idstr,
                   footer_id, section_id);
}

static bool load_body(DeviceLoad *dl, StreamReader *r, SaveStateEntry *se, int version_id,
                      GError **errp)
{
    return se->handlers ? se->handlers->load_state(se->opaque, r, version_id, errp)
                        : device_load_section(dl, se, version_id, r, errp);
}

static bool load_section(MigrationState *ms, StreamReader *r, uint8_t type, DeviceLoad *dl,
                         GError **errp)
{
    SaveStateEntry *se = NULL;
    uint32_t section_id;
    int version_id = 0;

    if (!stream_get_be32(r, &section_id, errp)) {
        return false;
    }
    if (type == QEMU_VM_SECTION_START || type == QEMU_VM_SECTION_FULL) {
        if (!load_announcement(ms, r, type, section_id, &se, &version_id, errp)) {
            return false;
        }
    } else {
        se = find_announced(ms, section_id, &version_id);
        if (!se || !se->handlers) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "Unknown section %u", section_id);
        }
    }
    if (!load_body(dl, r, se, version_id, errp) || !load_footer(ms, r, se, section_id, errp)) {
        g_prefix_error(errp, "Failed to load section '%s' instance %u: ", se->idstr,
                       se->instance_id);
        return false;
    }
    return true;
}

static bool load_command(StreamReader *r, const LoadvmCommandOps *cmds, void *opaque, bool *quit,
                         GError **errp)
{
    g_autofree uint8_t *payload = NULL;
    uint16_t cmd, len;

    if (!stream_get_be16(r, &cmd, errp) || !stream_get_be16(r, &len, errp)) {
        return false;
    }
    payload = g_malloc(len ? len : 1);
    return stream_get_bytes(r, payload, len, errp) &&
           cmds->command(opaque, r, cmd, payload, len, quit, errp);
}

/* Devices that were only decoded so far are finished before anything that is not one: iterable
 * state, a command (RUN above all) and the end find them loaded, as they would unbatched. */
static bool finish_devices(DeviceLoad *dl, uint8_t next, GError **errp)
{
    const bool ends = next == QEMU_VM_EOF || next == QEMU_VM_COMMAND ||
                      next == QEMU_VM_SECTION_START || next == QEMU_VM_SECTION_PART ||
                      next == QEMU_VM_SECTION_END;

    return !ends || device_load_finish(dl, errp);
}

LoadvmResult loadvm_elements(MigrationState *ms, StreamReader *r, const LoadvmCommandOps *cmds,
                             void *opaque, GError **errp)
{
    /* A package that comes inside another stream is a loop, and a batch, of its own. */
    g_autoptr(DeviceLoad) dl = device_load_new(ms);

    for (;;) {
        bool ok, quit = false;
        uint8_t type;

        if (!stream_get_u8(r, &type, errp) || !finish_devices(dl, type, errp)) {
            return LOADVM_ERROR;
        }
        switch (type) {
        case QEMU_VM_EOF:
            return LOADVM_EOF;
        case QEMU_VM_SECTION_START:
        case QEMU_VM_SECTION_FULL:
        case QEMU_VM_SECTION_PART:
        case QEMU_VM_SECTION_END:
            ok = load_section(ms, r, type, dl, errp);
            break;
        case QEMU_VM_COMMAND:
            ok = load_command(r, cmds, opaque, &quit, errp);
            break;
        default:
            ok = gw_fail(errp, GW_ERROR_PROTOCOL, "Unknown section type %u at byte %" PRIu64, type,
                         stream_consumed(r) - 1);
        }
        if (!ok) {
            return LOADVM_ERROR;
        }
        if (quit) {
            return LOADVM_QUIT;
        }
    }
}

void loadvm_drain_vmdesc(StreamReader *r)
{
    GwChannel *ch = stream_reader_channel(r);
    const uint8_t *bytes;
    uint32_t len;
    uint8_t type;

    if (stream_buffered(r, &bytes) == 0 && ch &&
        gw_channel_wait_readable(ch, VMDESC_WAIT_MS, NULL) != 1) {
        return;
    }
    if (stream_get_u8(r, &type, NULL) && type == QEMU_VM_VMDESCRIPTION &&
        stream_get_be32(r, &len, NULL)) {
        stream_skip(r, len, NULL);
    }
}

void loadvm_cleanup(MigrationState *ms)
{
    for (guint i = 0; i < ms->registry.entries->len; i++) {
        SaveStateEntry *se = entry_at(ms, i);

        if (se->loading && se->handlers->load_cleanup) {
            se->handlers->load_cleanup(se->opaque);
        }
        se->loading = false;
    }
}
