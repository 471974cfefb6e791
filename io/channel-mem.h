/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Channels within the process: both ends of a migration in one test. */
#ifndef IO_CHANNEL_MEM_H
#define IO_CHANNEL_MEM_H

#include "migration/channel.h"

/*
 * Makes two channels, each the other's peer, as a socket pair does: what one writes the other
 * reads, through a buffer of `capacity` bytes (at least 1) per direction. Duplex, peekable.
 */
bool gw_channel_mem_pair(size_t capacity, GwChannel **a, GwChannel **b);

#endif
