/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window in which free-page hints are taken: the engine's side of migration/free-page.h. */
#ifndef MIGRATION_FREE_PAGE_PRIVATE_H
#define MIGRATION_FREE_PAGE_PRIVATE_H

#include "state.h"

void free_page_init(MigrationState *ms);
void free_page_destroy(MigrationState *ms);

/* Migration thread, before the first page is sent: opens the window if there is somebody who hints
 * and nothing speaks against it. False: the dirty log failed. */
bool free_page_open(MigrationState *ms, GError **errp);
/* Before every harvest of the dirty log, and at the end: see free-page.c. Migration thread. */
void free_page_close(MigrationState *ms);

#endif
