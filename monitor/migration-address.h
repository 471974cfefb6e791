/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the monitor's form of migration addresses and the engine's. Any thread. */
#ifndef MONITOR_MIGRATION_ADDRESS_H
#define MONITOR_MIGRATION_ADDRESS_H

#include <glib.h>
#include <json-c/json.h>

#include "migration/channel.h"

/* From the arguments of migrate or migrate-incoming (checked against the schema): exactly one of
 * `uri` and `channels`. Caller frees. */
GwAddress *migration_address_from_args(json_object *args, GError **errp);
/* A SocketAddress of the schema; NULL for what is no socket. Caller puts. */
json_object *migration_address_to_socket(const GwAddress *addr);

#endif
