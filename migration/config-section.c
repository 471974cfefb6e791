/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration section: machine name, the capabilities that both ends must share, UUID.
 * Written by the migration thread, read and checked by the incoming thread; no lock.
 * Wire: spec stream 1.2. It is an ordinary vmstate object without a version on the wire.
 */
#include "config-section.h"

#include <string.h>

#include "error.h"
#include "skip-zero.h"
#include "vmstate-codec.h"

/* Far above any machine's name, and what a peer may make this side allocate. */
#define NAME_MAX_BYTES 1024
#define CAPS_MAX 256

/* Capabilities that a peer may name. Those that change the stream itself are validated: on at both
 * ends or at none. The others tell nothing that matters here. */
static const struct KnownCap {
    const char *name;
    bool validated;
} known_caps[] = {
    {"x-ignore-shared", true},
    {"mapped-ram", true},
    {"xbzrle", false},
    {"rdma-pin-all", false},
    {"auto-converge", false},
    {"zero-blocks", false},
    {"compress", false},
    {"events", false},
    {"postcopy-ram", false},
    {"x-colo", false},
    {"release-ram", false},
    {"block", false},
    {"return-path", false},
    {"pause-before-switchover", false},
    {"multifd", false},
    {"dirty-bitmaps", false},
    {"postcopy-blocktime", false},
    {"late-block-activate", false},
    {"validate-uuid", false},
    {"background-snapshot", false},
    {"zero-copy-send", false},
    {"postcopy-preempt", false},
    {"switchover-ack", false},
    {"dirty-limit", false},
    {"skip-zero-pages", false},
};

/* The one that is sent only when the stream is to be understood in another way because of it. */
#define SKIP_ZERO_CAP (G_N_ELEMENTS(known_caps) - 1)

typedef struct ConfigState {
    MigrationState *ms;
    uint32_t len;
    char *name;
    uint32_t caps_count;
    bool received[G_N_ELEMENTS(known_caps)];
    uint32_t page_bits;
    uint8_t uuid[16];
} ConfigState;

static bool locally_on(MigrationState *ms, const char *name)
{
    int cap = gw_capability_by_name(name);

    return cap >= 0 && gw_capability_get(ms, (MigrationCapability)cap);
}

static bool is_sent(ConfigState *c, size_t i)
{
    return known_caps[i].validated ? locally_on(c->ms, known_caps[i].name)
                                   : i == SKIP_ZERO_CAP && skip_zero_by_flag(c->ms);
}

static bool caps_needed(void *opaque)
{
    bool any = false;

    for (size_t i = 0; i < G_N_ELEMENTS(known_caps); i++) {
        any = any || is_sent(opaque, i);
    }
    return any;
}

static bool caps_pre_save(void *opaque, GError **errp)
{
    ConfigState *c = opaque;

    c->caps_count = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(known_caps); i++) {
        c->caps_count += is_sent(c, i);
    }
    return true;
}

static void put_caps(VMStateWriter *w, const void *member, const VMStateField *field)
{
    ConfigState *c = (ConfigState *)((uint8_t *)member - offsetof(ConfigState, received));

    for (size_t i = 0; i < G_N_ELEMENTS(known_caps); i++) {
        if (is_sent(c, i)) {
            vmstate_put_u8(w, (uint8_t)strlen(known_caps[i].name));
            vmstate_put_bytes(w, known_caps[i].name, strlen(known_caps[i].name));
        }
    }
}

static bool get_caps(VMStateReader *r, void *member, const VMStateField *field, GError **errp)
{
    ConfigState *c = (ConfigState *)((uint8_t *)member - offsetof(ConfigState, received));

    if (c->caps_count > CAPS_MAX) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "the stream claims %u capabilities",
                       c->caps_count);
    }
    for (uint32_t n = 0; n < c->caps_count; n++) {
        char name[256];
        size_t i;

        if (!stream_get_str8(r->stream, name, errp)) {
            return false;
        }
        for (i = 0; i < G_N_ELEMENTS(known_caps); i++) {
            if (strcmp(known_caps[i].name, name) == 0) {
                c->received[i] = true;
                break;
            }
        }
        if (i == G_N_ELEMENTS(known_caps)) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "Received unknown capability %s; switch it off on the source", name);
        }
    }
    return true;
}

static const VMStateDescription vmstate_caps = {
    .name = "configuration/capabilities",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = caps_needed,
    .pre_save = caps_pre_save,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(caps_count, ConfigState),
        {.name = "capabilities", .kind = VMS_CUSTOM, .type = "capability",
         .offset = offsetof(ConfigState, received), .put = put_caps, .get = get_caps},
        VMSTATE_END,
    },
};

static bool never(void *opaque)
{
    return false;
}

