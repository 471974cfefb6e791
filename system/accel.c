/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of accelerators. Constant. */
#include "accel.h"

static const AccelOps *const accels[] = { &accel_kvm, &accel_sim, NULL };

const AccelOps *const *accel_list(void)
{
    return accels;
}
