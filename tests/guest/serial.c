/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial port 0x3f8, polled. Each access to it costs tens of microseconds, so text leaves in
 * FIFO-sized strings with one look at the line status before each, and input is looked at only
 * when a report is due: the letter `s` asks every vCPU for a sweep. Works without a port as well.
 * Callers hold `lock` for a line: several vCPUs write.
 */
#include "guest.h"

#define PORT 0x3f8
#define FIFO 16

volatile uint32_t serial_sweeps_asked;
static bool present;
static uint32_t lock;

void serial_setup(void)
{
    outb(PORT + 7, 0x5a); /* the scratch register tells whether anybody is there */
    present = inb(PORT + 7) == 0x5a;
    if (present) {
        outb(PORT + 1, 0);
        outb(PORT + 3, 3);
        outb(PORT + 2, 7);
    }
}

void serial_write(struct work *w, const char *text, size_t length)
{
    if (!present)
        return;
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
        clock_now(w), pause_cpu();
    while (length) {
        size_t part = length < FIFO ? length : FIFO;
        while (!(inb(PORT + 5) & 0x20))
            clock_now(w);
        outsb(PORT, text, part);
        text += part;
        length -= part;
        clock_now(w);
    }
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

void serial_poll(void)
{
    while (present && (inb(PORT + 5) & 1)) {
        if (inb(PORT) == 's')
            serial_sweeps_asked++;
    }
}
