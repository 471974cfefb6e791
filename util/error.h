/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short ways to raise a GError of libgodwit's domain. Any thread. */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <stdbool.h>

#include "migration/error.h"

/* Sets *errp (if given) and returns false, so that `return gw_fail(...)` reads well. */
bool gw_fail(GError **errp, GwErrorCode code, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* The same with ": " strerror(errnum) appended. errnum is positive. */
bool gw_fail_errno(GError **errp, GwErrorCode code, int errnum, const char *fmt, ...)
    G_GNUC_PRINTF(4, 5);

#endif
