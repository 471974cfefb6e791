/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock: registers in both formats, setting the time, flags, alarm, its section. */
#include <glib.h>

#include "machine-fixture.h"
#include "mc146818-state.h"
#include "mc146818.h"
#include "vmstate-helpers.h"

/* A clock by itself for the arithmetic: 2026-11-21 02:57:46 UTC, a Saturday, plus 250 ms. */
static const Rtc fixed = {
    .base_rtc = 1795229866, .last_update = 1000, .offset = 250000000,
    .cmos_data = { [RTC_REG_A] = 0x26, [RTC_REG_B] = RTC_B_24H, [RTC_REG_D] = RTC_D_VALID },
};

static void check_registers(uint8_t b, uint8_t hour, uint8_t second)
{
    Rtc s = fixed;

    s.cmos_data[RTC_REG_B] = b;
    rtc_registers_from_time(&s, 1000);
    g_assert_cmphex(s.cmos_data[RTC_SECONDS], ==, second);
    g_assert_cmphex(s.cmos_data[RTC_HOURS], ==, hour);
    g_assert_cmphex(s.cmos_data[RTC_DAY_OF_WEEK], ==, 7);
    g_assert_cmphex(s.cmos_data[RTC_CENTURY], ==, b & RTC_B_BINARY ? 20 : 0x20);
    s.base_rtc = 0;
    rtc_time_from_registers(&s, 1000);
    g_assert_cmpuint(s.base_rtc, ==, fixed.base_rtc);
}

static void test_formats(void)
{
    check_registers(RTC_B_24H, 0x02, 0x46);
    check_registers(RTC_B_24H | RTC_B_BINARY, 2, 46);
    check_registers(0, 0x02, 0x46);

    Rtc s = fixed;

    s.cmos_data[RTC_REG_B] = 0;
    s.base_rtc += 12 * 3600;
    rtc_registers_from_time(&s, 1000);
    g_assert_cmphex(s.cmos_data[RTC_HOURS], ==, 0x82); /* 2 p.m. */
}

static void test_events(void)
{
    Rtc s = fixed;

    g_assert_cmpint(rtc_next_second(&s, 1000), ==, 750001000);
    s.cmos_data[RTC_SECONDS_ALARM] = 0x48;
    s.cmos_data[RTC_MINUTES_ALARM] = s.cmos_data[RTC_HOURS_ALARM] = RTC_ALARM_ANY;
    g_assert_cmpint(rtc_next_alarm(&s, 1000), ==, 1750001000);
    s.cmos_data[RTC_HOURS_ALARM] = 0x03;
    s.cmos_data[RTC_MINUTES_ALARM] = s.cmos_data[RTC_SECONDS_ALARM] = 0;
    g_assert_cmpint(rtc_next_alarm(&s, 1000), ==, 1000 + 134 * RTC_SECOND_NS - 250000000);
    s.cmos_data[RTC_SECONDS_ALARM] = 0x61;
    g_assert_cmpint(rtc_next_alarm(&s, 1000), ==, INT64_MAX);
    g_assert_cmpuint(rtc_period_ticks(&s), ==, 32);
    g_assert_cmpint(rtc_next_periodic(&s, 0), ==, 976563);
    s.cmos_data[RTC_REG_A] = 0x20;
    g_assert_cmpint(rtc_next_periodic(&s, 0), ==, INT64_MAX);
    /* Whatever a peer sends is some time. */
    s.base_rtc = UINT64_MAX / 3;
    s.offset = INT64_MIN;
    rtc_registers_from_time(&s, INT64_MAX);
    g_assert_cmpint(rtc_next_second(&s, 5), >, 5);
}

static uint8_t rd(Machine *m, uint8_t reg)
{
    ioport_write(m->memory, 0x70, reg, 1);
    return (uint8_t)ioport_read(m->memory, 0x71, 1);
}

