/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A serial port: its place on the ISA bus, the chardev behind it and the receive timeout.
 * The registers are serial-regs.c, the section is serial-vmstate.c.
 *
 * Register accesses come from vCPU threads with the machine lock held; input and the timer come
 * from the main loop, which takes the lock. Input is taken only while the guest runs, so that no
 * byte is lost to a device state that was sent already.
 */
#include "serial.h"

#include "chardev.h"
#include "error.h"
#include "serial-state.h"

#define BASE_BAUD 115200

const uint16_t serial_isa_port[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
const uint8_t serial_isa_irq[4] = { 4, 3, 4, 3 };

/* ---- the receive timeout ---- */

void serial_cancel_timer(SerialPort *p)
{
    p->state.fifo_timeout_timer = -1;
    if (p->timer) {
        g_source_destroy(p->timer);
        g_source_unref(p->timer);
        p->timer = NULL;
    }
}

static gboolean timer_fired(gpointer opaque)
{
    SerialPort *p = opaque;

    machine_lock(p->machine);
    /* A guest that was stopped meanwhile keeps the timer: its clock stands still. */
    if (p->timer == g_main_current_source() && runstate_is_running(p->machine->run_state)) {
        serial_cancel_timer(p);
        if (p->state.recv_fifo.num) {
            p->state.timeout_ipending = 1;
            serial_update_irq(p);
        }
    }
    machine_unlock(p->machine);
    return G_SOURCE_REMOVE;
}

/* Lets the timer run to state.fifo_timeout_timer. */
void serial_run_timer(SerialPort *p)
{
    int64_t expiry = p->state.fifo_timeout_timer;
    int64_t delay_ms = (expiry - machine_clock_ns(p->machine)) / 1000000;

    serial_cancel_timer(p);
    p->state.fifo_timeout_timer = expiry;
    /* Four characters at the lowest speed take less than half a minute. */
    p->timer = g_timeout_source_new((guint)CLAMP(delay_ms, 0, 60000));
    g_source_set_callback(p->timer, timer_fired, p, NULL);
    g_source_attach(p->timer, g_main_loop_get_context(p->machine->loop));
}

/* Four character times after the last byte came or was taken. */
void serial_arm_timer(SerialPort *p)
{
    const SerialState *s = &p->state;
    int64_t bits = 1 + 5 + (s->lcr & 3) + !!(s->lcr & 8) + 1 + !!(s->lcr & 4);
    int64_t divider = s->divider ? s->divider : 1;

    p->state.fifo_timeout_timer =
        machine_clock_ns(p->machine) + 4 * bits * divider * 1000000000 / BASE_BAUD;
    serial_run_timer(p);
}

/* ---- the chardev's side: main loop ---- */

/* The board connects the chardev with the machine lock held, and is asked at once. */
static bool enter(SerialPort *p)
{
    bool locked = machine_is_locked_by_me(p->machine);

    if (!locked) {
        machine_lock(p->machine);
    }
    return locked;
}

static void leave(SerialPort *p, bool was_locked)
{
    if (!was_locked) {
        machine_unlock(p->machine);
    }
}

static size_t chr_can_read(void *opaque)
{
    SerialPort *p = opaque;
    const SerialState *s = &p->state;
    bool locked = enter(p);
    size_t room = 0;

    if (runstate_is_running(p->machine->run_state) && !(s->mcr & SERIAL_MCR_LOOP)) {
        room = (s->fcr & SERIAL_FCR_ENABLE) ? SERIAL_FIFO_SIZE - s->recv_fifo.num
                                            : !(s->lsr & SERIAL_LSR_DR);
    }
    leave(p, locked);
    return room;
}

static void chr_read(void *opaque, const uint8_t *buf, size_t len)
{
    SerialPort *p = opaque;
    bool locked = enter(p);

    for (size_t i = 0; i < len; i++) {
        serial_receive(p, buf[i]);
    }
    leave(p, locked);
}

static const ChardevHandlers serial_handlers = {
    .can_read = chr_can_read,
    .read = chr_read,
};

/* No lock held. A guest that runs again may take input, and its timer goes on. */
static void run_state_changed(void *opaque, RunState old, RunState now)
{
    SerialPort *p = opaque;

    if (now == RUN_STATE_RUNNING) {
        machine_lock(p->machine);
        if (p->state.fifo_timeout_timer >= 0) {
            serial_run_timer(p);
        }
        machine_unlock(p->machine);
        chardev_accept_input(p->chr);
    }
}

static void serial_reset(void *dev)
{
    serial_reset_registers(dev);
}

static void serial_destroy(void *dev)
{
    SerialPort *p = dev;

    gw_vmstate_unregister(p->machine->migration, &serial_vmstate, p);
    chardev_set_handlers(p->chr, NULL, p);
    serial_cancel_timer(p);
    g_free(p);
}

SerialPort *serial_isa_new(Machine *m, uint16_t port, unsigned irq, struct Chardev *chr,
                           GError **errp)
{
    SerialPort *p = g_new0(SerialPort, 1);

    p->machine = m;
    p->chr = chr;
    p->irq = irq;
    serial_reset_registers(p);
    if (!ioport_add(m->memory, port, 8, &serial_ops, p, "serial", errp) ||
        !gw_vmstate_register(m->migration, NULL, VMSTATE_INSTANCE_ANY, &serial_vmstate, p,
                             MIGRATION_PRIORITY_DEFAULT, errp)) {
        g_prefix_error(errp, "serial port 0x%x: ", port);
        g_free(p);
        return NULL;
    }
    machine_add_device(m, p, serial_destroy, serial_reset);
    runstate_add_notify(m->run_state, run_state_changed, p);
    chardev_set_handlers(chr, &serial_handlers, p);
    return p;
}
