/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether this host's dirty ring does what it should; see kvm-ring-test.c. Main thread. */
#ifndef SYSTEM_KVM_RING_TEST_H
#define SYSTEM_KVM_RING_TEST_H

#include <stdbool.h>

#include <glib.h>

/* Runs a small guest over a full ring in a process of its own. `cap` is the ring's capability. */
bool kvm_ring_self_test(int kvm_fd, int cap, GError **errp);

#endif
