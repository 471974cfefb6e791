/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's words: lines of `gw KIND key=value ...`, each written in one go.
 *   gw hello   once: what it works with
 *   gw report  about once a second and vCPU: counters, stalls (us) since the last report and ever
 *   gw sweep-begin / gw sweep-end  around one verification of the whole slice
 *   gw disk    with disk=, beside each report of the first vCPU: requests and what came of them
 *   gw net     with net=1, beside each report of the first vCPU: frames and what came of them
 *   gw rng     with rng=1, beside each report of the first vCPU: requests and their interrupts
 *   gw fault   an exception: the guest has stopped
 */
#include "guest.h"

#define LINE 640

struct line {
    size_t length;
    char text[LINE];
};

static const char *const kinds[] = {
    [RIGHT] = "none",        [WRONG_ZERO] = "zero",       [WRONG_STALE] = "stale",
    [WRONG_NEWER] = "newer", [WRONG_PLACE] = "misplaced", [WRONG_TORN] = "torn",
    [WRONG_OTHER] = "other",
};

static void put_text(struct line *l, const char *text)
{
    while (*text && l->length < LINE - 2)
        l->text[l->length++] = *text++;
}

static void put_number(struct line *l, uint64_t value, unsigned base)
{
    char digits[24];
    unsigned i = sizeof(digits) - 1;
    digits[i] = 0;
    do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    put_text(l, digits + i);
}

static void put(struct line *l, const char *key, uint64_t value)
{
    put_text(l, key);
    put_number(l, value, 10);
}

static void send(struct work *w, struct line *l)
{
    l->text[l->length++] = '\r';
    l->text[l->length++] = '\n';
    serial_write(w, l->text, l->length);
}

void report_hello(struct work *w)
{
    struct line l = {0};
    put_text(&l, "gw hello pattern=");
    put_text(&l, options_pattern_name());
    put(&l, " cpus=", options.cpus);
    put(&l, " pages=", memory.pages);
    put(&l, " seed=", options.seed);
    put(&l, " zero=", options.zero);
    put(&l, " rate=", options.rate);
    put(&l, " tsc_khz=", clock_tsc_khz());
    put(&l, " map=", memory.map_entries);
    put(&l, " attached=", attached);
    put_text(&l, " last=0x");
    put_number(&l, (uint64_t)memory_page(memory.pages - 1), 16);
    put_text(&l, " felt=0x");
    put_number(&l, felt_address(), 16);
    send(w, &l);
}

void report_now(struct work *w)
{
    struct line l = {0};
    unsigned top = HISTOGRAM;
    if (w->worst > w->worst_ever)
        w->worst_ever = w->worst;
    put(&l, "gw report cpu=", w->cpu);
    put(&l, " seq=", ++w->sequence);
    put(&l, " ops=", w->operations);
    put(&l, " writes=", w->writes);
    put(&l, " verified=", w->verified);
    put(&l, " wrong=", w->wrong);
    put_text(&l, " first=0x");
    put_number(&l, w->first_wrong, 16);
    put_text(&l, " kind=");
    put_text(&l, kinds[w->first_kind]);
    put(&l, " stall_us=", clock_to_us(w->worst));
    put(&l, " max_us=", clock_to_us(w->worst_ever));
    put(&l, " back=", w->backwards);
    if (w->cpu == 0)
        put(&l, " clock_ms=", clock_paravirtual_ns() / 1000000);
    while (top > 1 && !w->histogram[top - 1])
        top--;
    for (unsigned i = 0; i < top; i++)
        put(&l, i ? "," : " hist=", w->histogram[i]);
    w->worst = 0;
    send(w, &l);
}

void report_sweep(struct work *w, bool begin)
{
    struct line l = {0};
    put(&l, begin ? "gw sweep-begin cpu=" : "gw sweep-end cpu=", w->cpu);
    put(&l, " n=", w->sweeps);
    if (!begin) {
        put(&l, " pages=", w->pages);
        put(&l, " wrong=", w->sweep_wrong);
        put(&l, " total_wrong=", w->wrong);
        put(&l, " table=", w->sweep_sum == w->sweep_expected);
    }
    send(w, &l);
}

void report_disk(struct work *w)
{
    struct line l = {0};
    put(&l, "gw disk disks=", disk.disks);
    put(&l, " queues=", disk.queues);
    put(&l, " ops=", disk.operations);
    put(&l, " writes=", disk.writes);
    put(&l, " verified=", disk.verified);
    put(&l, " wrong=", disk.wrong);
    put(&l, " first=", disk.first);
    put(&l, " errors=", disk.errors);
    put(&l, " strange=", disk.strange);
    put(&l, " stuck=", disk.stuck);
    put(&l, " late=", disk.late);
    put(&l, " passes=", disk_passes());
    put(&l, " interrupts=", disk.interrupts);
    put_text(&l, " table=0x");
    put_number(&l, disk_table_address(), 16);
    put_text(&l, " id=");
    put_text(&l, disk.id);
    send(w, &l);
}

void report_net(struct work *w)
{
    struct line l = {0};
    put(&l, "gw net pairs=", net.pairs);
    put(&l, " configured=", net.configured);
    put(&l, " sent=", net.sent);
    put(&l, " again=", net.again);
    put(&l, " echoed=", net.echoed);
    put(&l, " late=", net.late);
    put(&l, " wrong=", net.wrong);
    put(&l, " strange=", net.strange);
    put(&l, " bytes=", net.bytes);
    put(&l, " announced=", net.announced);
    put(&l, " link=", net.link);
    put(&l, " interrupts=", net.interrupts);
    for (unsigned i = 0; i < 2; i++)
        put(&l, i ? "," : " by_pair=", net.by_pair[i]);
    send(w, &l);
}

void report_rng(struct work *w)
{
    static const char *const keys[] = {"gsi", "requests", "answered", "interrupts", "empty",
                                       "lost", "wrong"};
    const uint64_t values[] = {rng.gsi, rng.requests, rng.answered, rng.interrupts, rng.empty,
                               rng.lost, rng.wrong};
    struct line l = {0};
    put_text(&l, "gw rng");
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        put_text(&l, " ");
        put_text(&l, keys[i]);
        put(&l, "=", values[i]);
    }
    send(w, &l);
}

void report_balloon(struct work *w)
{
    struct line l = {0};
    put(&l, "gw balloon hinting=", balloon.hinting);
    put(&l, " asked=", balloon.asked);
    put(&l, " hinted=", balloon.hinted);
    put(&l, " done=", balloon.done);
    put(&l, " used=", balloon.used);
    put(&l, " verified=", balloon.verified);
    put(&l, " wrong=", balloon.wrong);
    put(&l, " stats=", balloon.stats);
    send(w, &l);
}

/* Called in ring 0, from interrupt.S. */
struct frame {
    uint64_t vector, error, rip, cs, flags, rsp, ss;
};
void guest_exception(const struct frame *frame, uint64_t cr2);
void guest_exception(const struct frame *frame, uint64_t cr2)
{
    struct line l = {0};
    put(&l, "\r\ngw fault vector=", frame->vector);
    put_text(&l, " error=0x");
    put_number(&l, frame->error, 16);
    put_text(&l, " rip=0x");
    put_number(&l, frame->rip, 16);
    put_text(&l, " cr2=0x");
    put_number(&l, cr2, 16);
    send(&works[0], &l);
}
