/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of KeyValList, for its two parsers: cmdline-keyval.c (commas) and cmdline-json.c. */
#ifndef SYSTEM_CMDLINE_KEYVAL_PRIV_H
#define SYSTEM_CMDLINE_KEYVAL_PRIV_H

#include "cmdline-keyval.h"

typedef struct KeyValPair {
    char *key;
    char *value; /* NULL: a short boolean */
    bool used;
} KeyValPair;

struct KeyValList {
    GPtrArray *pairs; /* of KeyValPair */
    GPtrArray *known; /* of char *: what was asked for, to suggest the nearest */
    GError *error;    /* the first thing that was wrong */
};

KeyValList *keyval_new(void);
/* Appends a pair; value NULL is a short boolean. False if the key is malformed or one too many. */
bool keyval_add(KeyValList *kv, const char *key, const char *value, GError **errp);
/* Appends the members of a JSON object, nested ones with dotted keys. */
bool keyval_add_json(KeyValList *kv, const char *text, GError **errp);

#endif
