/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of capabilities, parameters and compatibility switches of one MigrationState, and the
 * rules between them. Any thread; ms->options.lock guards the values and is a leaf lock.
 * Spec: qmp 5.1 (rules, in the order in which they are checked) and 5.2.
 */
#include "state.h"

#include <string.h>

#include "dirty-limit.h"
#include "error.h"
#include "outgoing.h"
#include "postcopy.h"

void option_values_init(OptionValues *o)
{
    pthread_mutex_init(&o->lock, NULL);
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        const MigrationParamDesc *d = gw_param_desc(i);

        o->params[i].num = d->def;
        o->params[i].str = d->type == PARAM_STR ? g_strdup("") : NULL;
    }
    o->compat = (MigrationCompat){
        .send_configuration = true,
        .send_section_footer = true,
        .store_global_state = true,
        .send_switchover_start = true,
    };
}

void option_values_clear(OptionValues *o)
{
    for (int i = 0; i < MIGRATION_PARAM__COUNT; i++) {
        g_clear_pointer(&o->params[i].str, g_free);
    }
    pthread_mutex_destroy(&o->lock);
}

bool gw_capability_get(MigrationState *ms, MigrationCapability cap)
{
    LOCK_GUARD(&ms->options.lock);

    return ms->options.caps[cap];
}

/* The whole set as it would become: the caller's copy. */
static bool capabilities_check(MigrationState *ms, const bool *caps, GError **errp)
{
    if (caps[MIGRATION_CAP_POSTCOPY_RAM] && caps[MIGRATION_CAP_X_IGNORE_SHARED]) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Postcopy is not compatible with ignore-shared");
    }
    if (caps[MIGRATION_CAP_DIRTY_LIMIT] && caps[MIGRATION_CAP_AUTO_CONVERGE]) {
        return gw_fail(errp, GW_ERROR_GENERIC, "dirty-limit conflicts with auto-converge either of "
                       "then available currently");
    }
    if (caps[MIGRATION_CAP_DIRTY_LIMIT] && !gw_dirty_limit_supported(ms, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "dirty-limit requires KVM with accelerator property "
                       "'dirty-ring-size' set");
    }
    if (caps[MIGRATION_CAP_AUTO_CONVERGE] && !ms->host.set_throttle) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "Capability 'auto-converge': this machine cannot slow its vCPUs down");
    }
    if (caps[MIGRATION_CAP_POSTCOPY_PREEMPT] && !caps[MIGRATION_CAP_POSTCOPY_RAM]) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Postcopy preempt requires postcopy-ram");
    }
    for (int i = 0; i < 2; i++) {
        const int cap = i ? MIGRATION_CAP_POSTCOPY_PREFETCH : MIGRATION_CAP_POSTCOPY_PREEMPT_HINT;

        if (caps[cap] && !caps[MIGRATION_CAP_POSTCOPY_PREEMPT]) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "Capability '%s' requires capability 'postcopy-preempt'",
                           gw_capability_desc(cap)->name);
        }
    }
    if (caps[MIGRATION_CAP_BACKGROUND_SYNC] && !caps[MIGRATION_CAP_AUTO_CONVERGE] &&
        !caps[MIGRATION_CAP_DIRTY_LIMIT]) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Capability 'background-sync' requires capability "
                       "'auto-converge' or 'dirty-limit'");
    }
    if (caps[MIGRATION_CAP_SWITCHOVER_ACK] && !caps[MIGRATION_CAP_RETURN_PATH]) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Capability 'switchover-ack' requires capability 'return-path'");
    }
    return true;
}

/* What a machine that waits for a migration may still switch on. */
static bool incoming_rules(MigrationState *ms, const MigrationCapabilityChange *changes, size_t n,
                           GError **errp)
{
    bool expected, started;

    pthread_mutex_lock(&ms->lock);
    expected = ms->in.expected;
    started = ms->in.started && ms->in.status != MIGRATION_STATUS_COMPLETED;
    pthread_mutex_unlock(&ms->lock);
    for (size_t i = 0; i < n; i++) {
        if (!changes[i].on || gw_capability_get(ms, changes[i].cap)) {
            continue;
        }
        if (changes[i].cap == MIGRATION_CAP_POSTCOPY_RAM && expected &&
            !postcopy_supported(ms, errp)) {
            return false;
        }
        if (changes[i].cap == MIGRATION_CAP_POSTCOPY_PREEMPT && started) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "Postcopy preempt must be set before incoming starts");
        }
    }
    return true;
}

bool gw_capabilities_set(MigrationState *ms, const MigrationCapabilityChange *changes, size_t n,
                         GError **errp)
{
    bool caps[MIGRATION_CAP__COUNT];

    if (outgoing_is_running(ms)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "There's a migration process in progress");
    }
    if (!incoming_rules(ms, changes, n, errp)) {
        return false;
    }
    LOCK_GUARD(&ms->options.lock);

    memcpy(caps, ms->options.caps, sizeof(caps));
    for (size_t i = 0; i < n; i++) {
        caps[changes[i].cap] = changes[i].on;
    }
    if (!capabilities_check(ms, caps, errp)) {
        return false;
    }
    memcpy(ms->options.caps, caps, sizeof(caps));
    return true;
}

