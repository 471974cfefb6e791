/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machine type `microvm`: RAM, serial port, fw_cfg, and with ACPI the generic event device. The
 * interrupt controllers, timers and their sections come with the accelerator (kvm), which reads the
 * same properties.
 * Main thread, machine lock held. Sections: spec minimal-machines 6.3.
 */
#include "microvm.h"

#include <string.h>

#include "acpi-ged.h"
#include "boards.h"
#include "error.h"
#include "fw_cfg.h"
#include "loader.h"
#include "mc146818.h"
#include "serial.h"
#include "virtio-bus.h"

/* The board's own properties. `words`: what is accepted, NULL for what
 * its user checks. */
typedef struct MicrovmProp {
    const char *name;
    const char *words;
} MicrovmProp;

static const MicrovmProp props[] = {
    { "pic", "on|off|auto" },       /* i8259 pair; accelerator */
    { "pit", "on|off|auto" },       /* i8254; accelerator */
    { "rtc", "on|off|auto" },       /* mc146818; auto is off */
    { "acpi", "on|off|auto" },      /* tables and event device; auto is on */
    { "ioapic2", "on|off|auto" },   /* second I/O APIC; auto follows acpi; accelerator */
    { "isa-serial", "on|off" },
    { "virtio-mmio-transports", NULL }, /* how many; virtio-bus.c */
    { "auto-kernel-cmdline", "on|off" }, /* words that tell where virtio devices are */
    /* Accepted without effect, since what they would switch is not there: */
    { "pcie", "off|auto" },
    { "x-option-roms", "on|off" },
};

static const char *const prop_names[] = {
    "pic", "pit", "rtc", "acpi", "ioapic2", "isa-serial",
    "virtio-mmio-transports", "pcie", "x-option-roms",
    "auto-kernel-cmdline", NULL,
};
_Static_assert(G_N_ELEMENTS(prop_names) == G_N_ELEMENTS(props) + 1, "one name for each property");

static bool check_props(const MachineConfig *c, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(props); i++) {
        const char *value = machine_config_prop(c, props[i].name);
        g_auto(GStrv) words = props[i].words ? g_strsplit(props[i].words, "|", -1) : NULL;

        if (value && words && !g_strv_contains((const char *const *)words, value)) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                           "-machine microvm,%s=%s: not supported here (supported: %s)",
                           props[i].name, value, props[i].words);
        }
    }
    return true;
}

static void microvm_free(void *opaque)
{
    MicrovmState *s = opaque;

    microvm_memory_free(s);
    g_array_unref(s->places);
    g_free(s);
}

/* The first -serial; there is one port. */
static bool add_serial(MicrovmState *s, Machine *m, GError **errp)
{
    const GPtrArray *serials = m->config->serials;

    if (!machine_config_prop_bool(m->config, "isa-serial", true)) {
        return true;
    }
    for (guint i = 0; i < serials->len; i++) {
        const SerialConfig *conf = g_ptr_array_index(serials, i);

        if (conf->index > 0) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                           "-serial: the microvm has one serial port only");
        }
        if (!conf->chardev) {
            continue;
        }
        struct Chardev *chr = machine_find_chardev(m, conf->chardev);

        if (!chr) {
            return gw_fail(errp, GW_ERROR_GENERIC, "-serial: chardev '%s' not found",
                           conf->chardev);
        }
        s->serial = true;
        return serial_isa_new(m, MICROVM_SERIAL_PORT, MICROVM_SERIAL_IRQ, chr, errp) != NULL;
    }
    return true;
}

/* As many transports as there are lines for, as on QEMU's board. */
static bool add_virtio(MicrovmState *s, Machine *m, GError **errp)
{
    static const VirtIOLines isa = { 5, 8 }, pins16 = { 16, 8 }, ioapic2 = { 24, 24 };
    VirtIOLines lines = isa;

    if (s->acpi) {
        lines = machine_config_prop_bool(m->config, "ioapic2", true) ? ioapic2 : pins16;
    }
    return virtio_bus_init(m, lines, s->places, errp);
}

static bool microvm_init(Machine *m, GError **errp)
{
    MicrovmState *s = g_new0(MicrovmState, 1);

    s->machine = m;
    s->acpi = machine_config_prop_bool(m->config, "acpi", true);
    s->places = g_array_new(FALSE, FALSE, sizeof(VirtIOPlace));
    m->board_state = s;
    machine_add_device(m, s, microvm_free, NULL);
    return check_props(m->config, errp) && microvm_memory_init(s, errp) &&
           fw_cfg_new(m, errp) && (!s->acpi || acpi_ged_new(m, errp)) &&
           (!machine_config_prop_bool(m->config, "rtc", false) || mc146818_new(m, errp)) &&
           add_serial(s, m, errp) && microvm_mptable(m, errp) && add_virtio(s, m, errp) &&
           microvm_describe(s, errp) && loader_init(m, errp);
}

static bool microvm_post_incoming(Machine *m, GError **errp)
{
    return microvm_memory_fit(m->board_state, errp);
}

const BoardOps board_microvm = {
    .name = "microvm",
    .description = "microvm (i386)",
    .default_ram_id = "microvm.ram",
    .default_ram_size = UINT64_C(128) << 20,
    .min_cpus = 1,
    .max_cpus = MACHINE_MAX_CPUS,
    .props = prop_names,
    .init = microvm_init,
    .reset = boot_images_apply,
    .pci_hole_start = MICROVM_PCI_HOLE,
    .post_incoming = microvm_post_incoming,
    .maps_ram = true,
};
