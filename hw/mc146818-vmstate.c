/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section `mc146818rtc` v3 (spec minimal-machines 6.3). Machine lock. The timers on the wire are
 * for peers whose clock runs on them; here they are computed when sent and again after a load.
 */
#include "mc146818-state.h"

static bool rtc_pre_save(void *opaque, GError **errp)
{
    Rtc *s = opaque;
    int64_t now = rtc_now();

    rtc_catch_up(s);
    if (rtc_is_running(s)) {
        rtc_registers_from_time(s, now);
    }
    s->period = s->cmos_data[RTC_REG_B] & RTC_B_PIE ? rtc_period_ticks(s) : 0;
    s->periodic_timer = s->period ? rtc_next_periodic(s, now) : -1;
    s->next_periodic_time = s->period ? s->periodic_timer : 0;
    s->update_timer = rtc_is_running(s) ? rtc_next_second(s, now) : -1;
    s->next_alarm_time = rtc_is_running(s) ? (uint64_t)rtc_next_alarm(s, now) : 0;
    return true;
}

static bool rtc_post_load(void *opaque, int version_id, GError **errp)
{
    Rtc *s = opaque;

    s->cmos_index &= 0x7f;
    s->cmos_data[RTC_REG_A] &= ~RTC_A_UIP;
    s->cmos_data[RTC_REG_D] = RTC_D_VALID;
    return true;
}

/* Events of the time between are not made up for: the guest was not there. */
static bool rtc_apply(void *opaque, GError **errp)
{
    Rtc *s = opaque;

    s->seen = rtc_now();
    rtc_catch_up(s);
    return true;
}

static const VMStateField rtc_fields[] = {
    VMSTATE_BUFFER(cmos_data, Rtc),
    VMSTATE_UINT8(cmos_index, Rtc),
    VMSTATE_UNUSED(28),
    VMSTATE_TIMER(periodic_timer, Rtc),
    VMSTATE_INT64(next_periodic_time, Rtc),
    VMSTATE_UNUSED(24),
    VMSTATE_UINT32(irq_coalesced, Rtc),
    VMSTATE_UINT32(period, Rtc),
    VMSTATE_UINT64(base_rtc, Rtc),
    VMSTATE_UINT64(last_update, Rtc),
    VMSTATE_INT64(offset, Rtc),
    VMSTATE_TIMER(update_timer, Rtc),
    VMSTATE_UINT64(next_alarm_time, Rtc),
    VMSTATE_END,
};

const VMStateDescription vmstate_mc146818 = {
    .name = "mc146818rtc",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_save = rtc_pre_save,
    .post_load = rtc_post_load,
    .apply = rtc_apply,
    .fields = rtc_fields,
};
