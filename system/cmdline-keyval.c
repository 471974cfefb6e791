/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of pairs behind one option's argument: parsing of the comma form, and the typed
 * questions that the handlers ask. The JSON form is cmdline-json.c.
 *
 * Owns the grammar of key=value lists. Main thread only, before the machine exists; no locks.
 */
#include "cmdline-keyval.h"

#include <errno.h>
#include <string.h>

#include "cmdline-keyval-priv.h"
#include "error.h"

static void pair_free(gpointer p)
{
    KeyValPair *pair = p;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

KeyValList *keyval_new(void)
{
    KeyValList *kv = g_new0(KeyValList, 1);

    kv->pairs = g_ptr_array_new_with_free_func(pair_free);
    kv->known = g_ptr_array_new_with_free_func(g_free);
    return kv;
}

void keyval_free(KeyValList *kv)
{
    if (kv) {
        g_ptr_array_unref(kv->pairs);
        g_ptr_array_unref(kv->known);
        g_clear_error(&kv->error);
        g_free(kv);
    }
}

static bool key_ok(const char *key)
{
    size_t len = strlen(key);

    if (len == 0 || len > 127 || !g_ascii_isalnum(key[0])) {
        return false;
    }
    return strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

bool keyval_add(KeyValList *kv, const char *key, const char *value, GError **errp)
{
    KeyValPair *pair;

    if (!key_ok(key)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Invalid parameter '%s'", key);
    }
    if (kv->pairs->len >= KEYVAL_MAX_PAIRS) {
        return gw_fail(errp, GW_ERROR_GENERIC, "more than %d parameters", KEYVAL_MAX_PAIRS);
    }
    pair = g_new0(KeyValPair, 1);
    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(kv->pairs, pair);
    return true;
}

/* Takes one item up to a single comma, ",," being a comma inside; *pos moves behind it. */
static char *next_item(const char **pos)
{
    GString *s = g_string_new(NULL);
    const char *p = *pos;

    while (*p) {
        if (*p == ',') {
            if (p[1] != ',') {
                p++;
                break;
            }
            p++;
        }
        g_string_append_c(s, *p++);
    }
    *pos = p;
    return g_string_free(s, FALSE);
}

static bool parse_items(KeyValList *kv, const char *text, const char *implied_key, GError **errp)
{
    const char *p = text;
    bool first = true;

    while (*p) {
        g_autofree char *item = next_item(&p);
        char *eq = strchr(item, '=');
        /* A comma before '=' was doubled inside a bare first value: "a,,b=c". */
        bool bare = !eq || (first && implied_key && memchr(item, ',', eq - item));

        if (!*item) {
            first = false;
            continue;
        }
        if (bare && first && implied_key) {
            if (!keyval_add(kv, implied_key, item, errp)) {
                return false;
            }
        } else if (bare) {
            if (!keyval_add(kv, item, NULL, errp)) {
                return false;
            }
        } else {
            *eq = '\0';
            if (!keyval_add(kv, item, eq + 1, errp)) {
                return false;
            }
        }
        first = false;
    }
    return true;
}

KeyValList *keyval_parse(const char *text, const char *implied_key, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_new();

    if (strlen(text) > KEYVAL_MAX_LENGTH) {
        gw_fail(errp, GW_ERROR_GENERIC, "argument is longer than %d bytes", KEYVAL_MAX_LENGTH);
        return NULL;
    }
    if (text[0] == '{') {
        if (!keyval_add_json(kv, text, errp)) {
            return NULL;
        }
    } else if (!parse_items(kv, text, implied_key, errp)) {
        return NULL;
    }
    return g_steal_pointer(&kv);
}

void keyval_error(KeyValList *kv, const char *fmt, ...)
{
    g_autofree char *msg = NULL;
    va_list ap;

    if (kv->error) {
        return;
    }
    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    gw_fail(&kv->error, GW_ERROR_GENERIC, "%s", msg);
}

static void remember_known(KeyValList *kv, const char *key)
{
    g_ptr_array_add(kv->known, g_strdup(key));
}

/* The last pair of that key; all of them count as used. */
static KeyValPair *find(KeyValList *kv, const char *key)
{
    KeyValPair *found = NULL;

    for (guint i = 0; i < kv->pairs->len; i++) {
        KeyValPair *pair = g_ptr_array_index(kv->pairs, i);

        if (!strcmp(pair->key, key)) {
            pair->used = true;
            found = pair;
        }
    }
    return found;
}

/* Whether `key` stands there without a value. */
static bool find_flag(KeyValList *kv, const char *key)
{
    bool found = false;

    for (guint i = 0; i < kv->pairs->len; i++) {
        KeyValPair *pair = g_ptr_array_index(kv->pairs, i);

        if (!pair->value && !strcmp(pair->key, key)) {
            pair->used = found = true;
        }
    }
    return found;
}

bool keyval_has(KeyValList *kv, const char *key)
{
    remember_known(kv, key);
    return find(kv, key) != NULL;
}

const char *keyval_str(KeyValList *kv, const char *key)
{
    KeyValPair *pair;

    remember_known(kv, key);
    pair = find(kv, key);
    if (pair && !pair->value) {
        keyval_error(kv, "Parameter '%s' needs a value: %s=...", key, key);
        return NULL;
    }
    return pair ? pair->value : NULL;
}

const char *keyval_need(KeyValList *kv, const char *key)
{
    const char *v = keyval_str(kv, key);

    if (!v) {
        keyval_error(kv, "Parameter '%s' is missing", key);
    }
    return v;
}

bool keyval_parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = { "on", "yes", "true", "y" };
    static const char *const no[] = { "off", "no", "false", "n" };

    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *value = !strcmp(text, yes[i]);
            return true;
        }
    }
    return false;
}

