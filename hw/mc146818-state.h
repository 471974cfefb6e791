/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock's state, between mc146818*.c. Machine lock. Wire: spec minimal-machines
 * 6.3. */
#ifndef HW_MC146818_STATE_H
#define HW_MC146818_STATE_H

#include "machine.h"

enum {
    RTC_SECONDS, RTC_SECONDS_ALARM, RTC_MINUTES, RTC_MINUTES_ALARM, RTC_HOURS, RTC_HOURS_ALARM,
    RTC_DAY_OF_WEEK, RTC_DAY_OF_MONTH, RTC_MONTH, RTC_YEAR, RTC_REG_A, RTC_REG_B, RTC_REG_C,
    RTC_REG_D, RTC_CENTURY = 0x32,
};

#define RTC_A_UIP 0x80      /* the registers are about to change */
#define RTC_A_DIVIDER 0x70
#define RTC_A_DIVIDER_RUN 0x20
#define RTC_A_RATE 0x0f
#define RTC_B_SET 0x80      /* the registers stand still */
#define RTC_B_PIE 0x40
#define RTC_B_AIE 0x20
#define RTC_B_UIE 0x10
#define RTC_B_SQWE 0x08
#define RTC_B_BINARY 0x04
#define RTC_B_24H 0x02
#define RTC_C_IRQ 0x80
#define RTC_C_PF 0x40
#define RTC_C_AF 0x20
#define RTC_C_UF 0x10
#define RTC_D_VALID 0x80
#define RTC_ALARM_ANY 0xc0

#define RTC_SECOND_NS 1000000000LL
#define RTC_CRYSTAL_HZ 32768

/* Times are ns of the host's real-time clock, -1 for none. */
typedef struct Rtc {
    Machine *machine;
    uint8_t cmos_data[128];
    uint8_t cmos_index;
    int64_t periodic_timer;
    int64_t next_periodic_time;
    uint32_t irq_coalesced;
    uint32_t period;        /* of the periodic interrupt, ticks of 32768 Hz; 0: off */
    uint64_t base_rtc;      /* the guest's time, s since 1970, at last_update */
    uint64_t last_update;
    int64_t offset;         /* ns to add to the guest's time */
    int64_t update_timer;
    uint64_t next_alarm_time;

    int64_t seen;           /* events up to this time are in register C */
    int timer_fd;
    guint source;           /* of the main loop, 0: none */
} Rtc;

int64_t rtc_now(void);
/* mc146818-time.c: between the registers and the running time. */
bool rtc_is_running(const Rtc *s);
int64_t rtc_guest_ns(const Rtc *s, int64_t now);
void rtc_registers_from_time(Rtc *s, int64_t now);
void rtc_time_from_registers(Rtc *s, int64_t now);
/* When the next second begins, or the alarm matches, after `now`. */
int64_t rtc_next_second(const Rtc *s, int64_t now);
int64_t rtc_next_alarm(const Rtc *s, int64_t now);
uint32_t rtc_period_ticks(const Rtc *s);
/* The periodic event after `now`. */
int64_t rtc_next_periodic(const Rtc *s, int64_t now);

/* mc146818.c: records what happened until now, and sets the host timer for what comes next. */
void rtc_catch_up(Rtc *s);

extern const VMStateDescription vmstate_mc146818; /* mc146818-vmstate.c */

#endif
