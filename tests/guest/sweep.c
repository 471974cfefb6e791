/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Verifying: one page at a time where the pattern touches it, and the whole slice in a sweep. A
 * sweep is done in steps between the pattern's operations, so it does not hold up the guest. It
 * also adds up the slice's generations: the sum must be the number of pages written, which would
 * not be so if a page of the generation table itself were stale.
 */
#include "guest.h"

void check_page(struct work *w, uint64_t index)
{
    felt_touch(w->cpu, &memory.generation[index]);
    felt_touch(w->cpu, memory_page(index));
    enum wrong kind = page_verify(index, memory.generation[index]);
    w->verified++;
    if (kind == RIGHT)
        return;
    if (!w->wrong++) {
        w->first_wrong = (uint64_t)memory_page(index);
        w->first_kind = kind;
    }
    /* Make it right, so that one wrong page is counted once. */
    page_fill(index, memory.generation[index]);
    if (w->sweeping)
        w->sweep_wrong++;
}

void sweep_maybe_begin(struct work *w, uint64_t now)
{
    bool due = options.sweep && now >= w->next_sweep;
    if (w->sweeping || !(due || w->sweeps < serial_sweeps_asked))
        return;
    w->sweeping = true;
    w->sweeps++;
    w->sweep_at = w->sweep_wrong = w->sweep_sum = 0;
    w->sweep_expected = w->generations;
    w->next_sweep = now + clock_from_us(options.sweep * 1000000);
    report_sweep(w, true);
}

void sweep_step(struct work *w, unsigned pages)
{
    if (!w->sweeping)
        return;
    for (; pages && w->sweep_at < w->pages; pages--, w->sweep_at++) {
        uint64_t index = w->first + w->sweep_at;
        check_page(w, index);
        w->sweep_sum += memory.generation[index];
        clock_now(w);
    }
    if (w->sweep_at == w->pages) {
        report_sweep(w, false);
        w->sweeping = false;
    }
}
