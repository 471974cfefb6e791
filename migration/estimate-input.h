/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What estimate-input.c lends to outlook.c. Any thread; no lock but that of the option values.
 */
#ifndef MIGRATION_ESTIMATE_INPUT_H
#define MIGRATION_ESTIMATE_INPUT_H

#include "migration/estimate.h"

/* Takes the downtime limit and the throttle's settings from the parameters. */
void estimate_options(MigrationState *ms, EstimateInput *in);

#endif
