/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The account of the time in which the guest stands still: see blackout.c. */
#ifndef MIGRATION_BLACKOUT_H
#define MIGRATION_BLACKOUT_H

#include "state.h"

/* Adds the time since `start` to the counter; returns now, the start of the next part. */
int64_t blackout_lap(MigrationState *ms, uint64_t *counter, int64_t start);
/* A copy for whoever asks; any thread. */
void blackout_copy(MigrationBlackout *to, const MigrationBlackout *from);
/* An array of MigrationDeviceTimes of all device sections that were saved or loaded. */
GArray *blackout_devices(MigrationState *ms);
/* Trace event migration_blackout, at the end of each side's part. */
void blackout_trace_source(MigrationState *ms);
void blackout_trace_destination(MigrationState *ms);

#endif