static bool page_bits_post_load(void *opaque, int version_id, GError **errp)
{
    ConfigState *c = opaque;

    return c->page_bits == 12 ||
           gw_fail(errp, GW_ERROR_PROTOCOL, "Received page bits %u and local is 12", c->page_bits);
}

/* Never sent: pages of 4 KiB are what its absence means. */
static const VMStateDescription vmstate_page_bits = {
    .name = "configuration/target-page-bits",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = never,
    .post_load = page_bits_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(page_bits, ConfigState),
        VMSTATE_END,
    },
};

static bool uuid_needed(void *opaque)
{
    ConfigState *c = opaque;

    return c->ms->has_uuid && gw_capability_get(c->ms, MIGRATION_CAP_VALIDATE_UUID);
}

static char *uuid_text(const uint8_t *u)
{
    GString *s = g_string_new(NULL);

    for (int i = 0; i < 16; i++) {
        g_string_append_printf(s, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                               u[i]);
    }
    return g_string_free(s, FALSE);
}

static bool uuid_post_load(void *opaque, int version_id, GError **errp)
{
    ConfigState *c = opaque;
    g_autofree char *theirs = uuid_text(c->uuid);
    g_autofree char *ours = uuid_text(c->ms->uuid);

    if (!c->ms->has_uuid) {
        g_message("UUID is received %s, but local has no UUID to compare it with (-uuid)", theirs);
        return true;
    }
    return memcmp(c->uuid, c->ms->uuid, sizeof(c->uuid)) == 0 ||
           gw_fail(errp, GW_ERROR_PROTOCOL, "UUID received is %s and local is %s", theirs, ours);
}

static bool uuid_pre_save(void *opaque, GError **errp)
{
    ConfigState *c = opaque;

    memcpy(c->uuid, c->ms->uuid, sizeof(c->uuid));
    return true;
}

static const VMStateDescription vmstate_uuid = {
    .name = "configuration/uuid",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = uuid_needed,
    .pre_save = uuid_pre_save,
    .post_load = uuid_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8_ARRAY(uuid, ConfigState, 16),
        VMSTATE_END,
    },
};

static bool config_pre_save(void *opaque, GError **errp)
{
    ConfigState *c = opaque;

    c->name = g_strdup(c->ms->machine_name);
    c->len = (uint32_t)strlen(c->name);
    return true;
}

static bool config_post_load(void *opaque, int version_id, GError **errp)
{
    ConfigState *c = opaque;

    /* QEMU accepts a beginning of the local name as well; nobody sends that. */
    if (c->len != strlen(c->ms->machine_name) ||
        memcmp(c->name ? c->name : "", c->ms->machine_name, c->len) != 0) {
        g_autofree char *theirs = g_strndup(c->name ? c->name : "", c->len);

        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Machine type received is '%s' and local is '%s'; start this machine with "
                       "the source's -machine", theirs, c->ms->machine_name);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(known_caps); i++) {
        bool here = locally_on(c->ms, known_caps[i].name);

        if (known_caps[i].validated && c->received[i] != here) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "Capability %s is %s, but received capability is %s; set it alike on "
                           "both ends", known_caps[i].name, here ? "on" : "off",
                           here ? "off" : "on");
        }
    }
    c->ms->in.zero_promised = c->received[SKIP_ZERO_CAP];
    return !c->ms->in.zero_promised || locally_on(c->ms, "skip-zero-pages") ||
           gw_fail(errp, GW_ERROR_PROTOCOL,
                   "The stream leaves zero pages out, but capability skip-zero-pages is off here; "
                   "set it on this side too");
}

static const VMStateDescription vmstate_configuration = {
    .name = "configuration",
    .version_id = 1,
    .pre_save = config_pre_save,
    .post_load = config_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(len, ConfigState),
        VMSTATE_VBUFFER_ALLOC(name, ConfigState, len, NAME_MAX_BYTES),
        VMSTATE_END,
    },
    .subsections = (const VMStateDescription *const[]){
        &vmstate_page_bits,
        &vmstate_caps,
        &vmstate_uuid,
        NULL,
    },
};

bool config_section_save(MigrationState *ms, StreamWriter *w, VMStateNotes *notes, GError **errp)
{
    ConfigState c = {.ms = ms};
    bool ok = vmstate_save(w, &vmstate_configuration, &c, notes, errp);

    g_free(c.name);
    return ok;
}

bool config_section_load(MigrationState *ms, StreamReader *r, GError **errp)
{
    ConfigState c = {.ms = ms};
    bool ok = vmstate_load(r, &vmstate_configuration, &c, vmstate_configuration.version_id, NULL,
                           errp);

    g_free(c.name);
    return ok;
}
