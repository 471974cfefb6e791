/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short ways to build and read json-c objects. The caller owns what jo_new() and jo_array() return
 * until it is added somewhere. Any thread, one at a time per object. */
#ifndef MONITOR_JSON_UTIL_H
#define MONITOR_JSON_UTIL_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <json-c/json.h>

static inline json_object *jo_new(void)
{
    return json_object_new_object();
}

static inline json_object *jo_array(void)
{
    return json_object_new_array();
}

static inline void jo_str(json_object *o, const char *key, const char *s)
{
    json_object_object_add(o, key, json_object_new_string(s));
}

static inline void jo_int(json_object *o, const char *key, int64_t v)
{
    json_object_object_add(o, key, json_object_new_int64(v));
}

static inline void jo_uint(json_object *o, const char *key, uint64_t v)
{
    json_object_object_add(o, key, json_object_new_uint64(v));
}

static inline void jo_bool(json_object *o, const char *key, bool v)
{
    json_object_object_add(o, key, json_object_new_boolean(v));
}

/* A size: negative numbers wrap around, as clients that think in int64 expect. */
static inline uint64_t jo_get_u64(json_object *v)
{
    int64_t i = json_object_get_int64(v);

    return i < 0 ? (uint64_t)i : json_object_get_uint64(v);
}

/* The member or NULL. */
static inline json_object *jo_get(json_object *o, const char *key)
{
    json_object *v;

    return json_object_object_get_ex(o, key, &v) ? v : NULL;
}

/* The member as a string, NULL if it is not there. */
static inline const char *jo_get_str(json_object *o, const char *key)
{
    json_object *v = jo_get(o, key);

    return v ? json_object_get_string(v) : NULL;
}

#endif
