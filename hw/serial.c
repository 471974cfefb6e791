/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 16550A: eight I/O ports, two queues of which the transmitting one is always empty, since the
 * chardev takes a byte at once, and one interrupt line.
 *
 * Register accesses come from vCPU threads with the machine lock held; input and the timer come
 * from the main loop, which takes the lock. Input is taken only while the guest runs, so that no
 * byte is lost to a device state that was sent already.
 * Section: serial-vmstate.c.
 */
#include "serial.h"

#include <string.h>

#include "chardev.h"
#include "error.h"
#include "serial-state.h"

#define BASE_BAUD 115200

const uint16_t serial_isa_port[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
const uint8_t serial_isa_irq[4] = { 4, 3, 4, 3 };

unsigned serial_trigger_level(const SerialState *s)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return levels[s->fcr >> 6];
}

static uint8_t interrupt_id(const SerialState *s)
{
    bool fifo = s->fcr & SERIAL_FCR_ENABLE;

    if ((s->ier & SERIAL_IER_RLSI) && (s->lsr & SERIAL_LSR_ERRORS)) {
        return SERIAL_IIR_RLSI;
    }
    if ((s->ier & SERIAL_IER_RDI) && s->timeout_ipending) {
        return SERIAL_IIR_TIMEOUT;
    }
    if ((s->ier & SERIAL_IER_RDI) && (s->lsr & SERIAL_LSR_DR) &&
        (!fifo || s->recv_fifo.num >= serial_trigger_level(s))) {
        return SERIAL_IIR_RDI;
    }
    if ((s->ier & SERIAL_IER_THRI) && s->thr_ipending) {
        return SERIAL_IIR_THRI;
    }
    if ((s->ier & SERIAL_IER_MSI) && (s->msr & SERIAL_MSR_DELTA)) {
        return SERIAL_IIR_MSI;
    }
    return SERIAL_IIR_NONE;
}

static void update_irq(SerialPort *p)
{
    SerialState *s = &p->state;
    uint8_t id = interrupt_id(s);

    s->iir = (uint8_t)(id | (s->iir & ~SERIAL_IIR_ID));
    machine_set_irq(p->machine, p->irq, id != SERIAL_IIR_NONE);
}

/* ---- the receive timeout ---- */

static void cancel_timer(SerialPort *p)
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
        cancel_timer(p);
        if (p->state.recv_fifo.num) {
            p->state.timeout_ipending = 1;
            update_irq(p);
        }
    }
    machine_unlock(p->machine);
    return G_SOURCE_REMOVE;
}

/* Lets the timer run to state.fifo_timeout_timer. */
static void run_timer(SerialPort *p)
{
    int64_t expiry = p->state.fifo_timeout_timer;
    int64_t delay_ms = (expiry - machine_clock_ns(p->machine)) / 1000000;

    cancel_timer(p);
    p->state.fifo_timeout_timer = expiry;
    /* Four characters at the lowest speed take less than half a minute. */
    p->timer = g_timeout_source_new((guint)CLAMP(delay_ms, 0, 60000));
    g_source_set_callback(p->timer, timer_fired, p, NULL);
    g_source_attach(p->timer, g_main_loop_get_context(p->machine->loop));
}

/* Four character times after the last byte came or was taken. */
static void arm_timer(SerialPort *p)
{
    const SerialState *s = &p->state;
    int64_t bits = 1 + 5 + (s->lcr & 3) + !!(s->lcr & 8) + 1 + !!(s->lcr & 4);
    int64_t divider = s->divider ? s->divider : 1;

    p->state.fifo_timeout_timer =
        machine_clock_ns(p->machine) + 4 * bits * divider * 1000000000 / BASE_BAUD;
    run_timer(p);
}

/* ---- receiving ---- */

static void fifo_push(SerialFifo *f, uint8_t byte)
{
    f->data[(f->head + f->num) % SERIAL_FIFO_SIZE] = byte;
    f->num++;
}

static uint8_t fifo_pop(SerialFifo *f)
{
    uint8_t byte = f->data[f->head];

    f->head = (f->head + 1) % SERIAL_FIFO_SIZE;
    f->num--;
    return byte;
}

static void receive(SerialPort *p, uint8_t byte)
{
    SerialState *s = &p->state;

    if (s->fcr & SERIAL_FCR_ENABLE) {
        if (s->recv_fifo.num < SERIAL_FIFO_SIZE) {
            fifo_push(&s->recv_fifo, byte);
        } else {
            s->lsr |= SERIAL_LSR_OE;
        }
        s->lsr |= SERIAL_LSR_DR;
        arm_timer(p);
    } else {
        if (s->lsr & SERIAL_LSR_DR) {
            s->lsr |= SERIAL_LSR_OE;
        }
        s->rbr = byte;
        s->lsr |= SERIAL_LSR_DR;
    }
    update_irq(p);
}

