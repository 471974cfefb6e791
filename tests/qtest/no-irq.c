/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library to be preloaded into a VMM (LD_PRELOAD): its device interrupts get lost, for the calls
 * that hand them to KVM do nothing and succeed. test_interrupts.py shows with it that its guest
 * needs them.
 */
#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (request == KVM_IRQ_LINE || request == KVM_SIGNAL_MSI) {
        return 0;
    }
    return (int)syscall(SYS_ioctl, fd, request, arg);
}
