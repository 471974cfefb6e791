/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerator `kvm`: opens /dev/kvm, makes the VM, checks what this kernel offers. Main thread.
 * The rest of the accelerator: see the list in kvm.h.
 */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"

/* Three pages for the TSS and one for the identity map, below the firmware area at the top of the
 * 32-bit space: guests do not expect RAM there. */
#define KVM_TSS_ADDR 0xfeffd000UL
#define KVM_IDENTITY_MAP_ADDR 0xfeffc000UL

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int rc;

    do {
        rc = ioctl(fd, request, arg);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

int kvm_check_cap(KvmState *k, int cap)
{
    int fd = k->vm_fd >= 0 ? k->vm_fd : k->kvm_fd;
    int rc = kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);

    return rc < 0 ? 0 : rc;
}

typedef struct KvmNeed {
    int cap;
    const char *name;
} KvmNeed;

static const KvmNeed kvm_needs[] = {
    { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
    { KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
    { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
    { KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
    { KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
    { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
    { KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
    { KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS" },
    { KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
    { KVM_CAP_XCRS, "KVM_CAP_XCRS" },
    { KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK" },
    { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
    { KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM" },
};

static bool kvm_open(KvmState *k, GError **errp)
{
    k->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (k->kvm_fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                             "cannot open /dev/kvm (use -accel sim where there is no KVM)");
    }

    int version = kvm_ioctl(k->kvm_fd, KVM_GET_API_VERSION, NULL);

    if (version != KVM_API_VERSION) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "/dev/kvm speaks API version %d, needed is %d",
                       version, KVM_API_VERSION);
    }
    k->vm_fd = kvm_ioctl(k->kvm_fd, KVM_CREATE_VM, NULL);
    if (k->vm_fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -k->vm_fd, "KVM_CREATE_VM");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(kvm_needs); i++) {
        if (!kvm_check_cap(k, kvm_needs[i].cap)) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED, "this kernel's KVM lacks %s",
                           kvm_needs[i].name);
        }
    }
    return true;
}

static bool kvm_reserve_pages(KvmState *k, GError **errp)
{
    uint64_t identity = KVM_IDENTITY_MAP_ADDR;
    int rc = kvm_ioctl(k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);

    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_SET_IDENTITY_MAP_ADDR");
    }
    rc = kvm_ioctl(k->vm_fd, KVM_SET_TSS_ADDR, (void *)KVM_TSS_ADDR);
    if (rc < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, -rc, "KVM_SET_TSS_ADDR");
    }
    return true;
}

static void kvm_read_caps(KvmState *k)
{
    int xsave2 = kvm_check_cap(k, KVM_CAP_XSAVE2);

    k->run_size = kvm_ioctl(k->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    k->xsave_size = MAX(xsave2, (int)sizeof(struct kvm_xsave));
    k->has_sregs2 = kvm_check_cap(k, KVM_CAP_SREGS2);
    k->has_mce = kvm_check_cap(k, KVM_CAP_MCE);
    /* A kernel that can say whether the clock is stable also reads it the way the guest does. */
    k->clock_is_reliable = kvm_check_cap(k, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_TSC_STABLE;

    struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 } };

    k->has_triple_fault = kvm_check_cap(k, KVM_CAP_X86_TRIPLE_FAULT_EVENT) &&
                          kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &cap) == 0;
}

static bool kvm_check_irqchip_prop(const AccelConfig *conf, GError **errp)
{
    const char *v = conf && conf->props ? g_hash_table_lookup(conf->props, "kernel-irqchip") : NULL;

    if (v && strcmp(v, "on") != 0) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "-accel kvm,kernel-irqchip=%s is not supported; use kernel-irqchip=on", v);
    }
    return true;
}

/* dirty-ring-size=N: entries per vCPU, a power of two; 0 is the dirty log. */
static bool kvm_ring_prop(KvmState *k, const AccelConfig *conf, GError **errp)
{
    const char *v = conf && conf->props ? g_hash_table_lookup(conf->props, "dirty-ring-size")
                                        : NULL;
    guint64 entries = 0;

    if (!v) {
        return true;
    }
    if (!g_ascii_string_to_unsigned(v, 10, 0, 65536, &entries, NULL) ||
        (entries & (entries - 1)) != 0 || (entries && entries < 1024)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-accel kvm,dirty-ring-size=%s: give 0 or a power "
                       "of two from 1024 to 65536 (entries per vCPU)", v);
    }
    if (!entries) {
        return true;
    }

    g_autoptr(GError) why = NULL;

    if (!kvm_ring_enable(k, entries, &why)) {
        g_printerr("warning: dirty-ring-size=%s: %s; the dirty log is used instead\n", v,
                   why->message);
    }
    return true;
}

static bool kvm_setup(KvmState *k, const AccelConfig *conf, GError **errp)
{
    Machine *m = k->machine;

    if (!kvm_check_irqchip_prop(conf, errp) || !kvm_open(k, errp)) {
        return false;
    }
    kvm_read_caps(k);
    if (k->run_size < (int)sizeof(struct kvm_run)) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "KVM_GET_VCPU_MMAP_SIZE gave %d bytes",
                       k->run_size);
    }
    if (!kvm_ring_prop(k, conf, errp)) {
        return false;
    }
    kvm_dirty_init(k);
    return kvm_reserve_pages(k, errp) &&
           kvm_irqchip_create(k, errp) && kvm_cpuid_init(k, m->config->cpu_model, errp);
}

static void kvm_destroy(Machine *m)
{
    KvmState *k = kvm_state(m);

    if (!k) {
        return;
    }
    kvm_memory_destroy(k);
    if (k->vm_fd >= 0) {
        close(k->vm_fd);
    }
    if (k->kvm_fd >= 0) {
        close(k->kvm_fd);
    }
    g_free(k->cpuid);
    pthread_mutex_destroy(&k->slot_lock);
    pthread_mutex_destroy(&k->ioapic2_lock);
    pthread_mutex_destroy(&k->line_lock);
    g_free(k);
    m->accel_state = NULL;
}

static bool kvm_init(Machine *m, const AccelConfig *conf, GError **errp)
{
    KvmState *k = g_new0(KvmState, 1);

    k->machine = m;
    k->kvm_fd = k->vm_fd = -1;
    pthread_mutex_init(&k->slot_lock, NULL);
    pthread_mutex_init(&k->ioapic2_lock, NULL);
    pthread_mutex_init(&k->line_lock, NULL);
    k->slots = g_ptr_array_new();
    k->orphans = g_ptr_array_new_with_free_func(kvm_orphan_free);
    m->accel_state = k;
    if (!kvm_setup(k, conf, errp)) {
        kvm_destroy(m);
        return false;
    }
    return true;
}

static const char *const kvm_props[] = { "kernel-irqchip", "dirty-ring-size", NULL };

const AccelOps accel_kvm = {
    .name = "kvm",
    .props = kvm_props,
    .init = kvm_init,
    .destroy = kvm_destroy,
    .memory_listener = &kvm_memory_listener,
    .vcpu_create = kvm_vcpu_create,
    .vcpu_destroy = kvm_vcpu_destroy,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_get_state = kvm_get_state,
    .vcpu_put_state = kvm_put_state,
    .vcpu_reset = kvm_reset_vcpu,
    .vcpu_translate = kvm_vcpu_translate,
    .register_vmstate = kvm_register_vmstate,
    .running_changed = kvm_running_changed,
    .handing_over = kvm_handing_over,
    .set_irq = kvm_set_irq,
    .dirty_log = &kvm_dirty_log_ops,
};
