/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptions of capabilities and parameters, made from options.def. Constant; any thread.
 * Values and the rules between them: options-values.c.
 */
#include "migration/options.h"

#include <string.h>

static const MigrationCapabilityDesc caps[MIGRATION_CAP__COUNT] = {
#define CAP(id, cap_name, cap_since, cap_help) \
    [MIGRATION_CAP_##id] = {.name = cap_name, .since = cap_since, .help = cap_help},
#include "migration/options.def"
#undef CAP
};

static const char *const zero_page_detection_words[] = {"none", "legacy", "multifd", NULL};

static const MigrationParamDesc params[MIGRATION_PARAM__COUNT] = {
#define PARAM(id, p_name, p_since, p_type, p_unit, p_min, p_max, p_def, p_help) \
    [MIGRATION_PARAM_##id] = {.name = p_name, .since = p_since, .help = p_help, \
                              .type = PARAM_##p_type, .unit = UNIT_##p_unit, .min = p_min, \
                              .max = p_max, .def = p_def},
#include "migration/options.def"
#undef PARAM
    [MIGRATION_PARAM_ZERO_PAGE_DETECTION].words = zero_page_detection_words,
};

G_STATIC_ASSERT(G_N_ELEMENTS(zero_page_detection_words) == ZERO_PAGE_DETECTION__COUNT + 1);

const MigrationCapabilityDesc *gw_capability_desc(MigrationCapability cap)
{
    return &caps[cap];
}

const MigrationParamDesc *gw_param_desc(MigrationParameter param)
{
    return &params[param];
}

int gw_capability_by_name(const char *name)
{
    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        if (strcmp(caps[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int gw_param_by_name(const char *name)
{
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        if (strcmp(params[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *gw_param_unit_suffix(MigrationParamUnit unit)
{
    static const char *const suffix[] = {
        [UNIT_NONE] = "",
        [UNIT_MS] = " ms",
        [UNIT_PERCENT] = "",
        [UNIT_BYTES] = " bytes",
        [UNIT_BYTES_PER_S] = " bytes/second",
        [UNIT_MB_PER_S] = " MB/s",
    };
    return suffix[unit];
}
