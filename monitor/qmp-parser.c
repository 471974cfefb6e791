/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cuts what a QMP client sends into JSON values, however the bytes come in pieces. json-c does the
 * parsing; this file bounds depth and size and finds back into step after malformed input:
 *   - a value that began on an earlier line and breaks off on this one: parsing starts afresh at
 *     the beginning of this line, so that the command there is not lost;
 *   - garbage that is no object or array: skipped up to the next '{' or the end of the line;
 *   - a broken object: skipped to the end of the line, lest its inner parts are taken for commands.
 * Each of them is reported. Two things that json-c takes and JSON does not are refused, since they
 * would swallow all that follows: strings that go over the end of a line, and comments. json-c
 * would take a character that the end of a packet cuts in two for a bad one: such a tail waits for
 * the rest. Main loop's thread.
 */
#include "qmp-parser.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <glib.h>
#include <json-c/json_visit.h>

struct QmpParser {
    json_tokener *tok;
    QmpParserFn fn;
    void *opaque;
    GByteArray *tail; /* the beginning of a UTF-8 character */
    GByteArray *line; /* what the unfinished value had of the present line so far */
    size_t size;      /* of the unfinished value, bytes */
    bool started;     /* there is an unfinished value */
    bool began_here;  /* it began on the present line */
    bool is_compound; /* its first character was { or [ */
    char quote;       /* it is inside a string that began with this; 0: outside */
    bool escape;      /* the last character was a backslash in a string */
    enum { SKIP_NOTHING, SKIP_TO_BRACE, SKIP_LINE } skip;
    unsigned resets;
};

QmpParser *qmp_parser_new(QmpParserFn fn, void *opaque)
{
    QmpParser *p = g_new0(QmpParser, 1);

    p->tok = json_tokener_new_ex(QMP_MAX_DEPTH);
    json_tokener_set_flags(p->tok, JSON_TOKENER_VALIDATE_UTF8);
    p->fn = fn;
    p->opaque = opaque;
    p->tail = g_byte_array_new();
    p->line = g_byte_array_new();
    return p;
}

void qmp_parser_free(QmpParser *p)
{
    json_tokener_free(p->tok);
    g_byte_array_unref(p->tail);
    g_byte_array_unref(p->line);
    g_free(p);
}

static void value_ended(QmpParser *p)
{
    json_tokener_reset(p->tok);
    g_byte_array_set_size(p->line, 0);
    p->size = 0;
    p->started = false;
    p->quote = 0;
    p->escape = false;
}

void qmp_parser_reset(QmpParser *p)
{
    value_ended(p);
    g_byte_array_set_size(p->tail, 0);
    p->skip = SKIP_NOTHING;
    p->resets++;
}

static void note_start(QmpParser *p, const char *buf, size_t len)
{
    for (size_t i = 0; i < len && !p->started; i++) {
        if (!strchr(" \t\r\n", buf[i]) || !buf[i]) {
            p->started = true;
            p->began_here = true;
            p->is_compound = buf[i] == '{' || buf[i] == '[';
        }
    }
}

static void feed(QmpParser *p, const char *buf, size_t len);

/* Reports, and gets ready to go on. Returns how many bytes of `buf` are dealt with. */
static size_t broken(QmpParser *p, const char *buf, size_t len, size_t at, const char *what)
{
    const unsigned resets = p->resets;
    const bool retry = !p->began_here && p->started;
    g_autoptr(GByteArray) again = NULL;

    if (retry) {
        again = g_byte_array_new();
        g_byte_array_append(again, p->line->data, p->line->len);
        g_byte_array_append(again, (const guint8 *)buf, len);
    } else {
        p->skip = p->is_compound ? SKIP_LINE : SKIP_TO_BRACE;
    }
    value_ended(p);
    p->fn(p->opaque, NULL, what);
    if (retry && p->resets == resets) {
        /* On one line everything begins here, so that this does not come back. */
        feed(p, (const char *)again->data, again->len);
    }
    /* The character that broke a scalar may be the '{' that parsing goes on with. */
    return retry ? len : at;
}

/* json-c takes NaN and infinities, which JSON has no words for: an id must not echo them. */
static int look_for_infinity(json_object *o, int flags, json_object *parent, const char *key,
                             size_t *index, void *found)
{
    if (json_object_is_type(o, json_type_double) && !isfinite(json_object_get_double(o))) {
        *(bool *)found = true;
        return JSON_C_VISIT_RETURN_STOP;
    }
    return JSON_C_VISIT_RETURN_CONTINUE;
}

