/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration section: what both ends must agree on before anything else. */
#ifndef MIGRATION_CONFIG_SECTION_H
#define MIGRATION_CONFIG_SECTION_H

#include "state.h"
#include "vmstate-codec.h"

/* Body of the section, without the type byte. `notes` as in vmstate_save(), may be NULL. */
bool config_section_save(MigrationState *ms, StreamWriter *w, VMStateNotes *notes, GError **errp);
/* Reads the body and compares it with this machine. */
bool config_section_load(MigrationState *ms, StreamReader *r, GError **errp);

#endif
