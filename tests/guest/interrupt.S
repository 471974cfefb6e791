/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ring 0 after the start: four kinds of gates. The timer's only acknowledges; the one for halting
 * sleeps until the timer has come; virtio's does what a driver's handler does first: it reads the
 * device's interrupt status and acknowledges it; the exceptions' print where and stop. Ring 3 gets here by an
 * interrupt that it sends to itself through the local APIC, the one way that works on hosts which
 * emulate ring 0.
 */
#include "layout.h"

        .text
        .code64
        .global interrupt_timer, interrupt_halt, interrupt_virtio, exception_stubs
interrupt_timer:
        push %rax
        mov $APIC_BASE, %eax
        movl $0, 0xb0(%rax)
        movl $1, timer_fired
        pop %rax
        iretq

interrupt_halt:
        push %rax
        mov $APIC_BASE, %eax
        movl $0, 0xb0(%rax)
        pop %rax
1:      cli
        cmpl $0, timer_fired
        jne 2f
        sti                             /* takes effect after hlt: no wake-up is lost */
        hlt
        jmp 1b
2:      movl $1, halt_done
        iretq

interrupt_virtio:
        push %rax
        push %rcx
        mov virtio_irq_window, %rax
        mov 0x60(%rax), %ecx            /* InterruptStatus */
        mov %ecx, 0x64(%rax)            /* InterruptACK */
        or %ecx, virtio_irq_bits
        incl virtio_irq_count
        mov $APIC_BASE, %eax
        movl $0, 0xb0(%rax)
        pop %rcx
        pop %rax
        iretq

/* Stub n, 16 bytes long, for exception n: pushes an error code where the CPU does not. */
        .balign 16
exception_stubs:
        .set n, 0
        .rept 32
        .balign 16
        .if n != 8 && n != 10 && n != 11 && n != 12 && n != 13 && n != 14 && n != 17 && n != 21
        pushq $0
        .endif
        pushq $n
        jmp exception
        .set n, n + 1
        .endr

exception:
        mov %rsp, %rdi
        mov %cr2, %rsi
        and $-16, %rsp
        call guest_exception
1:      cli
        hlt
        jmp 1b

        .bss
        .balign 4
        .global timer_fired, halt_done, virtio_irq_window, virtio_irq_bits, virtio_irq_count
timer_fired:
        .long 0
halt_done:
        .long 0
        .balign 8
virtio_irq_window:
        .quad 0                         /* address of the registers */
virtio_irq_bits:
        .long 0                         /* status bits that came */
virtio_irq_count:
        .long 0

        .section .note.GNU-stack, "", @progbits
