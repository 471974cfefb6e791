/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_FW_CFG_H
#define HW_FW_CFG_H

#include "machine.h"

/* The firmware configuration device; owned by the machine. Machine lock held. */
bool fw_cfg_new(Machine *m, GError **errp);

#endif
