/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `globalstate` section: the run state that the guest had before the source stopped it.
 * Saved and loaded with the machine lock held. Wire: spec minimal-machines 6.2.
 */
#include "state.h"

#include <string.h>

#include "error.h"

struct GlobalState {
    uint32_t size; /* length of run_state with its NUL */
    uint8_t run_state[32];
    bool has_vm_was_suspended;
    bool vm_was_suspended;
    MigrationState *ms;
};
typedef struct GlobalState GlobalState;

static bool global_state_needed(void *opaque)
{
    const GlobalState *g = opaque;

    return gw_compat(g->ms)->store_global_state;
}

static bool global_state_pre_save(void *opaque, GError **errp)
{
    GlobalState *g = opaque;
    const char *word = g->ms->global_run_state;

    memset(g->run_state, 0, sizeof(g->run_state));
    g_strlcpy((char *)g->run_state, word, sizeof(g->run_state));
    g->size = (uint32_t)strlen((char *)g->run_state) + 1;
    g->has_vm_was_suspended = true;
    g->vm_was_suspended = false;
    return true;
}

static bool global_state_post_load(void *opaque, int version_id, GError **errp)
{
    GlobalState *g = opaque;

    if (memchr(g->run_state, 0, sizeof(g->run_state)) == NULL ||
        g->size > sizeof(g->run_state)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "globalstate: the run state is longer than %zu bytes",
                       sizeof(g->run_state) - 1);
    }
    if (!ms_run_state_is_known(g->ms, (const char *)g->run_state)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "globalstate: unknown run state '%s'",
                       (const char *)g->run_state);
    }
    g_strlcpy(g->ms->in.run_state, (const char *)g->run_state, sizeof(g->ms->in.run_state));
    return true;
}

static const VMStateDescription vmstate_globalstate = {
    .name = "globalstate",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = global_state_needed,
    .pre_save = global_state_pre_save,
    .post_load = global_state_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(size, GlobalState),
        VMSTATE_BUFFER(run_state, GlobalState),
        VMSTATE_BOOL(has_vm_was_suspended, GlobalState),
        VMSTATE_BOOL(vm_was_suspended, GlobalState),
        VMSTATE_UNUSED(66),
        VMSTATE_END,
    },
};

bool ms_run_state_is_known(MigrationState *ms, const char *word)
{
    static const char *const words[] = {
        "debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate", "prelaunch",
        "finish-migrate", "restore-vm", "running", "save-vm", "shutdown", "suspended", "watchdog",
        "guest-panicked", "colo", NULL,
    };

    return g_strv_contains(words, word);
}

bool global_state_register(MigrationState *ms, GError **errp)
{
    GlobalState *g = g_new0(GlobalState, 1);

    g->ms = ms;
    ms->global_state = g;
    /* QEMU registers it last; below every device here, so that it always comes last. */
    return save_registry_add_vmstate(&ms->registry, NULL, 0, &vmstate_globalstate, g,
                                     MIGRATION_PRIORITY_LOW, errp);
}
