/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XBZRLE: a page as the bytes that changed since its last version. Pairs of an unchanged run and a
 * changed run; the literals are the new bytes. Pure functions; any thread. Spec: ram 2.6.
 */
#ifndef MIGRATION_XBZRLE_H
#define MIGRATION_XBZRLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/*
 * Encodes the difference of two buffers of `len` (at most 16383) bytes into out[]. Returns the
 * encoded length, 0 if nothing changed, -1 if it needs more than `cap` bytes. `now` must not change
 * meanwhile: use a private copy of a guest page.
 */
int xbzrle_encode(const uint8_t *old, const uint8_t *now, size_t len, uint8_t *out, size_t cap);

/* Applies an encoding to `page`, which holds the old version. False with *errp if it is malformed;
 * the page may then be changed in part. */
bool xbzrle_decode(const uint8_t *enc, size_t enc_len, uint8_t *page, size_t page_len,
                   GError **errp);

#endif
