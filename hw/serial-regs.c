/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a 16550A: what reading and writing them does, and when the line is up. The
 * transmitting queue is always empty, since the chardev takes a byte at once.
 *
 * Everything here is called with the machine lock held, by vCPU threads or by serial.c.
 */
#include "chardev.h"
#include "serial-state.h"

static unsigned trigger_level(const SerialState *s)
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
        (!fifo || s->recv_fifo.num >= trigger_level(s))) {
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

void serial_update_irq(SerialPort *p)
{
    SerialState *s = &p->state;
    uint8_t id = interrupt_id(s);

    s->iir = (uint8_t)(id | (s->iir & ~SERIAL_IIR_ID));
    machine_set_irq(p->machine, p->irq, id != SERIAL_IIR_NONE);
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

void serial_receive(SerialPort *p, uint8_t byte)
{
    SerialState *s = &p->state;

    if (s->fcr & SERIAL_FCR_ENABLE) {
        if (s->recv_fifo.num < SERIAL_FIFO_SIZE) {
            fifo_push(&s->recv_fifo, byte);
        } else {
            s->lsr |= SERIAL_LSR_OE;
        }
        s->lsr |= SERIAL_LSR_DR;
        serial_arm_timer(p);
    } else {
        if (s->lsr & SERIAL_LSR_DR) {
            s->lsr |= SERIAL_LSR_OE;
        }
        s->rbr = byte;
        s->lsr |= SERIAL_LSR_DR;
    }
    serial_update_irq(p);
}

static uint8_t read_rbr(SerialPort *p)
{
    SerialState *s = &p->state;
    uint8_t byte = s->rbr;

    if (s->fcr & SERIAL_FCR_ENABLE) {
        byte = s->recv_fifo.num ? fifo_pop(&s->recv_fifo) : 0;
        if (s->recv_fifo.num) {
            serial_arm_timer(p);
        } else {
            s->lsr &= (uint8_t)~(SERIAL_LSR_DR | SERIAL_LSR_BI);
            serial_cancel_timer(p);
        }
        s->timeout_ipending = 0;
    } else {
        s->lsr &= (uint8_t)~(SERIAL_LSR_DR | SERIAL_LSR_BI);
    }
    serial_update_irq(p);
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
    serial_cancel_timer(p);
    chardev_accept_input(p->chr);
}

/* ---- sending ---- */

static void transmit(SerialPort *p, uint8_t byte)
{
    SerialState *s = &p->state;

    if (s->mcr & SERIAL_MCR_LOOP) {
        serial_receive(p, byte);
    } else {
        chardev_write(p->chr, &byte, 1);
    }
    /* Empty again before the guest can look. */
    s->lsr |= SERIAL_LSR_THRE | SERIAL_LSR_TEMT;
    s->thr_ipending = 1;
    serial_update_irq(p);
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
    serial_update_irq(p);
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
    serial_update_irq(p);
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
        serial_update_irq(p);
    }
    return value;
}

static uint8_t read_lsr(SerialPort *p)
{
    uint8_t value = p->state.lsr;

    if (value & (SERIAL_LSR_BI | SERIAL_LSR_OE)) {
        p->state.lsr &= (uint8_t)~(SERIAL_LSR_BI | SERIAL_LSR_OE);
        serial_update_irq(p);
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
        serial_update_irq(p);
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

const MmioOps serial_ops = { serial_read, serial_write };

void serial_reset_registers(SerialPort *p)
{
    serial_cancel_timer(p);
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
        serial_run_timer(p);
    }
    serial_update_irq(p);
}
