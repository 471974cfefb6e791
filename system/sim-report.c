/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the workload says about itself: one line per vCPU about once a second, in the words of the
 * test guest (`gw report cpu=0 seq=1 ops=... wrong=0 ... hist=...`), written to the first serial
 * port as a guest would, byte by byte through its I/O ports. Without such a port it is silent.
 * vCPU thread; takes the machine lock for the port.
 */
#include "sim.h"

#define UART_DATA    0x3f8
#define UART_STATUS  0x3fd
#define UART_READY   0x20 /* the transmitter takes a byte */
#define UART_MISSING 0xff /* nothing answers at this port */

char *sim_report_line(const SimCpu *c)
{
    const SimState *s = &c->s;
    GString *line = g_string_new(NULL);
    unsigned top = SIM_HISTOGRAM;

    g_string_append_printf(line, "gw report cpu=%u seq=%" G_GUINT64_FORMAT, c->cpu->index,
                           s->reports);
    g_string_append_printf(line, " ops=%" G_GUINT64_FORMAT " writes=%" G_GUINT64_FORMAT
                           " verified=%" G_GUINT64_FORMAT " wrong=%" G_GUINT64_FORMAT,
                           s->ops, s->writes, s->verified, s->wrong);
    g_string_append_printf(line, " first=0x%" G_GINT64_MODIFIER "x kind=%s", s->first_wrong,
                           sim_wrong_name(s->first_kind));
    g_string_append_printf(line, " stall_us=%" G_GUINT64_FORMAT " max_us=%" G_GUINT64_FORMAT
                           " pass=%" G_GUINT64_FORMAT, s->worst_us, s->worst_ever_us, s->pass);
    while (top > 1 && !s->histogram[top - 1]) {
        top--;
    }
    for (unsigned i = 0; i < top; i++) {
        g_string_append_printf(line, "%s%" G_GUINT64_FORMAT, i ? "," : " hist=", s->histogram[i]);
    }
    return g_string_free(line, FALSE);
}

void sim_report(SimCpu *c)
{
    Machine *m = c->cpu->machine;
    g_autofree char *line = NULL;
    g_autofree char *bytes = NULL;

    c->s.reports++;
    line = sim_report_line(c);
    bytes = g_strconcat(line, "\r\n", NULL);
    c->s.worst_us = 0;
    machine_lock(m);
    for (const char *p = bytes; *p; p++) {
        const uint64_t status = ioport_read(m->memory, UART_STATUS, 1);

        if (status == UART_MISSING || !(status & UART_READY)) {
            break; /* a port that is full for longer is no reason to hold the machine lock */
        }
        ioport_write(m->memory, UART_DATA, (uint8_t)*p, 1);
    }
    machine_unlock(m);
}