uint64_t gw_param_get(MigrationState *ms, MigrationParameter param)
{
    LOCK_GUARD(&ms->options.lock);

    return ms->options.params[param].num;
}

char *gw_param_get_str(MigrationState *ms, MigrationParameter param)
{
    LOCK_GUARD(&ms->options.lock);

    return g_strdup(ms->options.params[param].str ? ms->options.params[param].str : "");
}

static bool max_throttle_fail(GError **errp)
{
    return gw_fail(errp, GW_ERROR_GENERIC,
                   "Option max-cpu-throttle expects an integer in the range of "
                   "cpu-throttle-initial to 99");
}

static bool param_check(const MigrationParamChange *c, GError **errp)
{
    const MigrationParamDesc *d = gw_param_desc(c->param);

    if (d->type == PARAM_STR || d->type == PARAM_BOOL) {
        return true;
    }
    if (c->param == MIGRATION_PARAM_XBZRLE_CACHE_SIZE &&
        (c->value.num < d->min || c->value.num > d->max || (c->value.num & (c->value.num - 1)))) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Option %s expects a power of two no less than the target page size",
                       d->name);
    }
    if (c->value.num >= d->min && c->value.num <= d->max) {
        return true;
    }
    /* The words are QEMU's, because scripts match on them: they differ from option to option. */
    if (c->param == MIGRATION_PARAM_DOWNTIME_LIMIT) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Option %s expects an integer in the range of 0 to (2000 * 1000) ms",
                       d->name);
    }
    if (c->param == MIGRATION_PARAM_MAX_CPU_THROTTLE) {
        return max_throttle_fail(errp);
    }
    if (c->param == MIGRATION_PARAM_VCPU_DIRTY_LIMIT) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' must be greater than 1 MB/s",
                       d->name);
    }
    if (d->unit == UNIT_PERCENT) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Option %s expects an integer in the range of %" G_GUINT64_FORMAT
                       " to %" G_GUINT64_FORMAT, d->name, d->min, d->max);
    }
    return gw_fail(errp, GW_ERROR_GENERIC,
                   "Option %s expects a value between %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
                   d->name, c->param == MIGRATION_PARAM_ANNOUNCE_STEP ? 0 : d->min, d->max);
}

/* What `param` will be after the changes; options.lock held. */
static uint64_t value_after(const OptionValues *o, const MigrationParamChange *changes, size_t n,
                            MigrationParameter param)
{
    uint64_t v = o->params[param].num;

    for (size_t i = 0; i < n; i++) {
        v = changes[i].param == param ? changes[i].value.num : v;
    }
    return v;
}

static bool set_params(MigrationState *ms, const MigrationParamChange *changes, size_t n,
                       GError **errp)
{
    for (size_t i = 0; i < n; i++) {
        if (!param_check(&changes[i], errp)) {
            return false;
        }
    }
    LOCK_GUARD(&ms->options.lock);

    if (value_after(&ms->options, changes, n, MIGRATION_PARAM_MAX_CPU_THROTTLE) <
        value_after(&ms->options, changes, n, MIGRATION_PARAM_CPU_THROTTLE_INITIAL)) {
        return max_throttle_fail(errp);
    }
    for (size_t i = 0; i < n; i++) {
        MigrationParamValue *v = &ms->options.params[changes[i].param];

        v->num = changes[i].value.num;
        if (gw_param_desc(changes[i].param)->type == PARAM_STR) {
            g_free(v->str);
            v->str = g_strdup(changes[i].value.str ? changes[i].value.str : "");
        }
    }
    return true;
}

bool gw_params_set(MigrationState *ms, const MigrationParamChange *changes, size_t n, GError **errp)
{
    if (!set_params(ms, changes, n, errp)) {
        return false;
    }
    pthread_mutex_lock(&ms->lock); /* who waits by a parameter looks at it again */
    pthread_cond_broadcast(&ms->out.cond);
    pthread_mutex_unlock(&ms->lock);
    return true;
}

static const struct {
    const char *name;
    size_t offset;
} compat_names[] = {
    {"send-configuration", offsetof(MigrationCompat, send_configuration)},
    {"send-section-footer", offsetof(MigrationCompat, send_section_footer)},
    {"store-global-state", offsetof(MigrationCompat, store_global_state)},
    {"send-switchover-start", offsetof(MigrationCompat, send_switchover_start)},
    {"switchover-ack-legacy", offsetof(MigrationCompat, switchover_ack_legacy)},
    {"multifd-flush-after-each-section",
     offsetof(MigrationCompat, multifd_flush_after_each_section)},
    {"x-preempt-pre-7-2", offsetof(MigrationCompat, preempt_pre_7_2)},
    {"suppress-vmdesc", offsetof(MigrationCompat, suppress_vmdesc)},
};

bool gw_compat_set(MigrationState *ms, const char *name, bool value, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(compat_names); i++) {
        if (strcmp(compat_names[i].name, name) == 0) {
            *(bool *)((char *)&ms->options.compat + compat_names[i].offset) = value;
            return true;
        }
    }
    return gw_fail(errp, GW_ERROR_GENERIC, "Property 'migration.%s' not found", name);
}

const MigrationCompat *gw_compat(const MigrationState *ms)
{
    return &ms->options.compat;
}
