/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the guest begins: the PVH note (ELF note type 18, 32-bit entry with ebx -> start info) and
 * the way of every vCPU from 32-bit protected mode to ring 3 in long mode, with I/O privilege
 * level 3. All work is done in ring 3: there a guest runs at full speed even on hosts that emulate
 * ring 0. Nothing here needs `ltr`, `syscall` or SSE.
 *
 * Memory is identity mapped with 2 MiB pages that ring 3 may write, page tables included, so
 * everything beyond the first GiB and the local APIC is mapped later, by memory.c.
 */
#include "layout.h"

#define PD_APIC (PAGE_DIRS + 3 * 4096)

        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .quad pvh_start

        .text
        .code32
        .global pvh_start
pvh_start:
        cld
        mov %ebx, %esi
        xor %eax, %eax
        mov $__bss_start, %edi
        mov $__bss_end, %ecx
        sub %edi, %ecx
        shr $2, %ecx
        rep stosl
        mov %esi, start_info_address
        mov $PML4, %edi
        mov $(6 * 1024), %ecx
        rep stosl
        movl $(PDPT + 7), PML4
        movl $(PAGE_DIRS + 7), PDPT
        movl $(PD_APIC + 7), PDPT + 24
        movl $(APIC_BASE + 0x9f), PD_APIC + 8 * ((APIC_BASE >> 21) & 511)
        mov $PAGE_DIRS, %edi
        mov $0x87, %eax
1:      mov %eax, (%edi)
        add $0x200000, %eax
        add $8, %edi
        cmp $(PAGE_DIRS + 4096), %edi
        jne 1b
        xor %ebp, %ebp

/* Both kinds of start meet here; ebp is the number of the vCPU. */
enter_long_mode:
        lgdt gdt_pointer
        mov %cr4, %eax
        or $0x20, %eax
        mov %eax, %cr4
        mov $PML4, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x100, %eax
        wrmsr
        mov %cr0, %eax
        or $0x80000001, %eax
        mov %eax, %cr0
        ljmp $SEL_CODE0, $long_mode

/* Entry of a further vCPU, from the trampoline below. */
ap_start32:
        mov $SEL_FLAT32, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $1, %ebp
        lock xadd %ebp, cpus_started
        jmp enter_long_mode

        .code64
long_mode:
        mov $SEL_DATA0, %eax
        mov %eax, %ss
        mov $SEL_DATA3, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %fs
        mov %eax, %gs
        mov %ebp, %edi
        lea 1(%ebp), %eax
        imul $STACK_SIZE, %eax
        lea stacks(%eax), %eax
        mov %rax, %rsp
        mov $0x3002, %ebx               /* flags of ring 3: IOPL 3, interrupts off */
        test %ebp, %ebp
        jnz 1f
        /* The first vCPU alone takes interrupts: the boot-time task state segment is at address
           0, so all vCPUs would share its one ring-0 stack. */
        movq $interrupt_stack_end, TSS_RSP0
        lidt idt_pointer
        call start_pvclock
        xor %edi, %edi
        mov $0x3202, %ebx
1:      mov %rsp, %rax
        sub $8, %rax
        pushq $SEL_DATA3
        push %rax
        push %rbx
        pushq $SEL_CODE3
        pushq $guest_main
        iretq

/* The paravirtual clock, where KVM's signature and feature bit say that there is one. */
start_pvclock:
        mov $0x40000000, %eax
        cpuid
        cmp $0x4b4d564b, %ebx
        jne 1f
        mov $0x40000001, %eax
        cpuid
        test $8, %eax
        jz 1f
        mov $PVCLOCK_MSR, %ecx
        mov $pvclock_page + 1, %eax
        xor %edx, %edx
        wrmsr
1:      ret

/* Real-mode start of a further vCPU; copied to AP_START. */
        .global ap_trampoline, ap_trampoline_end
        .code16
ap_trampoline:
        cli
        xor %ax, %ax
        mov %ax, %ds
        lgdtl AP_START + (ap_gdt_pointer - ap_trampoline)
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmpl $SEL_CODE32, $ap_start32
ap_gdt_pointer:
        .word gdt_end - gdt - 1
        .long gdt
ap_trampoline_end:

        .data
        .balign 16
gdt:    .quad 0
        .quad 0x00af9b000000ffff        /* SEL_CODE0: 64-bit */
        .quad 0x00cf93000000ffff        /* SEL_DATA0, SEL_FLAT32 */
        .quad 0x00cff3000000ffff        /* SEL_DATA3 */
        .quad 0x00affb000000ffff        /* SEL_CODE3: 64-bit */
        .quad 0x00cf9b000000ffff        /* SEL_CODE32 */
gdt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad gdt
idt_pointer:
        .word 256 * 16 - 1
        .quad idt
        .balign 4
        .global cpus_started, start_info_address, idt, pvclock_page
cpus_started:
        .long 1

        .bss
        .balign 4096
pvclock_page:
        .skip 4096
idt:    .skip 4096
start_info_address:
        .quad 0
        .balign 16
        .skip 4096
interrupt_stack_end:
stacks: .skip STACK_SIZE * MAX_CPUS

        .section .note.GNU-stack, "", @progbits
