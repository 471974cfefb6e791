/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a thread tells the scheduler: that somebody waits for it, or that nobody does. */
#ifndef UTIL_PROMPT_THREAD_H
#define UTIL_PROMPT_THREAD_H

/*
 * For threads that run for microseconds and that somebody waits for. Asks for short slices for the
 * calling thread: when it wakes up it runs before threads that compute, and has no larger share of
 * the CPU for it. Needs no privilege; a kernel before Linux 6.12 takes no notice.
 */
void prompt_thread(void);

/*
 * For threads with much to do that nobody waits for. The calling thread leaves the CPU to others
 * (nice +5) where there are more threads than CPUs, until it ends: without privileges there is no
 * way back.
 */
void patient_thread(void);

#endif
