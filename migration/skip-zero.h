/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capability skip-zero-pages: both ends agree that the destination's memory is zero before the
 * first page comes; then the zero pages of the first pass need not be sent. What other ways of
 * sending RAM need to know is RamSave.skip_zero at the source; at the destination nothing: the
 * pages count as received. Wire: docs/devel/migration/skip-zero-pages.
 */
#ifndef MIGRATION_SKIP_ZERO_H
#define MIGRATION_SKIP_ZERO_H

#include "state.h"

/* ---- source; migration thread ---- */

/* Whether to open a return path only in order to ask. The main channel is open. */
bool skip_zero_wants_return_path(MigrationState *ms);
/* Whether the stream's configuration says it, because there is no return path to ask on. */
bool skip_zero_by_flag(MigrationState *ms);
/* After START was put: asks the destination, where there is a return path, and waits for its
 * answer. False: the connection broke or somebody cancelled; a destination that does not agree is
 * no error. Machine lock not held. */
bool skip_zero_settle(MigrationState *ms, StreamWriter *w, GError **errp);

/* ---- destination; incoming thread ---- */

/* The source asks on the return path: makes memory zero and answers. */
bool skip_zero_answer(MigrationState *ms, GError **errp);
/* The block list is complete: if the stream's flag said so, makes memory zero now. */
bool skip_zero_keep_promise(MigrationState *ms, GError **errp);

#endif
