/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section `serial` version 3 and its optional subsections (spec minimal-machines 6.3), each sent
 * only if what it tells differs from what the eleven bytes imply.
 *
 * Loading checks every index before use and has no effect outside the registers; what was in the
 * sender's transmitter goes out in `apply`. Machine lock held.
 */
#include "error.h"
#include "serial-state.h"

/* Guess of a reader who was not told: pending if IIR says so. */
static int32_t implied_thr_ipending(const SerialState *s)
{
    return (s->iir & SERIAL_IIR_ID) == SERIAL_IIR_THRI;
}

static bool thr_ipending_needed(void *opaque)
{
    const SerialState *s = opaque;

    return (s->ier & SERIAL_IER_THRI) && s->thr_ipending != implied_thr_ipending(s);
}

static bool tsr_needed(void *opaque)
{
    return ((const SerialState *)opaque)->tsr_retry != 0;
}

static bool recv_fifo_needed(void *opaque)
{
    return ((const SerialState *)opaque)->recv_fifo.num != 0;
}

static bool xmit_fifo_needed(void *opaque)
{
    return ((const SerialState *)opaque)->xmit_fifo.num != 0;
}

static bool timer_needed(void *opaque)
{
    return ((const SerialState *)opaque)->fifo_timeout_timer >= 0;
}

static bool timeout_needed(void *opaque)
{
    return ((const SerialState *)opaque)->timeout_ipending != 0;
}

static const VMStateDescription fifo_vmstate = {
    .name = "Fifo8",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_BUFFER(data, SerialFifo),
        VMSTATE_UINT32(head, SerialFifo),
        VMSTATE_UINT32(num, SerialFifo),
        VMSTATE_END,
    },
};

#define SUBSECTION(ID, NAME, NEEDED, ...) \
    static const VMStateDescription ID = { \
        .name = (NAME), \
        .version_id = 1, \
        .minimum_version_id = 1, \
        .needed = (NEEDED), \
        .fields = (const VMStateField[]){ __VA_ARGS__, VMSTATE_END }, \
    }

SUBSECTION(thr_ipending_vmstate, "serial/thr_ipending", thr_ipending_needed,
           VMSTATE_INT32(thr_ipending, SerialState));
SUBSECTION(tsr_vmstate, "serial/tsr", tsr_needed, VMSTATE_UINT32(tsr_retry, SerialState),
           VMSTATE_UINT8(thr, SerialState), VMSTATE_UINT8(tsr, SerialState));
SUBSECTION(recv_fifo_vmstate, "serial/recv_fifo", recv_fifo_needed,
           VMSTATE_STRUCT(recv_fifo, SerialState, fifo_vmstate, SerialFifo));
SUBSECTION(xmit_fifo_vmstate, "serial/xmit_fifo", xmit_fifo_needed,
           VMSTATE_STRUCT(xmit_fifo, SerialState, fifo_vmstate, SerialFifo));
SUBSECTION(timer_vmstate, "serial/fifo_timeout_timer", timer_needed,
           VMSTATE_TIMER(fifo_timeout_timer, SerialState));
SUBSECTION(timeout_vmstate, "serial/timeout_ipending", timeout_needed,
           VMSTATE_INT32(timeout_ipending, SerialState));

static bool state_pre_load(void *opaque, GError **errp)
{
    SerialState *s = opaque;

    s->thr_ipending = -1;
    s->timeout_ipending = 0;
    s->fifo_timeout_timer = -1;
    s->tsr_retry = 0;
    s->recv_fifo = s->xmit_fifo = (SerialFifo){ 0 };
    return true;
}

static bool fifo_ok(const SerialFifo *f, const char *name, GError **errp)
{
    if (f->head >= SERIAL_FIFO_SIZE || f->num > SERIAL_FIFO_SIZE) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "serial: %s: head %u, num %u do not fit a queue of %d bytes", name, f->head,
                       f->num, SERIAL_FIFO_SIZE);
    }
    return true;
}

static bool state_post_load(void *opaque, int version_id, GError **errp)
{
    SerialState *s = opaque;

    if (s->thr_ipending == -1) {
        s->thr_ipending = implied_thr_ipending(s);
    }
    return fifo_ok(&s->recv_fifo, "recv_fifo", errp) && fifo_ok(&s->xmit_fifo, "xmit_fifo", errp);
}

static const VMStateDescription state_vmstate = {
    .name = "serial",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_load = state_pre_load,
    .post_load = state_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16(divider, SerialState),
        VMSTATE_UINT8(rbr, SerialState),
        VMSTATE_UINT8(ier, SerialState),
        VMSTATE_UINT8(iir, SerialState),
        VMSTATE_UINT8(lcr, SerialState),
        VMSTATE_UINT8(mcr, SerialState),
        VMSTATE_UINT8(lsr, SerialState),
        VMSTATE_UINT8(msr, SerialState),
        VMSTATE_UINT8(scr, SerialState),
        { .name = "fcr_vmstate", .kind = VMS_U8, .offset = offsetof(SerialState, fcr), .size = 1 },
        VMSTATE_END,
    },
    .subsections = (const VMStateDescription *const[]){
        &thr_ipending_vmstate,
        &tsr_vmstate,
        &recv_fifo_vmstate,
        &xmit_fifo_vmstate,
        &timer_vmstate,
        &timeout_vmstate,
        NULL,
    },
};

static bool port_apply(void *opaque, GError **errp)
{
    serial_resume_loaded(opaque);
    return true;
}

const VMStateDescription serial_vmstate = {
    .name = "serial",
    .version_id = 3,
    .minimum_version_id = 3,
    .apply = port_apply,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(state, struct SerialPort, state_vmstate, SerialState),
        VMSTATE_END,
    },
};
