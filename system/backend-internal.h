/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to backend*.c: how the kinds of backends get their descriptor. */
#ifndef SYSTEM_BACKEND_INTERNAL_H
#define SYSTEM_BACKEND_INTERNAL_H

#include "backend.h"

/* Both set fd and page_size; file sets named_file as well. */
bool backend_open_memfd(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp);
bool backend_open_file(MemoryBackend *b, const MemoryBackendConfig *c, GError **errp);

#endif
