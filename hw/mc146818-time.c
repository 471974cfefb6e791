/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real-time clock's arithmetic: registers in BCD or binary, 12 or 24 hours, and when what
 * happens next. Guest values are taken modulo their range. Machine lock.
 */
#include <time.h>

#include "mc146818-state.h"

#define DAY_SECONDS 86400

int64_t rtc_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * RTC_SECOND_NS + ts.tv_nsec;
}

bool rtc_is_running(const Rtc *s)
{
    return !(s->cmos_data[RTC_REG_B] & RTC_B_SET) &&
           (s->cmos_data[RTC_REG_A] & RTC_A_DIVIDER) <= RTC_A_DIVIDER_RUN;
}

int64_t rtc_guest_ns(const Rtc *s, int64_t now)
{
    /* All of it may come from a peer: wrap, do not overflow. */
    return (int64_t)(s->base_rtc * (uint64_t)RTC_SECOND_NS + (uint64_t)now - s->last_update +
                     (uint64_t)s->offset);
}

static uint8_t encode(const Rtc *s, int v)
{
    return s->cmos_data[RTC_REG_B] & RTC_B_BINARY ? v : (v / 10) << 4 | v % 10;
}

static int decode(const Rtc *s, uint8_t v)
{
    return s->cmos_data[RTC_REG_B] & RTC_B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const Rtc *s, int hour)
{
    if (s->cmos_data[RTC_REG_B] & RTC_B_24H) {
        return encode(s, hour);
    }
    return encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static int decode_hour(const Rtc *s, uint8_t v)
{
    if (s->cmos_data[RTC_REG_B] & RTC_B_24H) {
        return decode(s, v) % 24;
    }
    return decode(s, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

void rtc_registers_from_time(Rtc *s, int64_t now)
{
    time_t t = rtc_guest_ns(s, now) / RTC_SECOND_NS;
    struct tm tm;

    if (!gmtime_r(&t, &tm)) {
        return; /* a year that does not fit an int: the registers stay */
    }
    s->cmos_data[RTC_SECONDS] = encode(s, tm.tm_sec % 60);
    s->cmos_data[RTC_MINUTES] = encode(s, tm.tm_min);
    s->cmos_data[RTC_HOURS] = encode_hour(s, tm.tm_hour);
    s->cmos_data[RTC_DAY_OF_WEEK] = encode(s, tm.tm_wday + 1);
    s->cmos_data[RTC_DAY_OF_MONTH] = encode(s, tm.tm_mday);
    s->cmos_data[RTC_MONTH] = encode(s, tm.tm_mon + 1);
    s->cmos_data[RTC_YEAR] = encode(s, ((tm.tm_year % 100) + 100) % 100);
    s->cmos_data[RTC_CENTURY] = encode(s, ((tm.tm_year + 1900) / 100 % 100 + 100) % 100);
}

void rtc_time_from_registers(Rtc *s, int64_t now)
{
    struct tm tm = {
        .tm_sec = decode(s, s->cmos_data[RTC_SECONDS]),
        .tm_min = decode(s, s->cmos_data[RTC_MINUTES]),
        .tm_hour = decode_hour(s, s->cmos_data[RTC_HOURS]),
        .tm_mday = decode(s, s->cmos_data[RTC_DAY_OF_MONTH]),
        .tm_mon = decode(s, s->cmos_data[RTC_MONTH]) - 1,
        .tm_year = decode(s, s->cmos_data[RTC_YEAR]) +
                   decode(s, s->cmos_data[RTC_CENTURY]) * 100 - 1900,
    };

    s->base_rtc = (uint64_t)timegm(&tm);
    s->last_update = (uint64_t)now;
    s->offset = 0;
}

int64_t rtc_next_second(const Rtc *s, int64_t now)
{
    int64_t in_second = rtc_guest_ns(s, now) % RTC_SECOND_NS;

    return now + RTC_SECOND_NS - (in_second < 0 ? in_second + RTC_SECOND_NS : in_second);
}

static bool alarm_fits(const Rtc *s, int reg, int value, bool hour)
{
    uint8_t v = s->cmos_data[reg];

    return (v & RTC_ALARM_ANY) == RTC_ALARM_ANY ||
           (hour ? decode_hour(s, v) : decode(s, v)) == value;
}

int64_t rtc_next_alarm(const Rtc *s, int64_t now)
{
    int64_t first = rtc_next_second(s, now);
    int64_t second = (rtc_guest_ns(s, first) / RTC_SECOND_NS) % DAY_SECONDS;

    second = second < 0 ? second + DAY_SECONDS : second;
    for (int i = 0; i < DAY_SECONDS; i++) {
        int t = (int)((second + i) % DAY_SECONDS);

        if (alarm_fits(s, RTC_SECONDS_ALARM, t % 60, false) &&
            alarm_fits(s, RTC_MINUTES_ALARM, t / 60 % 60, false) &&
            alarm_fits(s, RTC_HOURS_ALARM, t / 3600, true)) {
            return first + i * RTC_SECOND_NS;
        }
    }
    return INT64_MAX; /* an alarm at no time of day */
}

uint32_t rtc_period_ticks(const Rtc *s)
{
    int rate = s->cmos_data[RTC_REG_A] & RTC_A_RATE;

    if (!rate || (s->cmos_data[RTC_REG_A] & RTC_A_DIVIDER) > RTC_A_DIVIDER_RUN) {
        return 0;
    }
    return 1U << ((rate <= 2 ? rate + 7 : rate) - 1);
}

int64_t rtc_next_periodic(const Rtc *s, int64_t now)
{
    uint32_t ticks = rtc_period_ticks(s);
    __int128 next;

    if (!ticks) {
        return INT64_MAX;
    }
    /* Periods are counted from the epoch, so that they do not drift. */
    next = ((__int128)now * RTC_CRYSTAL_HZ / RTC_SECOND_NS / ticks + 1) * ticks;
    return (int64_t)((next * RTC_SECOND_NS + RTC_CRYSTAL_HZ - 1) / RTC_CRYSTAL_HZ);
}
