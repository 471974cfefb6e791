/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Number expressions as QEMU's monitor takes them: + - bind least, then & | ^, then * / %, then
 * unary + - ~ and parentheses. 64 bits, wrapping; decimal, 0x and octal. Nesting is bounded. A '/'
 * before a letter ends an expression: "pmemsave 0 4096 /tmp/x" means a path. No state.
 */
#include "hmp-expr.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#define MAX_NESTING 64

typedef struct Parser {
    const char *p;
    char **problem;
    int depth;
} Parser;

static bool sum(Parser *e, uint64_t *v);

static char next(Parser *e)
{
    while (g_ascii_isspace(*e->p)) {
        e->p++;
    }
    return *e->p;
}

static bool number(Parser *e, uint64_t *v)
{
    char *end;
    char c = *e->p;

    if (c == '\0') {
        *e->problem = g_strdup("unexpected end of expression");
        return false;
    }
    if (c == '$') {
        *e->problem = g_strdup("unknown register");
        return false;
    }
    errno = 0;
    *v = g_ascii_isdigit(c) ? g_ascii_strtoull(e->p, &end, 0) : 0;
    if (!g_ascii_isdigit(c)) {
        *e->problem = g_strdup_printf("invalid char '%c' in expression", c);
        return false;
    }
    if (errno == ERANGE) {
        *e->problem = g_strdup("number too large");
        return false;
    }
    if (g_ascii_isalpha(*end)) {
        *e->problem = g_strdup_printf("invalid char '%c' in expression", *end);
        return false;
    }
    e->p = end;
    return true;
}

static bool unary(Parser *e, uint64_t *v)
{
    bool ok;
    char c = next(e);

    if (c != '(' && c != '-' && c != '+' && c != '~') {
        return number(e, v);
    }
    if (e->depth == MAX_NESTING) {
        *e->problem = g_strdup("expression is nested too deeply");
        return false;
    }
    e->depth++;
    e->p++;
    ok = c == '(' ? sum(e, v) : unary(e, v);
    e->depth--;
    if (!ok) {
        return false;
    }
    if (c == '(') {
        if (next(e) != ')') {
            *e->problem = g_strdup("')' expected");
            return false;
        }
        e->p++;
    } else if (c == '-') {
        *v = -*v;
    } else if (c == '~') {
        *v = ~*v;
    }
    return true;
}

static bool product(Parser *e, uint64_t *v)
{
    uint64_t w;

    if (!unary(e, v)) {
        return false;
    }
    for (;;) {
        char c = next(e);

        if ((c != '*' && c != '/' && c != '%') || (c == '/' && g_ascii_isalpha(e->p[1]))) {
            return true;
        }
        e->p++;
        if (!unary(e, &w)) {
            return false;
        }
        if (c != '*' && w == 0) {
            *e->problem = g_strdup("division by zero");
            return false;
        }
        *v = c == '*' ? *v * w : c == '/' ? *v / w : *v % w;
    }
}

static bool logic(Parser *e, uint64_t *v)
{
    uint64_t w;

    if (!product(e, v)) {
        return false;
    }
    for (;;) {
        char c = next(e);

        if (c != '&' && c != '|' && c != '^') {
            return true;
        }
        e->p++;
        if (!product(e, &w)) {
            return false;
        }
        *v = c == '&' ? *v & w : c == '|' ? *v | w : *v ^ w;
    }
}

static bool sum(Parser *e, uint64_t *v)
{
    uint64_t w;

    if (!logic(e, v)) {
        return false;
    }
    for (;;) {
        char c = next(e);

        if (c != '+' && c != '-') {
            return true;
        }
        e->p++;
        if (!logic(e, &w)) {
            return false;
        }
        *v = c == '+' ? *v + w : *v - w;
    }
}

bool hmp_parse_expression(const char **p, uint64_t *value, char **problem)
{
    Parser e = {.p = *p, .problem = problem};
    bool ok = sum(&e, value);

    *p = e.p;
    return ok;
}
