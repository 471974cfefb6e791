/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The JSON form of an option's argument, flattened to pairs: {"a":{"b":[1]}} becomes "a.b.0" = 1.
 * json-c parses; depth, number of members and length are bounded here.
 *
 * Main thread only, before the machine exists; no locks.
 */
#include <json.h>
#include <string.h>

#include "cmdline-keyval-priv.h"
#include "error.h"

static bool add_value(KeyValList *kv, const char *key, struct json_object *v, GError **errp);

static bool add_object(KeyValList *kv, const char *prefix, struct json_object *obj, GError **errp)
{
    json_object_object_foreach(obj, name, v)
    {
        g_autofree char *key = prefix ? g_strdup_printf("%s.%s", prefix, name) : g_strdup(name);

        if (!add_value(kv, key, v, errp)) {
            return false;
        }
    }
    return true;
}

static bool add_array(KeyValList *kv, const char *prefix, struct json_object *array, GError **errp)
{
    size_t n = json_object_array_length(array);

    for (size_t i = 0; i < n; i++) {
        g_autofree char *key = g_strdup_printf("%s.%zu", prefix, i);

        if (!add_value(kv, key, json_object_array_get_idx(array, i), errp)) {
            return false;
        }
    }
    return true;
}

static bool add_value(KeyValList *kv, const char *key, struct json_object *v, GError **errp)
{
    switch (json_object_get_type(v)) {
    case json_type_object:
        return add_object(kv, key, v, errp);
    case json_type_array:
        return add_array(kv, key, v, errp);
    case json_type_boolean:
        return keyval_add(kv, key, json_object_get_boolean(v) ? "on" : "off", errp);
    case json_type_null:
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' must not be null", key);
    default:
        break;
    }
    if (json_object_get_type(v) == json_type_string &&
        strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' contains a NUL byte", key);
    }
    return keyval_add(kv, key, json_object_get_string(v), errp);
}

bool keyval_add_json(KeyValList *kv, const char *text, GError **errp)
{
    struct json_tokener *tok = json_tokener_new_ex(KEYVAL_MAX_DEPTH);
    struct json_object *obj;
    bool ok;

    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    obj = json_tokener_parse_ex(tok, text, (int)strlen(text) + 1);
    if (!json_object_is_type(obj, json_type_object)) {
        ok = gw_fail(errp, GW_ERROR_GENERIC, "JSON parse error at byte %zu: %s",
                     json_tokener_get_parse_end(tok),
                     json_tokener_error_desc(json_tokener_get_error(tok)));
    } else {
        ok = add_object(kv, NULL, obj, errp);
    }
    json_object_put(obj);
    json_tokener_free(tok);
    return ok;
}
