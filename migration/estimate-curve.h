/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty curve as a function, beyond what was measured as well. Pure; any thread. Private to the
 * model: estimate.c, estimate-pass.c, outlook.c. Times in seconds of guest time.
 */
#ifndef MIGRATION_ESTIMATE_CURVE_H
#define MIGRATION_ESTIMATE_CURVE_H

#include "migration/estimate.h"

/*
 * Different pages that are written within t. Straight between two points; behind the last one it
 * goes on as it bent over the last half of the measurement: the growth of each quarter is the same
 * part of the one before. Never more than all of RAM.
 */
double curve_pages(const DirtySurvey *s, double t);
/* What curve_pages() comes to in the end: the working set. */
double curve_limit(const DirtySurvey *s);
/* The mean of curve_pages() over [0, t]: what a pass of length t leaves behind when each page is
 * protected only when it is sent, and hot pages lie anywhere in the pass. */
double curve_mean(const DirtySurvey *s, double t);
/* The same for the first pass, whose order is that of memory: hot pages lie where they lie. */
double curve_first_pass(const DirtySurvey *s, double t);

/* The part of its work that a guest gets done whose vCPUs sleep that percentage of their time: what
 * they sleep in any case is no loss. */
double curve_work(const DirtySurvey *s, unsigned throttle);

#endif
