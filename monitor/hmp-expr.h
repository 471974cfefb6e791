/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Number expressions of the human monitor. No state. */
#ifndef MONITOR_HMP_EXPR_H
#define MONITOR_HMP_EXPR_H

#include <stdbool.h>
#include <stdint.h>

/* Parses an expression at *p and moves *p behind it. False with *problem (caller frees). */
bool hmp_parse_expression(const char **p, uint64_t *value, char **problem);

#endif
