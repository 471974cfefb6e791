/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial port: registers as a driver sees them, interrupts, input and output, and the section
 * byte for byte as stock QEMU 7.2 writes it (the hexadecimal texts are from its streams).
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev.h"
#include "machine-fixture.h"
#include "serial-state.h"
#include "vmstate-helpers.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = 0, FCR = 2, DLL = 0, DLM = 1 };

static int irq_level = -1;

static void record_irq(Machine *m, unsigned gsi, int level)
{
    g_assert_cmpuint(gsi, ==, 4);
    irq_level = level;
}

/* A machine with a port whose other end is `peer`. */
typedef struct Bench {
    MachineConfig *config;
    Machine *m;
    AccelOps accel;
    SerialPort *port;
    int peer;
} Bench;

static void bench_open(Bench *b)
{
    ChardevConfig *chr = g_new0(ChardevConfig, 1);
    g_autoptr(GError) err = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    b->peer = fds[1];
    b->config = fixture_config(1);
    chr->id = g_strdup("serial0");
    chr->backend = g_strdup("socket");
    chr->fd = g_strdup_printf("%d", fds[0]);
    g_ptr_array_add(b->config->chardevs, chr);
    b->m = fixture_machine(b->config);
    b->accel = *b->m->accel;
    b->accel.set_irq = record_irq;
    b->m->accel = &b->accel;
    machine_lock(b->m);
    b->port = serial_isa_new(b->m, serial_isa_port[0], serial_isa_irq[0],
                             machine_find_chardev(b->m, "serial0"), &err);
    machine_unlock(b->m);
    g_assert_no_error(err);
}

static void bench_close(Bench *b)
{
    machine_free(b->m);
    machine_config_free(b->config);
    close(b->peer);
}

static uint8_t in(Bench *b, unsigned reg)
{
    uint8_t value;

    machine_lock(b->m);
    value = (uint8_t)ioport_read(b->m->memory, (uint16_t)(serial_isa_port[0] + reg), 1);
    machine_unlock(b->m);
    return value;
}

static void out(Bench *b, unsigned reg, uint8_t value)
{
    machine_lock(b->m);
    ioport_write(b->m->memory, (uint16_t)(serial_isa_port[0] + reg), value, 1);
    machine_unlock(b->m);
}

static void start_guest(Bench *b)
{
    g_assert_true(runstate_start(b->m->run_state, NULL));
}

static gboolean ring(gpointer flag)
{
    *(bool *)flag = true;
    return G_SOURCE_REMOVE;
}

#define run_until(cond) \
    do { \
        bool late_ = false; \
        guint id_ = g_timeout_add(60000, ring, &late_); \
        while (!(cond) && !late_) { \
            g_main_context_iteration(NULL, TRUE); \
        } \
        g_assert_true(cond); \
        if (!late_) { \
            g_source_remove(id_); \
        } \
    } while (0)

static void assert_sent(Bench *b, const char *text)
{
    char buf[64] = "";

    g_assert_cmpint(recv(b->peer, buf, sizeof(buf) - 1, MSG_DONTWAIT), ==, (ssize_t)strlen(text));
    g_assert_cmpstr(buf, ==, text);
}

static void test_reset(void)
{
    Bench b;

    bench_open(&b);
    g_assert_cmphex(in(&b, IER), ==, 0);
    g_assert_cmphex(in(&b, IIR), ==, 0x01);
    g_assert_cmphex(in(&b, LCR), ==, 0);
    g_assert_cmphex(in(&b, MCR), ==, 0x08);
    g_assert_cmphex(in(&b, LSR), ==, 0x60);
    g_assert_cmphex(in(&b, MSR), ==, 0xb0);
    g_assert_cmpint(irq_level, ==, 0);
    bench_close(&b);
}

