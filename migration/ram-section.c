/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RAM section's entry in the registry: both directions. The threads and locks are those of
 * ram.c (sending) and ram-load.c (receiving). */
#include "ram-load.h"
#include "ram-save.h"

static const SaveVMHandlers ram_handlers = {
    .save_setup = ram_save_setup,
    .save_iterate = ram_save_iterate,
    .save_complete = ram_save_complete,
    .save_cleanup = ram_save_cleanup,
    .pending = ram_save_pending,
    .load_setup = ram_load_setup,
    .load_state = ram_load_state,
    .load_cleanup = ram_load_cleanup,
    .has_postcopy = true,
};

void ram_register(MigrationState *ms)
{
    g_autoptr(GError) err = NULL;

    /* The registry is new and empty: the name cannot be taken. */
    if (!save_registry_add_iterable(&ms->registry, RAM_SECTION_NAME, 0, RAM_SECTION_VERSION,
                                    &ram_handlers, ms, &err)) {
        g_warning("RAM section: %s", err->message);
    }
}

void ram_unregister(MigrationState *ms)
{
    g_clear_pointer(&ms->ram_blocks, g_ptr_array_unref);
}
