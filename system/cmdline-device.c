/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -device: the loader, the serial port and the boot disk; -global: defaults of properties.
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

/* Values of loader properties may be at most 8 bytes, as the guest sees them. */
static void loader_data(LoaderConfig *l, KeyValList *kv)
{
    bool has_data = keyval_has(kv, "data");

    l->data = keyval_u64(kv, "data", 0, UINT64_MAX);
    l->data_len = (uint8_t)keyval_u64(kv, "data-len", 0, 8);
    l->data_be = keyval_bool(kv, "data-be", false);
    if (has_data && l->file) {
        keyval_error(kv, "Specifying data and file at the same time is not possible");
    } else if (has_data && (!l->data_len || !l->has_addr)) {
        keyval_error(kv, "'data' needs 'addr' and 'data-len' (1 to 8)");
    } else if (!has_data && l->data_len) {
        keyval_error(kv, "'data-len' needs 'data'");
    } else if (!has_data && !l->file && l->cpu_num < 0) {
        keyval_error(kv, "please include valid arguments: file=, or data= with data-len=");
    }
}

static bool device_loader(Cmdline *cl, KeyValList *kv, GError **errp)
{
    LoaderConfig *l = g_new0(LoaderConfig, 1);

    g_ptr_array_add(cl->config->loaders, l);
    l->file = g_strdup(keyval_str(kv, "file"));
    l->has_addr = keyval_has(kv, "addr");
    l->addr = keyval_u64(kv, "addr", 0, UINT64_MAX);
    l->force_raw = keyval_bool(kv, "force-raw", false);
    l->cpu_num = keyval_has(kv, "cpu-num")
                     ? (int)keyval_u64(kv, "cpu-num", 0, MACHINE_MAX_CPUS - 1)
                     : -1;
    loader_data(l, kv);
    return keyval_done(kv, errp);
}

static bool device_serial(Cmdline *cl, KeyValList *kv, GError **errp)
{
    static const uint64_t bases[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    static const uint64_t irqs[] = { 4, 3, 4, 3 };
    const char *chardev = keyval_need(kv, "chardev");
    bool has_index = keyval_has(kv, "index");
    int index = (int)keyval_u64(kv, "index", 0, 3);
    uint64_t base, irq;

    index = has_index ? index : -1;
    base = keyval_u64(kv, "iobase", 0, 0xffff);
    for (int i = 0; i < 4 && base && index < 0; i++) {
        index = bases[i] == base ? i : index;
    }
    if (base && (index < 0 || bases[index] != base)) {
        keyval_error(kv, "Parameter 'iobase' supports 0x3f8, 0x2f8, 0x3e8 and 0x2e8 (index 0 to "
                     "3) only");
    }
    irq = keyval_u64(kv, "irq", 0, 15);
    if (irq && (index < 0 || irqs[index] != irq)) {
        keyval_error(kv, "Parameter 'irq' supports the usual line of the port only (4, 3, 4, 3 "
                     "for index 0 to 3)");
    }
    return keyval_done(kv, errp) && cmdline_add_serial(cl, chardev, index, errp);
}

static bool device_disk(Cmdline *cl, KeyValList *kv, GError **errp)
{
    const char *id = keyval_need(kv, "drive");
    DriveConfig *d;

    /* There is no controller: place and geometry make no difference to a boot sector. */
    keyval_ignore(kv, "secs");
    keyval_ignore(kv, "cyls");
    keyval_ignore(kv, "heads");
    keyval_ignore(kv, "bus");
    keyval_ignore(kv, "unit");
    keyval_ignore(kv, "bootindex");
    keyval_ignore(kv, "write-cache");
    if (!keyval_done(kv, errp)) {
        return false;
    }
    d = cmdline_find_drive(cl, id);
    if (!d) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Property 'ide-hd.drive' can't find value '%s' "
                       "(make it with -drive if=none,id=%s,file=...)", id, id);
    }
    g_free(d->iface);
    d->iface = g_strdup("ide");
    return true;
}

