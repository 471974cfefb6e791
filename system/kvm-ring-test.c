/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-test of the dirty ring. Some hosts offer a ring that never gets going again once it was
 * full: a vCPU would hang in the kernel, past every signal but SIGKILL. So the ring is tried first,
 * with a scratch guest that writes three times as many pages as the ring has entries, in a child
 * process that can be killed.
 *
 * The child makes system calls only: no allocation, no GLib, since other threads may have held
 * locks at the fork.
 */
#include "kvm-ring-test.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"

#define TEST_ENTRIES 1024
#define TEST_PAGES 3000
#define TEST_CODE 0x1000
#define TEST_DATA 0x100000
#define TEST_MEMORY (TEST_DATA + TEST_PAGES * 4096)
#define TEST_TIMEOUT_MS 2000
#define TEST_STEP_MS 5

/* Flat 32-bit code: one byte into each page, then halt. */
static const uint8_t guest_code[] = {
    0xbf, 0x00, 0x00, 0x10, 0x00,       /* mov edi, TEST_DATA */
    0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, TEST_PAGES */
    0xc6, 0x07, 0x01,                   /* mov byte [edi], 1 */
    0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, /* add edi, 4096 */
    0xe2, 0xf5,                         /* loop to the mov */
    0xf4,                               /* hlt */
};

typedef struct Scratch {
    int vm, vcpu;
    struct kvm_run *run;
    struct kvm_dirty_gfn *ring;
    uint32_t next;
    uint8_t seen[TEST_PAGES];
} Scratch;

static bool make_vm(Scratch *s, int kvm_fd, int cap)
{
    struct kvm_enable_cap c = {
        .cap = cap, .args = { TEST_ENTRIES * sizeof(struct kvm_dirty_gfn) },
    };
    uint8_t *mem = mmap(NULL, TEST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);
    struct kvm_userspace_memory_region r = {
        .flags = KVM_MEM_LOG_DIRTY_PAGES, .memory_size = TEST_MEMORY,
        .userspace_addr = (uintptr_t)mem,
    };

    if (mem == MAP_FAILED) {
        return false;
    }
    memcpy(mem + TEST_CODE, guest_code, sizeof(guest_code));
    s->vm = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    return s->vm >= 0 && ioctl(s->vm, KVM_SET_TSS_ADDR, 0xfffbd000UL) == 0 &&
           ioctl(s->vm, KVM_ENABLE_CAP, &c) == 0 &&
           ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &r) == 0;
}

static bool make_vcpu(Scratch *s, int kvm_fd)
{
    int size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_sregs sr;
    struct kvm_segment flat = { .limit = UINT32_MAX, .type = 3, .present = 1, .s = 1, .db = 1,
                                .g = 1, .selector = 16 };
    struct kvm_regs regs = { .rip = TEST_CODE, .rflags = 2 };

    s->vcpu = ioctl(s->vm, KVM_CREATE_VCPU, 0);
    if (s->vcpu < 0 || size <= 0 || ioctl(s->vcpu, KVM_GET_SREGS, &sr) < 0) {
        return false;
    }
    s->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->vcpu, 0);
    s->ring = mmap(NULL, TEST_ENTRIES * sizeof(*s->ring), PROT_READ | PROT_WRITE, MAP_SHARED,
                   s->vcpu, KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
    sr.ds = sr.es = sr.fs = sr.gs = sr.ss = flat;
    flat.type = 11;
    flat.selector = 8;
    sr.cs = flat;
    sr.cr0 |= 1;
    return s->run != MAP_FAILED && s->ring != MAP_FAILED &&
           ioctl(s->vcpu, KVM_SET_SREGS, &sr) == 0 && ioctl(s->vcpu, KVM_SET_REGS, &regs) == 0;
}

static void harvest(Scratch *s)
{
    for (;; s->next++) {
        struct kvm_dirty_gfn *e = &s->ring[s->next % TEST_ENTRIES];
        uint64_t page;

        if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) {
            break;
        }
        page = e->offset - TEST_DATA / 4096;
        if (page < TEST_PAGES) {
            s->seen[page] = 1;
        }
        __atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
    }
    ioctl(s->vm, KVM_RESET_DIRTY_RINGS, 0);
}

/* The child's exit code: 0 all pages were reported, 1 some were not, 2 it could not be tried. */
static int run_child(int kvm_fd, int cap)
{
    static Scratch s; /* zero; the child's own copy */

    if (!make_vm(&s, kvm_fd, cap) || !make_vcpu(&s, kvm_fd)) {
        return 2;
    }
    for (;;) {
        int rc = ioctl(s.vcpu, KVM_RUN, 0);

        if (rc < 0 && errno == EINTR) {
            continue;
        }
        if (rc < 0 || (s.run->exit_reason != KVM_EXIT_DIRTY_RING_FULL &&
                       s.run->exit_reason != KVM_EXIT_HLT)) {
            return 2;
        }
        harvest(&s);
        if (s.run->exit_reason == KVM_EXIT_HLT) {
            return memchr(s.seen, 0, TEST_PAGES) != NULL;
        }
    }
}

bool kvm_ring_self_test(int kvm_fd, int cap, GError **errp)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "the dirty ring could not be tried");
    }
    if (pid == 0) {
        _exit(run_child(kvm_fd, cap));
    }
    for (int waited = 0;; waited += TEST_STEP_MS) {
        pid_t done = waitpid(pid, &status, WNOHANG);

        if (done == pid || (done < 0 && errno != EINTR)) {
            break;
        }
        if (waited >= TEST_TIMEOUT_MS) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return gw_fail(errp, GW_ERROR_UNSUPPORTED, "this host's dirty ring is unusable: a "
                           "guest hangs once the ring has been full");
        }
        g_usleep(TEST_STEP_MS * 1000);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "this host's dirty ring is unusable: %s",
                       WIFEXITED(status) && WEXITSTATUS(status) == 1
                           ? "it did not report every page that a guest wrote"
                           : "a guest with it could not be run");
    }
    return true;
}
