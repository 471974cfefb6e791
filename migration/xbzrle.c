/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XBZRLE codec, both directions side by side. See xbzrle.h. */
#include "xbzrle.h"

#include <string.h>

#include "error.h"

#define ULEB_MAX 0x3fff /* two bytes of seven bits */

/* Length of the run that is equal (or different), eight bytes at a time where it can. */
static size_t run_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i = 0;

    for (; i + 8 <= len; i += 8) {
        uint64_t x, y;

        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y) {
            return i + (unsigned)__builtin_ctzll(GUINT64_TO_LE(x ^ y)) / 8;
        }
    }
    while (i < len && a[i] == b[i]) {
        i++;
    }
    return i;
}

static size_t run_different(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i = 0;

    while (i < len && a[i] != b[i]) {
        i++;
    }
    return i;
}

static size_t uleb_put(uint8_t *out, size_t v)
{
    if (v < 0x80) {
        out[0] = (uint8_t)v;
        return 1;
    }
    out[0] = (uint8_t)(v & 0x7f) | 0x80;
    out[1] = (uint8_t)(v >> 7);
    return 2;
}

/* Bytes used, 0 if malformed. At least two bytes must be there, as every run is followed by
 * something. */
static size_t uleb_get(const uint8_t *in, size_t left, size_t *v)
{
    if (left < 2) {
        return 0;
    }
    if (!(in[0] & 0x80)) {
        *v = in[0];
        return 1;
    }
    if (in[1] & 0x80) {
        return 0;
    }
    *v = (size_t)(in[0] & 0x7f) | (size_t)in[1] << 7;
    return 2;
}

int xbzrle_encode(const uint8_t *old, const uint8_t *now, size_t len, uint8_t *out, size_t cap)
{
    size_t at = 0, used = 0;

    if (len > ULEB_MAX) {
        return -1;
    }
    for (;;) {
        uint8_t head[4];
        size_t head_len, n;

        n = run_equal(old + at, now + at, len - at);
        at += n;
        if (at == len) {
            return (int)used; /* a last unchanged run is not said */
        }
        head_len = uleb_put(head, n);
        n = run_different(old + at, now + at, len - at);
        head_len += uleb_put(head + head_len, n);
        if (cap - used < head_len + n) {
            return -1;
        }
        memcpy(out + used, head, head_len);
        memcpy(out + used + head_len, now + at, n);
        used += head_len + n;
        at += n;
    }
}

static bool malformed(GError **errp, const char *what, size_t in, size_t out)
{
    return gw_fail(errp, GW_ERROR_PROTOCOL, "XBZRLE data: %s at byte %zu (page byte %zu)", what, in,
                   out);
}

bool xbzrle_decode(const uint8_t *enc, size_t enc_len, uint8_t *page, size_t page_len,
                   GError **errp)
{
    size_t in = 0, out = 0;

    while (in < enc_len) {
        size_t n, used = uleb_get(enc + in, enc_len - in, &n);

        if (used == 0) {
            return malformed(errp, "bad length of an unchanged run", in, out);
        }
        if (n == 0 && in != 0) {
            return malformed(errp, "empty unchanged run", in, out);
        }
        if (n > page_len - out) {
            return malformed(errp, "unchanged run past the page's end", in, out);
        }
        in += used;
        out += n;
        used = uleb_get(enc + in, enc_len - in, &n);
        if (used == 0) {
            return malformed(errp, "bad length of a changed run", in, out);
        }
        if (n == 0) {
            return malformed(errp, "empty changed run", in, out);
        }
        in += used;
        if (n > page_len - out || n > enc_len - in) {
            return malformed(errp, "changed run too long", in, out);
        }
        memcpy(page + out, enc + in, n);
        in += n;
        out += n;
    }
    return true;
}