static void wr(Machine *m, uint8_t reg, uint8_t value)
{
    ioport_write(m->memory, 0x70, reg, 1);
    ioport_write(m->memory, 0x71, value, 1);
}

static void test_ports(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = fixture_machine(c);
    GError *err = NULL;

    machine_lock(m);
    mc146818_new(m, &err);
    g_assert_no_error(err);
    g_assert_cmphex(rd(m, RTC_REG_D), ==, RTC_D_VALID);
    g_assert_cmphex(rd(m, 0x15) | rd(m, 0x16) << 8, ==, 640);
    g_assert_cmphex(rd(m, 0x30) | rd(m, 0x31) << 8, ==, (TEST_RAM_SIZE >> 10) - 1024);
    /* Set the time while it stands still: 23:59:59 on the last day of 1999. */
    wr(m, RTC_REG_B, RTC_B_SET | RTC_B_24H);
    wr(m, RTC_SECONDS, 0x59);
    wr(m, RTC_MINUTES, 0x59);
    wr(m, RTC_HOURS, 0x23);
    wr(m, RTC_DAY_OF_MONTH, 0x31);
    wr(m, RTC_MONTH, 0x12);
    wr(m, RTC_YEAR, 0x99);
    wr(m, RTC_CENTURY, 0x19);
    rd(m, RTC_REG_C);
    g_assert_cmphex(rd(m, RTC_REG_C) & RTC_C_UF, ==, 0);
    wr(m, RTC_SECONDS_ALARM, 0);
    wr(m, RTC_MINUTES_ALARM, 0);
    wr(m, RTC_HOURS_ALARM, 0);
    g_assert_cmphex(rd(m, RTC_HOURS), ==, 0x23);
    wr(m, RTC_REG_B, RTC_B_24H | RTC_B_UIE | RTC_B_AIE);
    machine_unlock(m);
    for (bool past = false; !past;) {
        g_main_context_iteration(NULL, FALSE); /* the timer's turn */
        g_usleep(1000);
        machine_lock(m);
        wr(m, 0x7f, 0); /* any access: the lock was free for the timer */
        past = rd(m, RTC_YEAR) == 0x00;
        machine_unlock(m);
    }
    machine_lock(m);
    g_assert_cmphex(rd(m, RTC_CENTURY), ==, 0x20);
    g_assert_cmphex(rd(m, RTC_MONTH), ==, 0x01);
    uint8_t flags = rd(m, RTC_REG_C);
    g_assert_cmphex(flags & (RTC_C_IRQ | RTC_C_UF | RTC_C_AF), ==, RTC_C_IRQ | RTC_C_UF | RTC_C_AF);
    machine_unlock(m);
    machine_free(m);
}

static void test_section(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = fixture_machine(c);
    Rtc s = fixed, t = { .machine = m, .timer_fd = -1 };
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(GByteArray) body = NULL;
    GError *err = NULL;

    machine_lock(m);
    s.machine = m;
    s.timer_fd = -1;
    s.cmos_index = 0x8b & 0x7f;
    vmstate_save(w, &vmstate_mc146818, &s, NULL, &err);
    g_assert_no_error(err);
    body = stream_writer_steal(w);
    g_assert_cmpuint(body->len, ==, 245);
    g_assert_cmphex(body->data[128], ==, 0x0b);
    g_assert_cmpint(load_bytes(&vmstate_mc146818, &t, 3, body, &err), ==, 0);
    g_assert_no_error(err);
    g_assert_cmpuint(t.base_rtc, ==, s.base_rtc);
    g_assert_cmpint(t.offset, ==, s.offset);
    g_assert_cmpmem(t.cmos_data, 128, s.cmos_data, 128);
    g_assert_cmpint(t.update_timer, ==, s.update_timer);
    machine_unlock(m);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mc146818/formats", test_formats);
    g_test_add_func("/mc146818/events", test_events);
    g_test_add_func("/mc146818/ports", test_ports);
    g_test_add_func("/mc146818/section", test_section);
    return g_test_run();
}
