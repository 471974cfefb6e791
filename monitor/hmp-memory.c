/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: looking at guest memory. Main loop's thread; counts are bounded by the parser. */
#include "hmp-run.h"

#include <string.h>

#include "guest-memory.h"
#include "machine.h"

static unsigned unit_size(const HmpFormat *f)
{
    switch (f->size) {
    case 'b':
        return 1;
    case 'h':
        return 2;
    case 'g':
        return 8;
    case 'w':
        return 4;
    default:
        return f->format == 'c' ? 1 : 4;
    }
}

static void put_char(HmpCall *call, uint64_t v)
{
    const char c = (char)v;

    switch (c) {
    case '\'':
    case '\\':
        hmp_printf(call, " '\\%c'", c);
        break;
    case '\n':
        hmp_printf(call, " '\\n'");
        break;
    case '\r':
        hmp_printf(call, " '\\r'");
        break;
    default:
        if (g_ascii_isprint(c)) {
            hmp_printf(call, " '%c'", c);
        } else {
            hmp_printf(call, " '\\x%02x'", (unsigned)(uint8_t)v);
        }
    }
}

/* Column widths hold the widest value of a unit. */
static void put_unit(HmpCall *call, uint64_t v, char format, unsigned size)
{
    static const int dec[] = {[1] = 3, [2] = 5, [4] = 10, [8] = 20};
    static const int oct[] = {[1] = 3, [2] = 6, [4] = 11, [8] = 22};

    switch (format) {
    case 'o':
        hmp_printf(call, " %#*" G_GINT64_MODIFIER "o", oct[size], v);
        break;
    case 'u':
        hmp_printf(call, " %*" G_GINT64_MODIFIER "u", dec[size], v);
        break;
    case 'd':
        hmp_printf(call, " %*" G_GINT64_MODIFIER "d", dec[size], (gint64)v);
        break;
    case 'c':
        put_char(call, v);
        break;
    default:
        hmp_printf(call, " 0x%0*" G_GINT64_MODIFIER "x", (int)size * 2, v);
        break;
    }
}

static void dump(HmpCall *call, int vcpu)
{
    const GuestView view = {.set = call->set, .vcpu = vcpu};
    const HmpFormat *f = &call->fmt;
    const unsigned size = unit_size(f);
    const unsigned per_line = size == 1 ? 8 : 16 / size;
    uint64_t addr = call->numbers[1];

    for (unsigned left = f->count; left > 0;) {
        unsigned n = MIN(left, per_line);
        uint8_t bytes[16];
        const GuestRead got = guest_view_read(&view, addr, bytes, (uint64_t)n * size);

        hmp_printf(call, "%016" G_GINT64_MODIFIER "x:", addr);
        if (got != GUEST_READ_OK) {
            hmp_printf(call, got == GUEST_READ_NOT_YET ? " Memory has not arrived yet\n"
                                                       : " Cannot access memory\n");
            return;
        }
        for (unsigned i = 0; i < n; i++) {
            uint64_t v = 0;

            memcpy(&v, bytes + i * size, size); /* guest and host are little-endian */
            put_unit(call, v, f->format, size);
        }
        hmp_printf(call, "\n");
        addr += (uint64_t)n * size;
        left -= n;
    }
}

static bool vcpu_exists(HmpCall *call)
{
    if (call->cpu >= call->machine->nr_vcpus) {
        hmp_printf(call, "No CPU available\n");
        return false;
    }
    return true;
}

void hmp_x(HmpCall *call)
{
    if (vcpu_exists(call)) {
        dump(call, (int)call->cpu);
    }
}

void hmp_xp(HmpCall *call)
{
    dump(call, -1);
}

static void save(HmpCall *call, int vcpu)
{
    const GuestView view = {.set = call->set, .vcpu = vcpu};
    g_autoptr(GError) err = NULL;

    if (call->numbers[0] + call->numbers[1] < call->numbers[0]) {
        hmp_printf(call, "Error: address and size reach beyond the end of the address space\n");
        return;
    }
    guest_view_save(&view, call->numbers[0], call->numbers[1], call->strings[2], &err);
    hmp_error(call, err);
}

void hmp_memsave(HmpCall *call)
{
    if (vcpu_exists(call)) {
        save(call, (int)call->cpu);
    }
}

void hmp_pmemsave(HmpCall *call)
{
    save(call, -1);
}
