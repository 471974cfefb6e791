/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks JSON values against the schema's tables. Error texts are those that QMP clients match on.
 * No state; any thread. Depth is bounded by the schema (no type contains itself).
 */
#include "qapi.h"

#include <string.h>

#include "error.h"

/* Where in the value the check is: "capabilities[0].state". */
typedef struct Path {
    GString *text;
} Path;

static bool check_value(const QapiType *type, json_object *value, Path *path, GError **errp);

static bool wrong_type(const Path *path, const char *expected, GError **errp)
{
    return gw_fail(errp, GW_ERROR_GENERIC, "Invalid parameter type for '%s', expected: %s",
                   path->text->str, expected);
}

/* Enters a member; returns the length to go back to with path_leave(). */
static size_t path_enter(Path *path, const char *member)
{
    size_t len = path->text->len;

    g_string_append_printf(path->text, "%s%s", len ? "." : "", member);
    return len;
}

static void path_leave(Path *path, size_t len)
{
    g_string_truncate(path->text, len);
}

static bool check_int(const QapiType *type, json_object *value, const Path *path, GError **errp)
{
    bool plain = strcmp(type->says, "integer") == 0;
    bool ok = json_object_get_type(value) == json_type_int;

    if (ok && type->kind == QAPI_INT) {
        int64_t v = json_object_get_int64(value);

        ok = v >= type->min && v <= type->max &&
             (v < INT64_MAX || json_object_get_uint64(value) == INT64_MAX);
    }
    if (ok) {
        return true;
    }
    if (plain) {
        return wrong_type(path, "integer", errp);
    }
    return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' expects %s", path->text->str,
                   type->says);
}

static bool check_enum(const QapiType *type, json_object *value, const Path *path, GError **errp)
{
    const char *word, *last;

    if (json_object_get_type(value) != json_type_string) {
        return wrong_type(path, "string", errp);
    }
    word = json_object_get_string(value);
    for (size_t i = 0; type->words[i]; i++) {
        if (strcmp(type->words[i], word) == 0) {
            return true;
        }
    }
    last = strrchr(path->text->str, '.');
    return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' does not accept value '%s'",
                   last ? last + 1 : path->text->str, word);
}

static bool check_array(const QapiType *type, json_object *value, Path *path, GError **errp)
{
    if (json_object_get_type(value) != json_type_array) {
        return wrong_type(path, "array", errp);
    }
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        size_t len = path->text->len;
        bool ok;

        g_string_append_printf(path->text, "[%zu]", i);
        ok = check_value(type->element, json_object_array_get_idx(value, i), path, errp);
        path_leave(path, len);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* The variant that the tag of an object chooses, NULL if it adds nothing. */
static const QapiType *chosen_variant(const QapiType *type, json_object *value)
{
    json_object *tag;

    if (!type->tag || !json_object_object_get_ex(value, type->tag, &tag)) {
        return NULL;
    }
    for (size_t i = 0; i < type->nr_variants; i++) {
        if (strcmp(type->variants[i].name, json_object_get_string(tag)) == 0) {
            return type->variants[i].type;
        }
    }
    return NULL;
}

/* The members of one object type, and of what its tag chooses. */
static bool check_members(const QapiType *type, json_object *value, Path *path, GError **errp)
{
    const QapiType *variant;

    for (size_t i = 0; i < type->nr_members; i++) {
        const QapiMember *m = &type->members[i];
        json_object *v;
        size_t len = path_enter(path, m->name);
        bool ok = true;

        if (json_object_object_get_ex(value, m->name, &v)) {
            ok = check_value(m->type, v, path, errp);
        } else if (!m->optional) {
            ok = gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' is missing", path->text->str);
        }
        path_leave(path, len);
        if (!ok) {
            return false;
        }
    }
    variant = chosen_variant(type, value);
    return !variant || check_members(variant, value, path, errp);
}

static bool has_member(const QapiType *type, json_object *value, const char *name)
{
    const QapiType *variant;

    for (size_t i = 0; i < type->nr_members; i++) {
        if (strcmp(type->members[i].name, name) == 0) {
            return true;
        }
    }
    variant = chosen_variant(type, value);
    return variant && has_member(variant, value, name);
}

static bool check_object(const QapiType *type, json_object *value, Path *path, GError **errp)
{
    struct json_object_iterator it, end;

    if (json_object_get_type(value) != json_type_object) {
        return wrong_type(path, "object", errp);
    }
    if (!check_members(type, value, path, errp)) {
        return false;
    }
    it = json_object_iter_begin(value);
    end = json_object_iter_end(value);
    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
        const char *name = json_object_iter_peek_name(&it);

        if (!has_member(type, value, name)) {
            path_enter(path, name);
            return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' is unexpected",
                           path->text->str);
        }
    }
    return true;
}

static bool check_alternate(const QapiType *type, json_object *value, Path *path, GError **errp)
{
    for (size_t i = 0; i < type->nr_variants; i++) {
        if (check_value(type->variants[i].type, value, path, NULL)) {
            return true;
        }
    }
    return wrong_type(path, type->name, errp);
}

static bool check_value(const QapiType *type, json_object *value, Path *path, GError **errp)
{
    json_type json = json_object_get_type(value);

    switch (type->kind) {
    case QAPI_ANY:
        return true;
    case QAPI_NULL:
        return json == json_type_null || wrong_type(path, type->says, errp);
    case QAPI_STR:
        return json == json_type_string || wrong_type(path, type->says, errp);
    case QAPI_BOOL:
        return json == json_type_boolean || wrong_type(path, type->says, errp);
    case QAPI_NUMBER:
        return json == json_type_double || json == json_type_int ||
               wrong_type(path, type->says, errp);
    case QAPI_INT:
    case QAPI_UINT64:
        return check_int(type, value, path, errp);
    case QAPI_ENUM:
        return check_enum(type, value, path, errp);
    case QAPI_ARRAY:
        return check_array(type, value, path, errp);
    case QAPI_OBJECT:
        return check_object(type, value, path, errp);
    case QAPI_ALTERNATE:
        return check_alternate(type, value, path, errp);
    }
    g_return_val_if_reached(false);
}

bool qapi_check(const QapiType *type, json_object *value, const char *name, GError **errp)
{
    Path path = {.text = g_string_new(name)};
    bool ok = check_value(type, value, &path, errp);

    g_string_free(path.text, TRUE);
    return ok;
}

int qapi_command_by_name(const char *name)
{
    for (int i = 0; qapi_commands[i].name; i++) {
        if (strcmp(qapi_commands[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const QapiEvent *qapi_event_by_name(const char *name)
{
    for (const QapiEvent *e = qapi_events; e->name; e++) {
        if (strcmp(e->name, name) == 0) {
            return e;
        }
    }
    return NULL;
}
