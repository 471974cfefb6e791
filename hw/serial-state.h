/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a serial port, as serial-regs.c runs them and serial-vmstate.c writes them.
 * Guarded by the machine lock. */
#ifndef HW_SERIAL_STATE_H
#define HW_SERIAL_STATE_H

#include "serial.h"

#define SERIAL_FIFO_SIZE 16

enum {
    SERIAL_IER_RDI = 0x01,
    SERIAL_IER_THRI = 0x02,
    SERIAL_IER_RLSI = 0x04,
    SERIAL_IER_MSI = 0x08,

    SERIAL_IIR_MSI = 0x00,
    SERIAL_IIR_NONE = 0x01,
    SERIAL_IIR_THRI = 0x02,
    SERIAL_IIR_RDI = 0x04,
    SERIAL_IIR_RLSI = 0x06,
    SERIAL_IIR_TIMEOUT = 0x0c,
    SERIAL_IIR_ID = 0x0f,
    SERIAL_IIR_FIFO = 0xc0,

    SERIAL_FCR_ENABLE = 0x01,
    SERIAL_FCR_RX_RESET = 0x02,
    SERIAL_FCR_TX_RESET = 0x04,
    SERIAL_FCR_KEPT = 0xc9, /* what a later reader could tell: enable, DMA mode, trigger level */

    SERIAL_LCR_DLAB = 0x80,

    SERIAL_MCR_LOOP = 0x10,
    SERIAL_MCR_OUT2 = 0x08,

    SERIAL_LSR_DR = 0x01,
    SERIAL_LSR_OE = 0x02,
    SERIAL_LSR_BI = 0x10,
    SERIAL_LSR_THRE = 0x20,
    SERIAL_LSR_TEMT = 0x40,
    SERIAL_LSR_ERRORS = 0x1e,

    SERIAL_MSR_DELTA = 0x0f,
    SERIAL_MSR_READY = 0xb0, /* DCD, DSR, CTS: somebody listens */
};

/* A ring; `head` is the oldest byte. */
typedef struct SerialFifo {
    uint8_t data[SERIAL_FIFO_SIZE];
    uint32_t head, num;
} SerialFifo;

typedef struct SerialState {
    uint16_t divider;
    uint8_t rbr, ier, iir, lcr, mcr, lsr, msr, scr, fcr;
    int32_t thr_ipending;     /* the "transmitter empty" interrupt has not been looked at */
    int32_t timeout_ipending; /* received bytes have waited for four character times */
    SerialFifo recv_fifo;
    int64_t fifo_timeout_timer; /* expiry on the virtual clock, ns; -1: not armed */
    /* Of a stream only: what a sender had not got rid of yet. Here, output leaves at once. */
    uint32_t tsr_retry;
    uint8_t thr, tsr;
    SerialFifo xmit_fifo;
} SerialState;

struct SerialPort {
    SerialState state; /* first: the section's "state" */
    Machine *machine;
    struct Chardev *chr;
    unsigned irq;
    GSource *timer;    /* runs fifo_timeout_timer; NULL: not armed */
};

/* ---- serial-regs.c; machine lock held ---- */

extern const MmioOps serial_ops; /* opaque is the SerialPort */
void serial_reset_registers(SerialPort *p);
/* IIR and the interrupt line follow the other registers. */
void serial_update_irq(SerialPort *p);
/* A byte from outside. */
void serial_receive(SerialPort *p, uint8_t byte);
/* After a load: output that was under way leaves, line and timer follow the registers. */
void serial_resume_loaded(SerialPort *p);

/* ---- serial.c; machine lock held ---- */

/* Arms the receive timeout: four character times from now. */
void serial_arm_timer(SerialPort *p);
/* Lets the timer run to state.fifo_timeout_timer, which a stream may have brought. */
void serial_run_timer(SerialPort *p);
void serial_cancel_timer(SerialPort *p);

/* ---- serial-vmstate.c ---- */
extern const VMStateDescription serial_vmstate;

#endif
