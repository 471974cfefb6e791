/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818 real-time clock: ports, interrupts, CMOS memory. The guest's time is the host's real
 * time plus a difference, in UTC; nothing runs while no interrupt is enabled.
 *
 * Port accesses come on vCPU threads, the timer on the main loop; both hold the machine lock.
 */
#include "mc146818.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include "error.h"
#include "mc146818-state.h"

#define RTC_PORT 0x70
#define RTC_IRQ 8
#define RTC_UIP_NS 244000 /* UIP is up for so long before a second begins */

static void arm_host_timer(Rtc *s, int64_t at)
{
    struct itimerspec t = { 0 };

    if (at != INT64_MAX) {
        t.it_value.tv_sec = at / RTC_SECOND_NS;
        t.it_value.tv_nsec = at % RTC_SECOND_NS;
    }
    timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

/* What the enabled interrupts wait for. */
static int64_t next_event(const Rtc *s, int64_t now)
{
    uint8_t b = s->cmos_data[RTC_REG_B];
    int64_t at = INT64_MAX;

    if (b & RTC_B_PIE) {
        at = MIN(at, rtc_next_periodic(s, now));
    }
    if (rtc_is_running(s) && (b & RTC_B_UIE)) {
        at = MIN(at, rtc_next_second(s, now));
    }
    if (rtc_is_running(s) && (b & RTC_B_AIE)) {
        at = MIN(at, rtc_next_alarm(s, now));
    }
    return at;
}

void rtc_catch_up(Rtc *s)
{
    int64_t now = rtc_now();
    uint8_t *c = &s->cmos_data[RTC_REG_C];

    if (s->seen > now) {
        s->seen = now; /* the host's clock was set back */
    }
    if (rtc_next_periodic(s, s->seen) <= now) {
        *c |= RTC_C_PF;
    }
    if (rtc_is_running(s) && rtc_next_second(s, s->seen) <= now) {
        *c |= RTC_C_UF;
        *c |= rtc_next_alarm(s, s->seen) <= now ? RTC_C_AF : 0;
    }
    s->seen = now;
    if (*c & s->cmos_data[RTC_REG_B] & (RTC_C_PF | RTC_C_AF | RTC_C_UF)) {
        *c |= RTC_C_IRQ;
        machine_set_irq(s->machine, RTC_IRQ, 1);
    }
    /* While the line is up nothing new can be seen: reading register C starts it again. */
    arm_host_timer(s, *c & RTC_C_IRQ ? INT64_MAX : next_event(s, now));
}

static gboolean on_timer(gint fd, GIOCondition cond, gpointer opaque)
{
    Rtc *s = opaque;
    uint64_t n;

    if (read(fd, &n, sizeof(n)) == sizeof(n)) {
        machine_lock(s->machine);
        rtc_catch_up(s);
        machine_unlock(s->machine);
    }
    return G_SOURCE_CONTINUE;
}

static uint8_t read_reg_c(Rtc *s)
{
    uint8_t v;

    rtc_catch_up(s);
    v = s->cmos_data[RTC_REG_C];
    s->cmos_data[RTC_REG_C] = 0;
    machine_set_irq(s->machine, RTC_IRQ, 0);
    rtc_catch_up(s);
    return v;
}

static uint64_t rtc_port_read(void *opaque, uint64_t offset, unsigned size)
{
    Rtc *s = opaque;
    int64_t now = rtc_now();

    if (offset == 0) {
        return 0xff; /* the index cannot be read */
    }
    switch (s->cmos_index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY_OF_WEEK:
    case RTC_DAY_OF_MONTH:
    case RTC_MONTH:
    case RTC_YEAR:
    case RTC_CENTURY:
        if (rtc_is_running(s)) {
            rtc_registers_from_time(s, now);
        }
        return s->cmos_data[s->cmos_index];
    case RTC_REG_A:
        return (s->cmos_data[RTC_REG_A] & ~RTC_A_UIP) |
               (rtc_is_running(s) && rtc_next_second(s, now) - now <= RTC_UIP_NS ? RTC_A_UIP : 0);
    case RTC_REG_C:
        return read_reg_c(s);
    default:
        return s->cmos_data[s->cmos_index];
    }
}

/* Registers A and B can stop and start the time. */
static void write_control(Rtc *s, int reg, uint8_t value)
{
    int64_t now = rtc_now();
    bool was_running = rtc_is_running(s);

    rtc_catch_up(s);
    if (was_running) {
        rtc_registers_from_time(s, now);
    }
    s->cmos_data[reg] = reg == RTC_REG_A ? value & ~RTC_A_UIP : value;
    if (value & RTC_B_SET && reg == RTC_REG_B) {
        s->cmos_data[RTC_REG_B] &= ~RTC_B_UIE;
    }
    if (!was_running && rtc_is_running(s)) {
        rtc_time_from_registers(s, now);
        s->seen = now;
    }
    s->period = rtc_period_ticks(s);
    rtc_catch_up(s);
}

static void rtc_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Rtc *s = opaque;
    int64_t now = rtc_now();
    uint8_t reg = s->cmos_index;

    if (offset == 0) {
        s->cmos_index = value & 0x7f; /* bit 7 masks NMI on a PC: there is none here */
        return;
    }
    switch (reg) {
    case RTC_REG_A:
    case RTC_REG_B:
        write_control(s, reg, (uint8_t)value);
        return;
    case RTC_REG_C:
    case RTC_REG_D:
        return;
    }
    if (rtc_is_running(s)) {
        rtc_registers_from_time(s, now);
    }
    s->cmos_data[reg] = (uint8_t)value;
    if (reg <= RTC_YEAR || reg == RTC_CENTURY) {
        if (rtc_is_running(s)) {
            int64_t fraction = rtc_guest_ns(s, now) % RTC_SECOND_NS;

            rtc_time_from_registers(s, now);
            s->offset = fraction; /* a second does not begin anew */
        }
        rtc_catch_up(s);
    }
}