static uint8_t read_rbr(SerialPort *p)
{
    SerialState *s = &p->state;
    uint8_t byte = s->rbr;

    if (s->fcr & SERIAL_FCR_ENABLE) {
        byte = s->recv_fifo.num ? fifo_pop(&s->recv_fifo) : 0;
        if (s->recv_fifo.num) {
            arm_timer(p);
        } else {
            s->lsr &= (uint8_t)~(SERIAL_LSR_DR | SERIAL_LSR_BI);
            cancel_timer(p);
        }
        s->timeout_ipending = 0;
    } else {
        s->lsr &= (uint8_t)~(SERIAL_LSR_DR | SERIAL_LSR_BI);
    }
    update_irq(p);
    if (!(s->mcr & SERIAL_MCR_LOOP)) {
        chardev_accept_input(p->chr);
    }
    return byte;
}

static void reset_receiver(SerialPort *p)
{
    SerialState *s = &p->state;

    s->recv_fifo = (SerialFifo){ 0 };
    s->lsr &= (uint8_t)~(SERIAL_LSR_DR | SERIAL_LSR_BI);
    s->timeout_ipending = 0;
    cancel_timer(p);
    chardev_accept_input(p->chr);
}

/* ---- sending ---- */

static void transmit(SerialPort *p, uint8_t byte)
{
    SerialState *s = &p->state;

    if (s->mcr & SERIAL_MCR_LOOP) {
        receive(p, byte);
    } else {
        chardev_write(p->chr, &byte, 1);
    }
    /* Empty again before the guest can look. */
    s->lsr |= SERIAL_LSR_THRE | SERIAL_LSR_TEMT;
    s->thr_ipending = 1;
    update_irq(p);
}

static void write_ier(SerialPort *p, uint8_t value)
{
    SerialState *s = &p->state;
    uint8_t risen = value & ~s->ier;

    s->ier = value & 0x0f;
    /* Switching it on while the transmitter is empty interrupts at once. */
    if ((risen & SERIAL_IER_THRI) && (s->lsr & SERIAL_LSR_THRE)) {
        s->thr_ipending = 1;
    }
    update_irq(p);
}

static void write_fcr(SerialPort *p, uint8_t value)
{
    SerialState *s = &p->state;
    bool toggled = (value ^ s->fcr) & SERIAL_FCR_ENABLE;

    if (toggled || (value & SERIAL_FCR_RX_RESET)) {
        reset_receiver(p);
    }
    if (toggled || (value & SERIAL_FCR_TX_RESET)) {
        s->lsr |= SERIAL_LSR_THRE;
        s->thr_ipending = 1;
    }
    /* The other bits can be set only together with the enable bit. */
    s->fcr = (value & SERIAL_FCR_ENABLE) ? value & SERIAL_FCR_KEPT : 0;
    s->iir = (uint8_t)((s->iir & SERIAL_IIR_ID) | (s->fcr ? SERIAL_IIR_FIFO : 0));
    update_irq(p);
}

/* ---- registers ---- */

static void serial_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    SerialPort *p = opaque;
    SerialState *s = &p->state;
    bool dlab = s->lcr & SERIAL_LCR_DLAB;
    uint8_t byte = (uint8_t)value;

    switch (offset) {
    case 0:
        if (dlab) {
            s->divider = (uint16_t)((s->divider & 0xff00) | byte);
        } else {
            transmit(p, byte);
        }
        break;
    case 1:
        if (dlab) {
            s->divider = (uint16_t)((s->divider & 0x00ff) | byte << 8);
        } else {
            write_ier(p, byte);
        }
        break;
    case 2:
        write_fcr(p, byte);
        break;
    case 3:
        s->lcr = byte;
        break;
    case 4:
        s->mcr = byte & 0x1f;
        chardev_accept_input(p->chr); /* loopback may have ended */
        break;
    case 7:
        s->scr = byte;
        break;
    default: /* LSR and MSR cannot be written */
        break;
    }
}

static uint8_t read_iir(SerialPort *p)
{
    uint8_t value = p->state.iir;

    if ((value & SERIAL_IIR_ID) == SERIAL_IIR_THRI) {
        p->state.thr_ipending = 0;
        update_irq(p);
    }
    return value;
}

