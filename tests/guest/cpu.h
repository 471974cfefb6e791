/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few instructions that C has no words for. All of them work in ring 3 with IOPL 3. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* One exit for the whole string where the host knows string I/O. */
static inline void outsb(uint16_t port, const char *text, size_t length)
{
    __asm__ volatile("rep outsb" : "+S"(text), "+c"(length) : "d"(port) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return low | (uint64_t)high << 32;
}

static inline void pause_cpu(void)
{
    __asm__ volatile("pause" : : : "memory");
}

#endif