bool keyval_bool(KeyValList *kv, const char *key, bool def)
{
    g_autofree char *negated = g_strconcat("no", key, NULL);
    KeyValPair *pair;
    bool value = def;

    remember_known(kv, key);
    if (find_flag(kv, negated)) {
        value = false;
    }
    pair = find(kv, key);
    if (pair && !pair->value) {
        value = true;
    } else if (pair && !keyval_parse_bool(pair->value, &value)) {
        keyval_error(kv, "Parameter '%s' expects 'on' or 'off', not '%s'", key, pair->value);
    }
    return value;
}

uint64_t keyval_u64(KeyValList *kv, const char *key, uint64_t def, uint64_t max)
{
    const char *text = keyval_str(kv, key);
    uint64_t value;

    if (!text) {
        return def;
    }
    if (!keyval_parse_u64(text, &value) || value > max) {
        keyval_error(kv, "Parameter '%s' expects a number from 0 to %" G_GUINT64_FORMAT
                     ", not '%s'", key, max, text);
        return def;
    }
    return value;
}

uint64_t keyval_size(KeyValList *kv, const char *key, uint64_t def, uint64_t unit)
{
    const char *text = keyval_str(kv, key);
    uint64_t value;

    if (!text) {
        return def;
    }
    if (!keyval_parse_size(text, unit, &value)) {
        keyval_error(kv, "Parameter '%s' expects a size below 2^64, such as 512M or 1G, not '%s'",
                     key, text);
        return def;
    }
    return value;
}

void keyval_ignore(KeyValList *kv, const char *key)
{
    g_autofree char *negated = g_strconcat("no", key, NULL);

    remember_known(kv, key);
    find(kv, key);
    find_flag(kv, negated);
}

void keyval_ignore_prefix(KeyValList *kv, const char *prefix)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        KeyValPair *pair = g_ptr_array_index(kv->pairs, i);

        pair->used |= g_str_has_prefix(pair->key, prefix);
    }
}

void keyval_rest(KeyValList *kv, void (*fn)(const char *key, const char *value, void *opaque),
                 void *opaque)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        KeyValPair *pair = g_ptr_array_index(kv->pairs, i);

        if (!pair->used) {
            pair->used = true;
            fn(pair->key, pair->value ? pair->value : "on", opaque);
        }
    }
}

bool keyval_done(KeyValList *kv, GError **errp)
{
    for (guint i = 0; i < kv->pairs->len && !kv->error; i++) {
        KeyValPair *pair = g_ptr_array_index(kv->pairs, i);
        const char *near;

        if (pair->used) {
            continue;
        }
        near = cmdline_nearest(pair->key, (const char *const *)kv->known->pdata, kv->known->len);
        if (near) {
            keyval_error(kv, "Invalid parameter '%s' (nearest: %s)", pair->key, near);
        } else {
            keyval_error(kv, "Invalid parameter '%s'", pair->key);
        }
    }
    if (kv->error) {
        g_propagate_error(errp, g_steal_pointer(&kv->error));
        return false;
    }
    return true;
}
