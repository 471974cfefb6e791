/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error domain and its helpers; no state. See include/migration/error.h. */
#include "error.h"

#include <stdarg.h>
#include <string.h>

/* Made before any thread, because GLib's lazy way to do it is a data race in the sanitizer's
 * eyes. */
static GQuark error_quark;

__attribute__((constructor)) static void error_quark_init(void)
{
    error_quark = g_quark_from_static_string("gw-error-quark");
    /* The first GError of a process makes GLib's table of error domains. */
    g_error_free(g_error_new_literal(error_quark, GW_ERROR_GENERIC, ""));
}

GQuark gw_error_quark(void)
{
    return error_quark;
}

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
