/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small object model that QMP shows: types, their parents and their properties. Constant. */
#ifndef MONITOR_QOM_TYPES_H
#define MONITOR_QOM_TYPES_H

#include <stdbool.h>

typedef struct QomProperty {
    const char *name, *type, *description; /* description may be NULL */
} QomProperty;

typedef struct QomType {
    const char *name, *parent;
    bool abstract;
    const QomProperty *props; /* ended by name NULL; may be NULL */
} QomType;

/* What is not a machine or an accelerator (those come from their own lists). Ended by name NULL. */
extern const QomType qom_types[];

#endif
