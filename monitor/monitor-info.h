/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts that QMP and HMP show alike. Main loop's thread. */
#ifndef MONITOR_INFO_H
#define MONITOR_INFO_H

#include <json-c/json.h>

#include "machine.h"

/* In the usual form with dashes; all zero without -uuid. Caller frees. */
char *monitor_uuid_text(const MachineConfig *conf);
bool monitor_kvm_enabled(const Machine *m);
/* query-migrate's reply from what the engine says of both sides. Caller puts. */
json_object *monitor_migration_reply(const MigrationInfo *in, const MigrationInfo *out);

#endif
