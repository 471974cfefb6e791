/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * key=value lists of the command line: "socket,id=a,path=/x,,y,server" and the same as JSON.
 *
 * A handler asks for the keys that it knows (keyval_str, keyval_bool, ...); the list remembers
 * which were asked for and the first thing that was wrong, and keyval_done() reports that or a key
 * that nobody knew, with the nearest known one. The last of several equal keys wins.
 * Main thread only, before the machine exists.
 */
#ifndef SYSTEM_CMDLINE_KEYVAL_H
#define SYSTEM_CMDLINE_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* Bounds on what one option's argument may claim. */
#define KEYVAL_MAX_PAIRS 64
#define KEYVAL_MAX_LENGTH (256 * 1024)
#define KEYVAL_MAX_DEPTH 8

typedef struct KeyValList KeyValList;

/*
 * Parses `text`. A first item without '=' is the value of `implied_key` if that is given; other
 * items without '=' are short booleans ("server" = on, "nowait" = off). ",," stands for a comma in
 * a value; an empty item (a trailing comma) is skipped. Text that begins with '{' is JSON; nested
 * objects become dotted keys, arrays get numbers ("a.0"). NULL with *errp.
 */
KeyValList *keyval_parse(const char *text, const char *implied_key, GError **errp);
void keyval_free(KeyValList *kv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyValList, keyval_free)

/* The value (owned by the list) or NULL if the key is missing. */
const char *keyval_str(KeyValList *kv, const char *key);
/* The same; a missing key is an error of the list, and the result is NULL. */
const char *keyval_need(KeyValList *kv, const char *key);
bool keyval_has(KeyValList *kv, const char *key);
/* on/off, yes/no, true/false, y/n; also the short forms "key" and "nokey". */
bool keyval_bool(KeyValList *kv, const char *key, bool def);
/* Decimal or 0x hexadecimal, at most max. */
uint64_t keyval_u64(KeyValList *kv, const char *key, uint64_t def, uint64_t max);
/* Bytes; a number without suffix counts `unit` bytes. Suffixes: k M G T P E and B, any case. */
uint64_t keyval_size(KeyValList *kv, const char *key, uint64_t def, uint64_t unit);
/* Marks keys as known, whatever their value: accepted without an effect. */
void keyval_ignore(KeyValList *kv, const char *key);
void keyval_ignore_prefix(KeyValList *kv, const char *prefix);
/* Calls fn for every pair nobody asked for and marks it as known. */
void keyval_rest(KeyValList *kv, void (*fn)(const char *key, const char *value, void *opaque),
                 void *opaque);
/* An error in the list's name, unless one is there already. */
void keyval_error(KeyValList *kv, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* True if nothing was wrong and every key was known; else *errp. */
bool keyval_done(KeyValList *kv, GError **errp);

/* "1G", "262144k", "0x1000"; false if malformed or above 2^64 - 1. */
bool keyval_parse_size(const char *text, uint64_t unit, uint64_t *value);
/* A whole number, decimal or 0x. */
bool keyval_parse_u64(const char *text, uint64_t *value);
/* Letters, digits, '-', '.', '_', beginning with a letter. */
bool keyval_id_ok(const char *id);
/* The boolean words; false if it is none of them. */
bool keyval_parse_bool(const char *text, bool *value);

/* The word of `words` that is nearest to `word` by edit distance, NULL if none is near. */
const char *cmdline_nearest(const char *word, const char *const *words, size_t n);

#endif
