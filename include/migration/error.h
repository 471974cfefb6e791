/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of libgodwit: one GError domain. A message names the channel, section, field or option,
 * says what was wrong and, where there is one, the mend.
 */
#ifndef MIGRATION_ERROR_H
#define MIGRATION_ERROR_H

#include <glib.h>

#define GW_ERROR (gw_error_quark())
GQuark gw_error_quark(void);

typedef enum GwErrorCode {
    GW_ERROR_GENERIC,     /* everything that has no better code */
    GW_ERROR_IO,          /* a channel broke: in postcopy this pauses instead of failing */
    GW_ERROR_EOF,         /* a channel ended where more was expected; treated like IO */
    GW_ERROR_PROTOCOL,    /* the peer sent something that the wire format does not allow */
    GW_ERROR_CANCELLED,   /* stopped by the user of this side */
    GW_ERROR_UNSUPPORTED, /* well-formed, but not available here */
    GW_ERROR_COMMAND_NOT_FOUND, /* QMP class CommandNotFound */
    GW_ERROR_DEVICE_NOT_FOUND,  /* QMP class DeviceNotFound */
} GwErrorCode;

#endif