static void test_plain_registers(void)
{
    Bench b;

    bench_open(&b);
    out(&b, SCR, 0x5a);
    g_assert_cmphex(in(&b, SCR), ==, 0x5a);
    out(&b, LCR, 0x83);
    out(&b, DLL, 0x34);
    out(&b, DLM, 0x12);
    g_assert_cmphex(in(&b, DLL), ==, 0x34);
    g_assert_cmphex(in(&b, DLM), ==, 0x12);
    out(&b, LCR, 0x03);
    g_assert_cmphex(in(&b, IER), ==, 0);
    out(&b, MCR, 0xff);
    g_assert_cmphex(in(&b, MCR), ==, 0x1f);
    g_assert_cmphex(in(&b, MSR), ==, 0xf0); /* looped back */
    out(&b, LSR, 0xff);
    g_assert_cmphex(in(&b, LSR), ==, 0x60);
    bench_close(&b);
}

static void test_transmit(void)
{
    Bench b;

    bench_open(&b);
    out(&b, THR, 'A');
    out(&b, THR, 'B');
    assert_sent(&b, "AB");
    g_assert_cmphex(in(&b, LSR), ==, 0x60);
    g_assert_cmpint(irq_level, ==, 0);
    out(&b, IER, SERIAL_IER_THRI); /* the transmitter is empty: at once */
    g_assert_cmpint(irq_level, ==, 1);
    g_assert_cmphex(in(&b, IIR), ==, 0x02);
    g_assert_cmpint(irq_level, ==, 0);
    g_assert_cmphex(in(&b, IIR), ==, 0x01);
    out(&b, THR, 'C');
    g_assert_cmpint(irq_level, ==, 1);
    out(&b, IER, 0);
    g_assert_cmpint(irq_level, ==, 0);
    bench_close(&b);
}

