/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model's precopy: pass after pass, as migration-thread.c decides them. Pure; any thread.
 * Private to the model: estimate.c, estimate-pass.c.
 */
#ifndef MIGRATION_ESTIMATE_PASS_H
#define MIGRATION_ESTIMATE_PASS_H

#include "migration/estimate.h"

typedef struct PassSim {
    const EstimateInput *in;
    EstimateMethod method;
    double begun_s;          /* how long the migration had been going before time_s */
    double time_s, stolen_s, bytes;
    double pending;          /* pages that the last look found */
    double last_pending;
    double pass_pages;       /* that the pass which goes on sends */
    unsigned passes, polish, stuck;
    unsigned throttle, throttle_seen, busy_periods;
    double period_s, period_sent, period_dirty; /* bytes; since the throttle was last thought of */
} PassSim;

void pass_sim_init(PassSim *s, const EstimateInput *in, EstimateMethod method);
/* The first pass over all of RAM. */
void pass_sim_first(PassSim *s);
/* The rest of a pass that is under way. */
void pass_sim_rest(PassSim *s, const EstimateProgress *p);
/* Passes until the rest fits into the downtime limit; false: it will not. */
bool pass_sim_run(PassSim *s);
/* Seconds that these pages take on the wire. */
double pass_sim_send_s(const EstimateInput *in, double pages);

#endif
