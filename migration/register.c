/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The public door to the registry of sections. The caller holds the machine lock.
 */
#include "state.h"

bool gw_vmstate_register(MigrationState *ms, const char *idstr, uint32_t instance_id,
                         const VMStateDescription *vmsd, void *opaque, MigrationPriority priority,
                         GError **errp)
{
    return save_registry_add_vmstate(&ms->registry, idstr, instance_id, vmsd, opaque, priority,
                                     errp);
}

void gw_vmstate_unregister(MigrationState *ms, const VMStateDescription *vmsd, void *opaque)
{
    save_registry_remove(&ms->registry, vmsd, opaque);
}
