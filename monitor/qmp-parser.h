/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cuts a byte stream into JSON values; see qmp-parser.c. One thread at a time. */
#ifndef QMP_PARSER_H
#define QMP_PARSER_H

#include <stddef.h>

#include <json-c/json.h>

/* Deepest nesting and longest value (bytes) that are accepted. */
#define QMP_MAX_DEPTH 256
#define QMP_MAX_SIZE (1024 * 1024)

typedef struct QmpParser QmpParser;

/* One value (borrowed; JSON null is NULL), or, with `error` not NULL, a piece of input that is
 * none. May call qmp_parser_reset(). */
typedef void (*QmpParserFn)(void *opaque, json_object *value, const char *error);

QmpParser *qmp_parser_new(QmpParserFn fn, void *opaque);
void qmp_parser_free(QmpParser *p);
void qmp_parser_feed(QmpParser *p, const char *buf, size_t len);
/* Forgets what was fed, also the rest of what is being fed just now: a new client. */
void qmp_parser_reset(QmpParser *p);

#endif
