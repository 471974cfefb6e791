/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capabilities and parameters: enums and descriptions made from options.def, and the accessors.
 * Descriptions are constant and may be read by any thread; values live in a MigrationState.
 * Spec: qmp 5.1 and 5.2.
 */
#ifndef MIGRATION_OPTIONS_H
#define MIGRATION_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "migration/ram.h"

typedef enum MigrationCapability {
#define CAP(id, name, since, help) MIGRATION_CAP_##id,
#include "migration/options.def"
#undef CAP
    MIGRATION_CAP__COUNT,
} MigrationCapability;

typedef enum MigrationParameter {
#define PARAM(id, ...) MIGRATION_PARAM_##id,
#include "migration/options.def"
#undef PARAM
    MIGRATION_PARAM__COUNT,
} MigrationParameter;

typedef enum MigrationParamType {
    PARAM_BOOL,
    PARAM_U8,
    PARAM_U64,
    PARAM_SIZE,
    PARAM_ENUM,
    PARAM_STR,
} MigrationParamType;

/* The words of zero-page-detection. */
typedef enum ZeroPageDetection {
    ZERO_PAGE_DETECTION_NONE,
    ZERO_PAGE_DETECTION_LEGACY,
    ZERO_PAGE_DETECTION_MULTIFD,
    ZERO_PAGE_DETECTION__COUNT,
} ZeroPageDetection;

typedef enum MigrationParamUnit {
    UNIT_NONE,
    UNIT_MS,
    UNIT_PERCENT,
    UNIT_BYTES,
    UNIT_BYTES_PER_S,
    UNIT_MB_PER_S,
} MigrationParamUnit;

typedef struct MigrationCapabilityDesc {
    const char *name, *since, *help;
} MigrationCapabilityDesc;

typedef struct MigrationParamDesc {
    const char *name, *since, *help;
    MigrationParamType type;
    MigrationParamUnit unit;
    uint64_t min, max, def;
    const char *const *words; /* ENUM: the values, NULL-terminated */
} MigrationParamDesc;

const MigrationCapabilityDesc *gw_capability_desc(MigrationCapability cap);
const MigrationParamDesc *gw_param_desc(MigrationParameter param);
/* Index by name, -1 if unknown. */
int gw_capability_by_name(const char *name);
int gw_param_by_name(const char *name);
/* " ms", " bytes/second", "": as info migrate_parameters writes it. */
const char *gw_param_unit_suffix(MigrationParamUnit unit);

/* One value; `str` is used for STR only and owned by whoever owns the value. */
typedef struct MigrationParamValue {
    uint64_t num;
    char *str;
} MigrationParamValue;

/* ---- values of one MigrationState; any thread ---- */

bool gw_capability_get(MigrationState *ms, MigrationCapability cap);

typedef struct MigrationCapabilityChange {
    MigrationCapability cap;
    bool on;
} MigrationCapabilityChange;

/* Sets all or, with *errp, none: the whole resulting set is checked (spec: qmp 5.1). */
bool gw_capabilities_set(MigrationState *ms, const MigrationCapabilityChange *changes, size_t n,
                         GError **errp);

uint64_t gw_param_get(MigrationState *ms, MigrationParameter param);
/* A copy that the caller frees; "" when unset. */
char *gw_param_get_str(MigrationState *ms, MigrationParameter param);

typedef struct MigrationParamChange {
    MigrationParameter param;
    MigrationParamValue value; /* str is copied */
} MigrationParamChange;

/* Sets all or, with *errp, none. Takes effect at once, also in a running migration. */
bool gw_params_set(MigrationState *ms, const MigrationParamChange *changes, size_t n,
                   GError **errp);

/*
 * Compatibility switches, QEMU's `-global migration.NAME=VALUE`: both ends must agree and nothing
 * on the wire tells. Spec: stream 1.1.
 */
typedef struct MigrationCompat {
    bool send_configuration;     /* default on */
    bool send_section_footer;    /* default on */
    bool store_global_state;     /* default on */
    bool send_switchover_start;  /* default on */
    bool switchover_ack_legacy;  /* default off */
    bool multifd_flush_after_each_section; /* default off */
    bool preempt_pre_7_2;        /* default off */
    bool suppress_vmdesc;        /* default off; machine property suppress-vmdesc */
} MigrationCompat;

/* Sets one switch by QEMU's name ("send-switchover-start"); false with *errp if unknown. */
bool gw_compat_set(MigrationState *ms, const char *name, bool value, GError **errp);
const MigrationCompat *gw_compat(const MigrationState *ms);

#endif
