/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The description that follows a precopy stream, as a whole: what was noted of each section, and
 * the text of it. One thread at a time; no lock. Wire: spec stream 1.5.
 */
#ifndef MIGRATION_VMDESC_H
#define MIGRATION_VMDESC_H

#include "savevm.h"
#include "vmstate-codec.h"

VMDesc *vmdesc_new(void);
void vmdesc_free(VMDesc *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VMDesc, vmdesc_free)
/* Where the section that comes next is noted; NULL if d is NULL. The entry must stay. */
VMStateNotes *vmdesc_begin_section(VMDesc *d, const SaveStateEntry *se);
/* The JSON text, to be freed. */
GString *vmdesc_text(MigrationState *ms, const VMDesc *d);

#endif
