/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the AML encoder share. Any thread, one at a time. */
#ifndef HW_AML_INTERNAL_H
#define HW_AML_INTERNAL_H

#include "aml.h"

#define AML_DEPTH 16 /* objects inside each other; the board's need 4 */

typedef enum AmlKind {
    AML_OBJECT,
    AML_RESOURCES, /* a buffer of descriptors */
} AmlKind;

typedef struct AmlFrame {
    AmlKind kind;
    uint8_t op;
    bool ext;         /* op stands behind the extension prefix */
    GByteArray *body; /* what it holds so far */
} AmlFrame;

struct Aml {
    AmlFrame frames[AML_DEPTH]; /* [0] is the whole */
    unsigned depth;
    unsigned lost;  /* begins beyond AML_DEPTH, whose ends are to come */
    char *error;    /* the first; NULL: none */
};

/* Remembers the first thing that could not be encoded. */
void aml_fail(Aml *a, const char *what, const char *name);
void aml_raw(Aml *a, const void *data, size_t len);
/* The low `len` bytes of value, least significant first. */
void aml_le(Aml *a, uint64_t value, unsigned len);
/* Name(NAME, and what comes next. */
void aml_name(Aml *a, const char *name);
void aml_begin_buffer(Aml *a);

/* aml-resource.c: ends a list of descriptors. */
void aml_resources_end(GByteArray *descriptors);

#endif