static void add_prop(const char *key, const char *value, void *opaque)
{
    g_hash_table_insert(opaque, g_strdup(key), g_strdup(value ? value : "on"));
}

/* A device of the board's: what it understands is for hw/ to say, when the machine is made. */
static bool device_of_board(Cmdline *cl, KeyValList *kv, GError **errp)
{
    DeviceConfig *d = g_new0(DeviceConfig, 1);

    g_ptr_array_add(cl->config->devices, d);
    d->driver = g_strdup(keyval_str(kv, "driver"));
    d->id = g_strdup(keyval_str(kv, "id"));
    d->props = config_props_new();
    keyval_rest(kv, add_prop, d->props);
    return keyval_done(kv, errp);
}

typedef struct DeviceType {
    const char *name, *help;
    bool (*make)(Cmdline *cl, KeyValList *kv, GError **errp);
} DeviceType;

static const DeviceType device_types[] = {
    { "loader", "loads a file or a value into guest memory: file=, addr=, force-raw=, data=, "
                "data-len=, data-be=, cpu-num=", device_loader },
    { "isa-serial", "a 16550A serial port: chardev=, index=0..3", device_serial },
    { "ide-hd", "the boot disk, of which the first sector is run: drive=", device_disk },
    { "virtio-balloon-device", "gives guest memory back to the host: free-page-hint=, "
                               "free-page-reporting=, deflate-on-oom=", device_of_board },
    { "virtio-blk-device", "a disk over virtio: drive=, serial=, num-queues=, queue-size=, "
                           "write-cache=, share-rw=", device_of_board },
    { "virtio-serial-device", "consoles and ports over virtio: max_ports=", device_of_board },
    { "virtconsole", "a console of a virtio-serial-device: chardev=, name=, nr=", device_of_board },
    { "virtserialport", "a port of a virtio-serial-device: chardev=, name=, nr=",
      device_of_board },
    { "virtio-net-device", "a network card: netdev=, mac=, mq=on|off, and its features by name "
                           "(csum=, mrg_rxbuf=, ...)", device_of_board },
    { "virtio-rng-device", "random numbers over virtio", device_of_board },
};

static void print_devices(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(device_types); i++) {
        printf("name \"%s\", desc \"%s\"\n", device_types[i].name, device_types[i].help);
    }
}

static const DeviceType *find_device(const char *name, GError **errp)
{
    const char *names[G_N_ELEMENTS(device_types)];
    const char *near;

    for (size_t i = 0; i < G_N_ELEMENTS(device_types); i++) {
        if (!strcmp(device_types[i].name, name)) {
            return &device_types[i];
        }
        names[i] = device_types[i].name;
    }
    near = cmdline_nearest(name, names, G_N_ELEMENTS(names));
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "'%s' is not a valid device model name (%s: %s)", name,
            near ? "nearest" : "supported", near ? near : "loader, isa-serial, ide-hd");
    return NULL;
}

bool cmdline_device(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;
    const DeviceType *type;
    const char *name, *id;

    if (cmdline_wants_help(arg)) {
        print_devices();
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "driver", errp);
    if (!kv) {
        return false;
    }
    name = keyval_need(kv, "driver");
    type = name ? find_device(name, errp) : NULL;
    if (!type) {
        return name ? false : keyval_done(kv, errp);
    }
    id = keyval_str(kv, "id");
    if (id && !keyval_id_ok(id)) {
        keyval_error(kv, "Parameter 'id' expects an identifier, not '%s'", id);
    }
    return type->make(cl, kv, errp);
}

bool cmdline_global(Cmdline *cl, const char *arg, GError **errp)
{
    const char *eq = strchr(arg, '=');
    const char *dot = strchr(arg, '.');

    if (!eq || !dot || dot > eq || dot == arg || dot + 1 == eq) {
        return gw_fail(errp, GW_ERROR_GENERIC, "expected DRIVER.PROPERTY=VALUE, such as "
                       "migration.send-switchover-start=off");
    }
    /* Which ones there are is known when the machine is made. */
    g_ptr_array_add(cl->config->globals, g_strdup(arg));
    return true;
}
