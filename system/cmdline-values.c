/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single values of the command line: whole numbers, sizes with suffixes, ids; and the nearest known
 * word to one that is not known.
 *
 * Pure functions; any thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline-keyval.h"

bool keyval_parse_u64(const char *text, uint64_t *value)
{
    char *end;
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

    /* strtoull takes blanks, signs and octal; QEMU's users expect none of them here. */
    if (!g_ascii_isdigit(text[0]) || (hex && !g_ascii_isxdigit(text[2]))) {
        return false;
    }
    errno = 0;
    *value = strtoull(text, &end, hex ? 16 : 10);
    return errno == 0 && *end == '\0';
}

static int suffix_shift(char c)
{
    static const char letters[] = "bkmgtpe";
    const char *p = c ? strchr(letters, g_ascii_tolower(c)) : NULL;

    return p ? (int)(p - letters) * 10 : -1;
}

bool keyval_parse_size(const char *text, uint64_t unit, uint64_t *value)
{
    size_t len = strlen(text);
    int shift = len ? suffix_shift(text[len - 1]) : -1;
    bool hex = len > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    g_autofree char *number = NULL;
    uint64_t whole, frac = 0, mult;
    char *dot;

    if (hex || shift < 0) {
        mult = unit;
        number = g_strdup(text);
    } else {
        mult = UINT64_C(1) << shift;
        number = g_strndup(text, len - 1);
    }
    dot = strchr(number, '.');
    if (dot && !hex) {
        /* "1.5G": up to 9 digits behind the point. */
        size_t digits = strlen(dot + 1);

        *dot = '\0';
        if (digits == 0 || digits > 9 || !keyval_parse_u64(dot + 1, &frac)) {
            return false;
        }
        for (size_t i = digits; i < 9; i++) {
            frac *= 10;
        }
    }
    if (!keyval_parse_u64(number, &whole)) {
        return false;
    }
    frac = (uint64_t)((unsigned __int128)frac * mult / 1000000000u);
    return !__builtin_mul_overflow(whole, mult, value) &&
           !__builtin_add_overflow(*value, frac, value);
}

bool keyval_id_ok(const char *id)
{
    if (!g_ascii_isalpha(id[0]) || strlen(id) > 127) {
        return false;
    }
    return id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == 0;
}

/* Letters to insert, drop, change or swap with their neighbour. Words above 63 letters are never
 * near. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned rows[3][64];

    if (la > 63 || lb > 63) {
        return 64;
    }
    for (size_t j = 0; j <= lb; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            char ca = g_ascii_tolower(a[i - 1]), cb = g_ascii_tolower(b[j - 1]);

            row[j] = MIN(above[j - 1] + (ca != cb), MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && ca == g_ascii_tolower(b[j - 2]) &&
                cb == g_ascii_tolower(a[i - 2])) {
                row[j] = MIN(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[la % 3][lb];
}

const char *cmdline_nearest(const char *word, const char *const *words, size_t n)
{
    /* More than half of the word wrong is a guess, not a help. */
    unsigned best_distance = MAX(2, strlen(word) / 2) + 1;
    const char *best = NULL;

    for (size_t i = 0; i < n; i++) {
        unsigned d = edit_distance(word, words[i]);

        if (g_str_has_prefix(words[i], word) || g_str_has_prefix(word, words[i])) {
            d = MIN(d, 2);
        }
        if (d < best_distance) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}
