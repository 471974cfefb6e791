/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error domain and its helpers; no state. See include/migration/error.h. */
#include "error.h"

#include <stdarg.h>
#include <string.h>

G_DEFINE_QUARK(gw-error-quark, gw_error)

bool gw_fail(GError **errp, GwErrorCode code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (errp && !*errp) {
        *errp = g_error_new_valist(GW_ERROR, code, fmt, ap);
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
