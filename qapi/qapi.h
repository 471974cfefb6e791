/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QMP schema as tables (made by scripts/qapi-gen.py from qapi/ and the option table), and the
 * check of a JSON value against it. All constant; any thread.
 */
#ifndef QAPI_H
#define QAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <json-c/json.h>

typedef enum QapiKind {
    QAPI_STR,
    QAPI_BOOL,
    QAPI_NUMBER,
    QAPI_NULL,
    QAPI_ANY,
    QAPI_INT,       /* min..max */
    QAPI_UINT64,    /* negative numbers wrap, as QMP clients expect of sizes */
    QAPI_ENUM,      /* words */
    QAPI_ARRAY,     /* element */
    QAPI_OBJECT,    /* members; a union has a tag and variants too */
    QAPI_ALTERNATE, /* variants */
} QapiKind;

typedef struct QapiType QapiType;

typedef struct QapiMember {
    const char *name;
    const QapiType *type;
    bool optional;
} QapiMember;

typedef struct QapiVariant {
    const char *name; /* the tag's value; of an alternate: the type's name */
    const QapiType *type;
} QapiVariant;

struct QapiType {
    QapiKind kind;
    const char *name;
    const char *says; /* built-in types: what an error calls it */
    int64_t min, max;
    const char *const *words;
    const QapiType *element;
    const QapiMember *members;
    size_t nr_members;
    const char *tag;
    const QapiVariant *variants;
    size_t nr_variants;
};

typedef struct QapiCommand {
    const char *name; /* NULL ends the table */
    const QapiType *args, *ret;
    bool oob;
} QapiCommand;

typedef struct QapiEvent {
    const char *name;
    const QapiType *data;
} QapiEvent;

extern const QapiType qapi_empty;
extern const QapiCommand qapi_commands[];
extern const QapiEvent qapi_events[];
/* The reply of query-qmp-schema, as JSON. */
extern const char qapi_introspection[];

/* Index into qapi_commands, -1 if unknown. */
int qapi_command_by_name(const char *name);
const QapiEvent *qapi_event_by_name(const char *name);

/*
 * Checks `value` against `type`. Errors are QMP's own words, such as "Parameter 'x' is missing",
 * and name nested members as 'list[0].member'. `name` is what the value itself is called; NULL for
 * the arguments of a command.
 */
bool qapi_check(const QapiType *type, json_object *value, const char *name, GError **errp);

#endif