static void test_receive(void)
{
    Bench b;

    bench_open(&b);
    out(&b, IER, SERIAL_IER_RDI);
    g_assert_cmpint(write(b.peer, "xy", 2), ==, 2);
    for (int i = 0; i < 10; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmphex(in(&b, LSR), ==, 0x60); /* a stopped guest is not fed */
    start_guest(&b);
    run_until(in(&b, LSR) == 0x61);
    g_assert_cmpint(irq_level, ==, 1);
    g_assert_cmphex(in(&b, IIR), ==, 0x04);
    g_assert_cmphex(in(&b, RBR), ==, 'x');
    g_assert_cmpint(irq_level, ==, 0);
    run_until(in(&b, LSR) == 0x61); /* one at a time, none lost */
    g_assert_cmphex(in(&b, RBR), ==, 'y');
    bench_close(&b);
}

static void test_fifo(void)
{
    static const char text[] = "0123456789abcdefghij";
    Bench b;

    bench_open(&b);
    out(&b, FCR, 0xc7); /* 14 bytes */
    g_assert_cmphex(in(&b, IIR), ==, 0xc1);
    out(&b, IER, SERIAL_IER_RDI);
    g_assert_cmpint(write(b.peer, text, 20), ==, 20);
    start_guest(&b);
    run_until(irq_level == 1);
    for (int i = 0; i < 20; i++) {
        run_until(in(&b, LSR) == 0x61);
        g_assert_cmphex(in(&b, RBR), ==, (uint8_t)text[i]);
    }
    g_assert_cmphex(in(&b, LSR), ==, 0x60);
    g_assert_cmphex(in(&b, RBR), ==, 0);
    bench_close(&b);
}

static void test_fifo_timeout(void)
{
    Bench b;

    bench_open(&b);
    out(&b, LCR, 0x03);
    out(&b, FCR, 0xc7);
    out(&b, IER, SERIAL_IER_RDI);
    start_guest(&b);
    g_assert_cmpint(write(b.peer, "a", 1), ==, 1); /* below the trigger */
    run_until(irq_level == 1);
    g_assert_cmphex(in(&b, IIR), ==, 0xcc);
    g_assert_cmphex(in(&b, RBR), ==, 'a');
    g_assert_cmpint(irq_level, ==, 0);
    bench_close(&b);
}

static void test_loopback(void)
{
    Bench b;

    bench_open(&b);
    out(&b, MCR, 0x1b);
    out(&b, IER, SERIAL_IER_RDI);
    out(&b, THR, 'q');
    g_assert_cmphex(in(&b, LSR), ==, 0x61);
    g_assert_cmphex(in(&b, IIR), ==, 0x04);
    out(&b, THR, 'r'); /* the first was not read */
    out(&b, IER, SERIAL_IER_RLSI);
    g_assert_cmphex(in(&b, IIR), ==, 0x06);
    g_assert_cmphex(in(&b, LSR), ==, 0x63);
    g_assert_cmphex(in(&b, LSR), ==, 0x61);
    g_assert_cmpint(irq_level, ==, 0);
    g_assert_cmphex(in(&b, RBR), ==, 'r');
    g_assert_cmpint(recv(b.peer, (char[1]){ 0 }, 1, MSG_DONTWAIT), ==, -1);
    bench_close(&b);
}

/* 20000 bytes while nobody reads: the guest does not wait, the reader gets all. */
static void test_many(void)
{
    Bench b;
    size_t got = 0;

    bench_open(&b);
    for (int i = 0; i < 20000; i++) {
        out(&b, THR, (uint8_t)i);
    }
    while (got < 20000) {
        uint8_t buf[4096];
        ssize_t n = recv(b.peer, buf, sizeof(buf), MSG_DONTWAIT);

        for (ssize_t i = 0; i < n; i++) {
            g_assert_cmphex(buf[i], ==, (uint8_t)(got + (size_t)i));
        }
        got += n > 0 ? (size_t)n : 0;
        g_main_context_iteration(NULL, FALSE);
    }
    bench_close(&b);
}

/* ---- the section ---- */

#define THR_IPENDING "05 13 'serial/thr_ipending' 00000001 "
#define RECV_FIFO "05 10 'serial/recv_fifo' 00000001 "
#define XMIT_FIFO "05 10 'serial/xmit_fifo' 00000001 "
#define TIMEOUT "05 17 'serial/timeout_ipending' 00000001 "
#define TIMER "05 19 'serial/fifo_timeout_timer' 00000001 "
#define TSR "05 0a 'serial/tsr' 00000001 "

static void test_section_reset(void)
{
    Bench b;

    bench_open(&b);
    assert_saves(&serial_vmstate, b.port, "000c 00 00 01 00 08 60 b0 00 00");
    bench_close(&b);
}

/* What QEMU sent after the same register writes and the same input. */
static void test_section_like_qemu(void)
{
    Bench b;

    bench_open(&b);
    out(&b, LCR, 0x03);
    out(&b, FCR, 0xc7);
    out(&b, MCR, 0x0b);
    out(&b, IER, 0x0f);
    start_guest(&b);
    g_assert_cmpint(write(b.peer, "xyz", 3), ==, 3);
    run_until(b.port->state.timeout_ipending);
    assert_saves(&serial_vmstate, b.port, "000c 00 0f cc 03 0b 61 b0 00 c1 " THR_IPENDING
                 "00000001 " RECV_FIFO "'xyz' 00000000000000000000000000 00000000 00000003 "
                 TIMEOUT "00000001");
    bench_close(&b);
}

static void load(Bench *b, const char *hex)
{
    machine_lock(b->m);
    assert_loads(&serial_vmstate, b->port, hex);
    g_assert_true(serial_vmstate.apply(b->port, NULL));
    machine_unlock(b->m);
}

static void test_load_blocked_sender(void)
{
    Bench b;

    bench_open(&b);
    load(&b, "000c 00 0f cc 03 0b 01 b0 00 c1 " TSR "00000001 41 41 "
         RECV_FIFO "'AAAAAAAAAAAAAA' 0000 00000000 0000000e "
         XMIT_FIFO "'0123456789abcdef' 0000000c 00000010 " TIMEOUT "00000001");
    assert_sent(&b, "Acdef0123456789ab"); /* its transmitter's 17 bytes, in order */
    g_assert_cmphex(in(&b, LSR), ==, 0x61);
    g_assert_cmphex(in(&b, IIR), ==, 0xcc);
    g_assert_cmpint(irq_level, ==, 1);
    for (int i = 0; i < 14; i++) {
        g_assert_cmphex(in(&b, RBR), ==, 'A');
    }
    g_assert_cmphex(in(&b, IIR), ==, 0xc2); /* and now the transmitter is empty */
    bench_close(&b);
}

static void test_load_timer(void)
{
    Bench b;

    bench_open(&b);
    load(&b, "000c 00 01 c1 03 0b 61 b0 00 c1 " RECV_FIFO
         "'xyz' 00000000000000000000000000 00000000 00000003 " TIMER "0000000000000001");
    g_assert_cmpint(irq_level, ==, 0);
    start_guest(&b);
    run_until(irq_level == 1);
    g_assert_cmphex(in(&b, IIR), ==, 0xcc);
    bench_close(&b);
}

/* 65535 bit times: the timer is still running. */
static void test_save_timer(void)
{
    Bench a, b;
    g_autofree char *hex = NULL;

    bench_open(&a);
    out(&a, LCR, 0x83);
    out(&a, DLL, 0xff);
    out(&a, DLM, 0xff);
    out(&a, LCR, 0x03);
    out(&a, FCR, 0xc7);
    start_guest(&a);
    g_assert_cmpint(write(a.peer, "x", 1), ==, 1);
    run_until(in(&a, LSR) == 0x61);
    hex = g_strdup_printf("ffff 00 00 c1 03 08 61 b0 00 c1 " RECV_FIFO
                          "'x' 000000000000000000000000000000 00000000 00000001 " TIMER "%016"
                          G_GINT64_MODIFIER "x", a.port->state.fifo_timeout_timer);
    assert_saves(&serial_vmstate, a.port, hex);
    bench_open(&b);
    load(&b, hex);
    assert_saves(&serial_vmstate, b.port, hex);
    bench_close(&a);
    bench_close(&b);
}

static void test_load_bad(void)
{
    Bench b;

    bench_open(&b);
    assert_refuses(&serial_vmstate, b.port, "000c 00 00 01 00 08 60 b0 00 01 " RECV_FIFO
                      "00000000000000000000000000000000 00000010 00000001", "serial: recv_fifo");
    assert_refuses(&serial_vmstate, b.port, "000c 00 00 01 00 08 60 b0 00 01 " XMIT_FIFO
                      "00000000000000000000000000000000 00000000 00000011", "serial: xmit_fifo");
    assert_refuses(&serial_vmstate, b.port, "000c 00 00", "");
    bench_close(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/serial/reset", test_reset);
    g_test_add_func("/serial/plain-registers", test_plain_registers);
    g_test_add_func("/serial/transmit", test_transmit);
    g_test_add_func("/serial/receive", test_receive);
    g_test_add_func("/serial/fifo", test_fifo);
    g_test_add_func("/serial/fifo-timeout", test_fifo_timeout);
    g_test_add_func("/serial/loopback", test_loopback);
    g_test_add_func("/serial/many", test_many);
    g_test_add_func("/serial/section-reset", test_section_reset);
    g_test_add_func("/serial/section-like-qemu", test_section_like_qemu);
    g_test_add_func("/serial/load-blocked-sender", test_load_blocked_sender);
    g_test_add_func("/serial/load-timer", test_load_timer);
    g_test_add_func("/serial/save-timer", test_save_timer);
    g_test_add_func("/serial/load-bad", test_load_bad);
    return g_test_run();
}