static const MmioOps rtc_ops = { rtc_port_read, rtc_port_write };

static void put_size(Rtc *s, int reg, uint64_t v)
{
    s->cmos_data[reg] = v & 0xff;
    s->cmos_data[reg + 1] = v >> 8 & 0xff;
}

/* Where firmware looks for the amount of memory. */
static void describe_memory(Rtc *s)
{
    uint64_t kib = s->machine->ram_size >> 10, below = s->machine->ram_below_4g;
    uint64_t extended = kib > 1024 ? MIN(kib - 1024, 65535) : 0;
    uint64_t above_16m = below > 16 << 20 ? MIN((below - (16 << 20)) >> 16, 65535) : 0;
    uint64_t above_4g = s->machine->ram_above_4g >> 16;

    put_size(s, 0x15, MIN(kib, 640));
    put_size(s, 0x17, extended);
    put_size(s, 0x30, extended);
    put_size(s, 0x34, above_16m);
    put_size(s, 0x5b, above_4g);
    s->cmos_data[0x5d] = above_4g >> 16 & 0xff;
}

static void rtc_reset(void *opaque)
{
    Rtc *s = opaque;

    s->cmos_data[RTC_REG_B] &= ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | RTC_B_SQWE);
    s->cmos_data[RTC_REG_C] = 0;
    machine_set_irq(s->machine, RTC_IRQ, 0);
    rtc_catch_up(s);
}

static void rtc_free(void *opaque)
{
    Rtc *s = opaque;

    gw_vmstate_unregister(s->machine->migration, &vmstate_mc146818, s);
    if (s->source) {
        g_source_remove(s->source);
    }
    if (s->timer_fd >= 0) {
        close(s->timer_fd);
    }
    g_free(s);
}

bool mc146818_new(Machine *m, GError **errp)
{
    Rtc *s = g_new0(Rtc, 1);
    int64_t now = rtc_now();

    s->machine = m;
    s->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    machine_add_device(m, s, rtc_free, rtc_reset);
    if (s->timer_fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "timer of the real-time clock");
    }
    s->source = g_unix_fd_add(s->timer_fd, G_IO_IN, on_timer, s);
    s->cmos_data[RTC_REG_A] = RTC_A_DIVIDER_RUN | 6;
    s->cmos_data[RTC_REG_B] = RTC_B_24H;
    s->cmos_data[RTC_REG_D] = RTC_D_VALID;
    s->base_rtc = (uint64_t)(now / RTC_SECOND_NS);
    s->last_update = (uint64_t)(now - now % RTC_SECOND_NS);
    s->seen = now;
    s->period = 0;
    s->periodic_timer = -1;
    describe_memory(s);
    rtc_registers_from_time(s, now);
    return ioport_add(m->memory, RTC_PORT, 2, &rtc_ops, s, "rtc", errp) &&
           gw_vmstate_register(m->migration, NULL, 0, &vmstate_mc146818, s,
                               MIGRATION_PRIORITY_DEFAULT, errp);
}