static void complete(QmpParser *p, json_object *value)
{
    bool infinite = false;

    json_c_visit(value, 0, look_for_infinity, &infinite);
    value_ended(p);
    p->fn(p->opaque, infinite ? NULL : value,
          infinite ? "JSON parse error, number is not finite" : NULL);
    json_object_put(value);
}

/* How many bytes come before an end of line inside a string or a slash outside of one. */
static size_t scan(QmpParser *p, const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char c = buf[i];

        if (p->quote ? c == '\n' : c == '/') {
            return i;
        }
        if (p->escape) {
            p->escape = false;
        } else if (p->quote) {
            p->escape = c == '\\';
            p->quote = c == p->quote ? 0 : p->quote;
        } else if (c == '"' || c == '\'') {
            p->quote = c;
        }
    }
    return len;
}

/* Parses a piece that has at most one newline, at its end. Returns the bytes dealt with. */
static size_t parse_piece(QmpParser *p, const char *buf, size_t len)
{
    json_object *value = NULL;
    enum json_tokener_error err = json_tokener_continue;
    size_t end = 0, good;

    note_start(p, buf, len);
    if (!p->started) {
        return len;
    }
    p->size += len;
    if (p->size > QMP_MAX_SIZE) {
        /* Nothing to retry: the line may be as long again. */
        p->began_here = true;
        p->is_compound = true;
        return broken(p, buf, len, len, "JSON parse error, value is longer than 1 MiB");
    }
    good = scan(p, buf, len);
    if (good > 0) {
        value = json_tokener_parse_ex(p->tok, buf, (int)good);
        err = json_tokener_get_error(p->tok);
        end = json_tokener_get_parse_end(p->tok);
    }
    if (err == json_tokener_success) {
        complete(p, value);
        return end;
    }
    if (err != json_tokener_continue) {
        g_autofree char *what = g_strdup_printf("JSON parse error, %s",
                                                json_tokener_error_desc(err));

        return broken(p, buf, len, MIN(end, len), what);
    }
    if (good < len) {
        return broken(p, buf, len, good,
                      p->quote ? "JSON parse error, line ends inside a string"
                               : "JSON parse error, unexpected character");
    }
    g_byte_array_append(p->line, (const guint8 *)buf, len);
    if (buf[len - 1] == '\n') {
        g_byte_array_set_size(p->line, 0);
        p->began_here = false;
    }
    return len;
}

/* Returns the bytes skipped. */
static size_t skip(QmpParser *p, const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] == '\n' || (buf[i] == '{' && p->skip == SKIP_TO_BRACE)) {
            p->skip = SKIP_NOTHING;
            return buf[i] == '\n' ? i + 1 : i;
        }
    }
    return len;
}

static void feed(QmpParser *p, const char *buf, size_t len)
{
    const unsigned resets = p->resets;

    while (len > 0 && p->resets == resets) {
        size_t used;

        if (p->skip) {
            used = skip(p, buf, len);
        } else {
            const char *nl = memchr(buf, '\n', len);

            used = parse_piece(p, buf, nl ? (size_t)(nl - buf) + 1 : len);
        }
        buf += used;
        len -= used;
    }
}

/* How many bytes at the end begin a character that does not end here; at most 3. */
static size_t open_character(const guint8 *buf, size_t len)
{
    for (size_t back = 1; back <= MIN(len, 3); back++) {
        const guint8 c = buf[len - back];
        const size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

        if (c < 0x80 || c >= 0xf8) {
            return 0;
        }
        if (c >= 0xc0) {
            return need > back ? back : 0;
        }
    }
    return 0;
}

void qmp_parser_feed(QmpParser *p, const char *buf, size_t len)
{
    const unsigned resets = p->resets;
    g_autoptr(GByteArray) all = g_byte_array_sized_new((guint)(p->tail->len + len));
    size_t keep;

    g_byte_array_append(all, p->tail->data, p->tail->len);
    g_byte_array_append(all, (const guint8 *)buf, (guint)len);
    g_byte_array_set_size(p->tail, 0);
    for (guint i = 0; i < all->len; i++) {
        if (!all->data[i]) {
            all->data[i] = 1; /* json-c takes NUL for the end; 1 is as invalid and no end */
        }
    }
    keep = open_character(all->data, all->len);
    feed(p, (const char *)all->data, all->len - keep);
    if (keep && p->resets == resets) {
        g_byte_array_append(p->tail, all->data + all->len - keep, (guint)keep);
    }
}
