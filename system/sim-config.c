/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The properties of -accel sim. Pure functions; main thread, before the machine exists. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "sim.h"

#define DEFAULT_RATE   100 /* MB/s of the patterns that are about a rate */
#define DEFAULT_STRIDE 16
#define MAX_RATE       1000000

const char *const sim_props[] = {
    "pattern", "rate", "stride", "base", "working-set", "seed", "whole", "report", NULL,
};

static const char *const pattern_names[SIM_PATTERN__COUNT] = {
    [SIM_IDLE] = "idle",     [SIM_SEQ] = "seq",       [SIM_REVERSE] = "reverse",
    [SIM_RANDOM] = "random", [SIM_STRIDE] = "stride", [SIM_STREAM] = "stream",
    [SIM_DIRTY] = "dirty",
};

static const struct {
    const char *name;
    SimPattern pattern;
} long_names[] = {
    { "sequential", SIM_SEQ },
    { "strided", SIM_STRIDE },
};

const char *sim_pattern_name(SimPattern p)
{
    return p < SIM_PATTERN__COUNT ? pattern_names[p] : "?";
}

static bool parse_pattern(const char *text, SimPattern *out, GError **errp)
{
    for (unsigned i = 0; i < SIM_PATTERN__COUNT; i++) {
        if (strcmp(text, pattern_names[i]) == 0) {
            *out = i;
            return true;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(long_names); i++) {
        if (strcmp(text, long_names[i].name) == 0) {
            *out = long_names[i].pattern;
            return true;
        }
    }
    return gw_fail(errp, GW_ERROR_GENERIC,
                   "pattern '%s' is unknown; use idle, seq, reverse, random, stride, stream or "
                   "dirty", text);
}

/* A number with an optional K, M, G or T if `sizes`. */
static bool parse_number(const char *key, const char *text, bool sizes, uint64_t min, uint64_t max,
                         uint64_t *out, GError **errp)
{
    static const char suffixes[] = "BKMGT";
    const char *suffix;
    char *end = NULL;
    uint64_t value = 0;
    unsigned shift = 0;
    bool ok = g_ascii_isdigit(*text);

    errno = 0;
    if (ok) {
        value = g_ascii_strtoull(text, &end, g_str_has_prefix(text, "0x") ? 16 : 10);
        ok = errno == 0;
    }
    if (ok && *end) {
        suffix = strchr(suffixes, g_ascii_toupper(*end));
        ok = sizes && suffix && end[1] == '\0';
        shift = ok ? (unsigned)(suffix - suffixes) * 10 : 0;
    }
    if (!ok || value > UINT64_MAX >> shift || value << shift < min || value << shift > max) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "%s=%s: expected a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                       "%s", key, text, min, max, sizes ? ", K, M, G and T allowed" : "");
    }
    *out = value << shift;
    return true;
}

static bool parse_bool(const char *key, const char *text, bool *out, GError **errp)
{
    *out = strcmp(text, "on") == 0;
    return *out || strcmp(text, "off") == 0 ||
           gw_fail(errp, GW_ERROR_GENERIC, "%s=%s: expected on or off", key, text);
}

static bool parse_one(SimConfig *c, const char *key, const char *text, GError **errp)
{
    if (strcmp(key, "pattern") == 0) {
        return parse_pattern(text, &c->pattern, errp);
    }
    if (strcmp(key, "rate") == 0) {
        return parse_number(key, text, false, 0, MAX_RATE, &c->rate, errp);
    }
    if (strcmp(key, "stride") == 0) {
        return parse_number(key, text, false, 1, UINT32_MAX, &c->stride, errp);
    }
    if (strcmp(key, "base") == 0) {
        return parse_number(key, text, true, 0, INT64_MAX, &c->base, errp);
    }
    if (strcmp(key, "working-set") == 0) {
        return parse_number(key, text, true, SIM_PAGE_BYTES, INT64_MAX, &c->working_set, errp);
    }
    if (strcmp(key, "seed") == 0) {
        return parse_number(key, text, false, 0, UINT64_MAX, &c->seed, errp);
    }
    if (strcmp(key, "report") == 0) {
        return parse_number(key, text, false, 0, 1000000, &c->report_ms, errp);
    }
    if (strcmp(key, "whole") == 0) {
        return parse_bool(key, text, &c->whole, errp);
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED, "Property 'sim-accel.%s' not found", key);
}

bool sim_config_parse(SimConfig *out, const AccelConfig *conf, GError **errp)
{
    GHashTableIter iter;
    gpointer key, value;

    *out = (SimConfig){ .pattern = SIM_SEQ, .stride = DEFAULT_STRIDE, .seed = 1,
                        .report_ms = 1000 };
    g_hash_table_iter_init(&iter, conf->props);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!parse_one(out, key, value, errp)) {
            return false;
        }
    }
    if (out->pattern == SIM_STREAM || out->pattern == SIM_DIRTY) {
        out->rate = out->rate ? out->rate : DEFAULT_RATE;
    }
    out->whole |= out->pattern == SIM_STREAM;
    return true;
}
