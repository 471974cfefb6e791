/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What joins a virtio-mmio transport to the rest of the machine: the interrupt line, alone and
 * shared with another transport, and the ioeventfds of its queues, from the first DRIVER_OK on. */
#include "memory-view.h"
#include "virtio-fixture.h"
#include "virtio-line.h"

#define GSI 12

/* ---- the line ---- */

/* What the accelerator was told about lines: '+' high, '-' low. */
static GString *wire;

static void record(Machine *m, unsigned gsi, int level)
{
    g_assert_cmpuint(gsi, ==, GSI);
    g_string_append_c(wire, level ? '+' : '-');
}

static void assert_wire(const char *expected)
{
    g_assert_cmpstr(wire->str, ==, expected);
    g_string_truncate(wire, 0);
}

typedef struct Holder {
    VirtIOLine *line;
    uint32_t isr;
    bool holds;
} Holder;

static void raise_bits(Holder *h, uint32_t bits)
{
    h->isr |= bits;
    virtio_line_update(h->line, &h->holds, &h->isr, false);
}

static void acknowledge(Holder *h, uint32_t bits)
{
    h->isr &= ~bits;
    virtio_line_update(h->line, &h->holds, &h->isr, true);
}

static void test_line(void)
{
    MachineConfig *c = fixture_config(1);
    Machine *m = fixture_machine(c);
    AccelOps accel = *m->accel;
    Holder a = { 0 }, b = { 0 };

    accel.set_irq = record;
    m->accel = &accel;
    wire = g_string_new(NULL);
    machine_lock(m);
    a.line = b.line = virtio_line_new(m, GSI);
    machine_unlock(m);

    raise_bits(&a, 1);
    assert_wire("+");
    raise_bits(&a, 1); /* it is high: the guest has yet to look */
    assert_wire("");
    acknowledge(&a, 1);
    assert_wire("-");

    raise_bits(&a, 1);
    raise_bits(&a, 2); /* came after the guest had read 1 */
    assert_wire("+");
    acknowledge(&a, 1);
    assert_wire("-+"); /* else nobody would hear of 2 */
    acknowledge(&a, 2);
    assert_wire("-");

    raise_bits(&a, 1);
    raise_bits(&b, 1); /* shared: came after the guest had read 0 there */
    assert_wire("+");
    acknowledge(&a, 1);
    assert_wire("-+");
    acknowledge(&b, 1);
    assert_wire("-");

    raise_bits(&a, 1);
    raise_bits(&b, 1);
    b.isr = 0;
    virtio_line_update(b.line, &b.holds, &b.isr, false); /* b's reset */
    assert_wire("+-+");
    acknowledge(&a, 1);
    assert_wire("-");
    machine_free(m);
    machine_config_free(c);
    g_string_free(wire, TRUE);
}

/* ---- the ioeventfds ---- */

static void rng_bench(Bench *b, gconstpointer modern, const char *ioeventfd)
{
    bench_config(b, GPOINTER_TO_INT(modern));
    g_ptr_array_add(b->config->globals, g_strdup_printf("virtio-mmio.ioeventfd=%s", ioeventfd));
    bench_device(b, "virtio-rng-device", NULL);
    bench_start(b);
}

static unsigned ioeventfds(Bench *b)
{
    g_autoptr(MemoryView) v = memory_view_get(b->m->memory);

    return v->n_ioeventfds;
}

static void serve(Bench *b)
{
    set_desc(b, 0, 0, BUFFERS, 8, VRING_DESC_F_WRITE);
    offer(b, 0, 0);
    wait_used(b, 0);
}

static void test_on(gconstpointer modern)
{
    const uint64_t notify = FIRST_DEVICE + VIRTIO_MMIO_QUEUE_NOTIFY;
    g_autoptr(MemoryView) v = NULL;
    Bench b;

    rng_bench(&b, modern, "on");
    g_assert_cmpuint(ioeventfds(&b), ==, 0);
    drive(&b, 0, 1);
    g_assert_cmpuint(ioeventfds(&b), ==, 1);
    v = memory_view_get(b.m->memory);
    g_assert_cmpint(memory_view_ioeventfd(v, notify, 0, 4), >=, 0);
    g_assert_cmpint(memory_view_ioeventfd(v, notify, 1, 4), ==, -1); /* there is no such queue */
    serve(&b);
    set_reg(&b, VIRTIO_MMIO_STATUS, reg(&b, VIRTIO_MMIO_STATUS)); /* once more: it is set */
    g_assert_cmpuint(ioeventfds(&b), ==, 1);
    set_reg(&b, VIRTIO_MMIO_STATUS, 0);
    kick(&b, 0); /* nobody is there */
    drive(&b, 0, 1);
    g_assert_cmpuint(ioeventfds(&b), ==, 1); /* the same one */
    serve(&b);
    bench_end(&b);
}

static void test_off(gconstpointer modern)
{
    Bench b;

    rng_bench(&b, modern, "off");
    drive(&b, 0, 1);
    g_assert_cmpuint(ioeventfds(&b), ==, 0);
    serve(&b);
    bench_end(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-wires/line", test_line);
    g_test_add_data_func("/virtio-wires/ioeventfd/legacy", GINT_TO_POINTER(0), test_on);
    g_test_add_data_func("/virtio-wires/ioeventfd/modern", GINT_TO_POINTER(1), test_on);
    g_test_add_data_func("/virtio-wires/no-ioeventfd/legacy", GINT_TO_POINTER(0), test_off);
    g_test_add_data_func("/virtio-wires/no-ioeventfd/modern", GINT_TO_POINTER(1), test_off);
    return g_test_run();
}
