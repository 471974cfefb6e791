/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error domain and its helpers; no state. See include/migration/error.h. */
#include "error.h"

#include <stdarg.h>
#include <string.h>

G_DEFINE_QUARK(gw-error-quark, gw_error)

/* Names that a peer sent end up in messages, and these in JSON and on terminals: no control
 * characters, valid UTF-8. */
static void make_printable(char **message)
{
    char *valid;

    for (char *p = *message; *p; p++) {
        if (g_ascii_iscntrl(*p) && *p != '\n') {
            *p = '?';
        }
    }
    if (!g_utf8_validate(*message, -1, NULL)) {
        valid = g_utf8_make_valid(*message, -1);
        g_free(*message);
        *message = valid;
    }
}

bool gw_fail(GError **errp, GwErrorCode code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (errp && !*errp) {
        *errp = g_error_new_valist(GW_ERROR, code, fmt, ap);
        make_printable(&(*errp)->message);
    }
    va_end(ap);
    return false;
}

bool gw_fail_errno(GError **errp, GwErrorCode code, int errnum, const char *fmt, ...)
{
    va_list ap;
    g_autofree char *what = NULL;

    va_start(ap, fmt);
    what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return gw_fail(errp, code, "%s: %s", what, g_strerror(errnum));
}
