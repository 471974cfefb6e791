/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration section: what both ends must agree on before anything else. */
#ifndef MIGRATION_CONFIG_SECTION_H
#define MIGRATION_CONFIG_SECTION_H

#include <json.h>

#include "state.h"

/* Body of the section, without the type byte. `desc` as in vmstate_save(), may be NULL. */
bool config_section_save(MigrationState *ms, StreamWriter *w, json_object *desc, GError **errp);
/* Reads the body and compares it with this machine. */
bool config_section_load(MigrationState *ms, StreamReader *r, GError **errp);

#endif