static uint8_t read_lsr(SerialPort *p)
{
    uint8_t value = p->state.lsr;

    if (value & (SERIAL_LSR_BI | SERIAL_LSR_OE)) {
        p->state.lsr &= (uint8_t)~(SERIAL_LSR_BI | SERIAL_LSR_OE);
        update_irq(p);
    }
    return value;
}

static uint8_t read_msr(SerialPort *p)
{
    SerialState *s = &p->state;
    uint8_t value = s->msr;

    if (s->mcr & SERIAL_MCR_LOOP) {
        /* DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
        return (uint8_t)((s->mcr & 0x0c) << 4 | (s->mcr & 0x02) << 3 | (s->mcr & 0x01) << 5);
    }
    if (value & SERIAL_MSR_DELTA) {
        s->msr &= (uint8_t)~SERIAL_MSR_DELTA;
        update_irq(p);
    }
    return value;
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
    SerialPort *p = opaque;
    SerialState *s = &p->state;
    bool dlab = s->lcr & SERIAL_LCR_DLAB;

    switch (offset) {
    case 0:
        return dlab ? s->divider & 0xff : read_rbr(p);
    case 1:
        return dlab ? s->divider >> 8 : s->ier;
    case 2:
        return read_iir(p);
    case 3:
        return s->lcr;
    case 4:
        return s->mcr;
    case 5:
        return read_lsr(p);
    case 6:
        return read_msr(p);
    default:
        return s->scr;
    }
}

static const MmioOps serial_ops = { serial_read, serial_write };

static void serial_reset(void *dev)
{
    SerialPort *p = dev;

    cancel_timer(p);
    p->state = (SerialState){
        .divider = 0x0c, /* 9600 baud */
        .iir = SERIAL_IIR_NONE,
        .mcr = SERIAL_MCR_OUT2,
        .lsr = SERIAL_LSR_THRE | SERIAL_LSR_TEMT,
        .msr = SERIAL_MSR_READY,
        .fifo_timeout_timer = -1,
    };
    machine_set_irq(p->machine, p->irq, 0);
}

void serial_resume_loaded(SerialPort *p)
{
    SerialState *s = &p->state;

    if (s->tsr_retry) {
        chardev_write(p->chr, &s->tsr, 1);
    }
    /* With a queue the holding register is its head; without, it holds one byte unless empty. */
    if (s->tsr_retry && !(s->fcr & SERIAL_FCR_ENABLE) && !(s->lsr & SERIAL_LSR_THRE)) {
        chardev_write(p->chr, &s->thr, 1);
    }
    while (s->xmit_fifo.num) {
        uint8_t byte = fifo_pop(&s->xmit_fifo);

        chardev_write(p->chr, &byte, 1);
    }
    if (!(s->lsr & SERIAL_LSR_THRE)) {
        s->thr_ipending = 1;
    }
    s->tsr_retry = 0;
    s->lsr |= SERIAL_LSR_THRE | SERIAL_LSR_TEMT;
    if (s->fifo_timeout_timer >= 0) {
        run_timer(p);
    }
    update_irq(p);
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

static size_t serial_can_read(void *opaque)
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

static void serial_receive(void *opaque, const uint8_t *buf, size_t len)
{
    SerialPort *p = opaque;
    bool locked = enter(p);

    for (size_t i = 0; i < len; i++) {
        receive(p, buf[i]);
    }
    leave(p, locked);
}

static const ChardevHandlers serial_handlers = {
    .can_read = serial_can_read,
    .read = serial_receive,
};

/* No lock held. A guest that runs again may take input, and its timer goes on. */
static void run_state_changed(void *opaque, RunState old, RunState now)
{
    SerialPort *p = opaque;

    if (now == RUN_STATE_RUNNING) {
        machine_lock(p->machine);
        if (p->state.fifo_timeout_timer >= 0) {
            run_timer(p);
        }
        machine_unlock(p->machine);
        chardev_accept_input(p->chr);
    }
}

static void serial_destroy(void *dev)
{
    SerialPort *p = dev;

    gw_vmstate_unregister(p->machine->migration, &serial_vmstate, p);
    chardev_set_handlers(p->chr, NULL, p);
    cancel_timer(p);
    g_free(p);
}

SerialPort *serial_isa_new(Machine *m, uint16_t port, unsigned irq, struct Chardev *chr,
                           GError **errp)
{
    SerialPort *p = g_new0(SerialPort, 1);

    p->machine = m;
    p->chr = chr;
    p->irq = irq;
    serial_reset(p);
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
