/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MachineConfig: making, freeing and asking. The command line (cmdline*.c) fills it; once the
 * machine runs it is constant and any thread may read it.
 */
#include "config.h"

#include <string.h>

#include "cmdline-keyval.h"
#include "cmdline.h"

static void backend_free(gpointer p)
{
    MemoryBackendConfig *b = p;

    g_free(b->id);
    g_free(b->qom_type);
    g_free(b->mem_path);
    g_free(b);
}

static void chardev_config_free(gpointer p)
{
    ChardevConfig *c = p;

    g_free(c->id);
    g_free(c->backend);
    g_free(c->path);
    g_free(c->input_path);
    g_free(c->host);
    g_free(c->port);
    g_free(c->fd);
    g_free(c->logfile);
    g_free(c);
}

static void monitor_config_free(gpointer p)
{
    MonitorConfig *m = p;

    g_free(m->id);
    g_free(m->chardev);
    g_free(m);
}

static void serial_config_free(gpointer p)
{
    SerialConfig *s = p;

    g_free(s->chardev);
    g_free(s);
}

static void loader_config_free(gpointer p)
{
    LoaderConfig *l = p;

    g_free(l->file);
    g_free(l);
}

static void drive_config_free(gpointer p)
{
    DriveConfig *d = p;

    g_free(d->id);
    g_free(d->file);
    g_free(d->format);
    g_free(d->iface);
    g_free(d->cache);
    g_free(d);
}

static void device_config_free(gpointer p)
{
    DeviceConfig *d = p;

    g_free(d->driver);
    g_free(d->id);
    g_hash_table_unref(d->props);
    g_free(d);
}

static void accel_config_free(gpointer p)
{
    AccelConfig *a = p;

    g_free(a->name);
    g_hash_table_unref(a->props);
    g_free(a);
}

static void fdset_config_free(gpointer p)
{
    FdsetConfig *f = p;

    g_free(f->opaque);
    g_free(f);
}

static void net_address_clear(NetAddress *a)
{
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->fd);
}

static void netdev_config_free(gpointer p)
{
    NetdevConfig *n = p;

    g_free(n->id);
    g_free(n->type);
    g_free(n->ifname);
    g_ptr_array_unref(n->fds);
    net_address_clear(&n->local);
    net_address_clear(&n->remote);
    g_free(n);
}

GHashTable *config_props_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

AccelConfig *config_add_accel(MachineConfig *c, const char *name)
{
    AccelConfig *a = g_new0(AccelConfig, 1);

    a->name = g_strdup(name);
    a->props = config_props_new();
    g_ptr_array_add(c->accels, a);
    return a;
}

MachineConfig *machine_config_new(void)
{
    MachineConfig *c = g_new0(MachineConfig, 1);

    c->machine_props = config_props_new();
    c->accels = g_ptr_array_new_with_free_func(accel_config_free);
    c->backends = g_ptr_array_new_with_free_func(backend_free);
    c->loaders = g_ptr_array_new_with_free_func(loader_config_free);
    c->drives = g_ptr_array_new_with_free_func(drive_config_free);
    c->chardevs = g_ptr_array_new_with_free_func(chardev_config_free);
    c->serials = g_ptr_array_new_with_free_func(serial_config_free);
    c->monitors = g_ptr_array_new_with_free_func(monitor_config_free);
    c->fdsets = g_ptr_array_new_with_free_func(fdset_config_free);
    c->devices = g_ptr_array_new_with_free_func(device_config_free);
    c->netdevs = g_ptr_array_new_with_free_func(netdev_config_free);
    c->globals = g_ptr_array_new_with_free_func(g_free);
    c->traces = g_ptr_array_new_with_free_func(g_free);
    c->smp = 1;
    return c;
}

void machine_config_free(MachineConfig *c)
{
    if (!c) {
        return;
    }
    g_ptr_array_unref(c->accels);
    g_ptr_array_unref(c->backends);
    g_ptr_array_unref(c->loaders);
    g_ptr_array_unref(c->drives);
    g_ptr_array_unref(c->chardevs);
    g_ptr_array_unref(c->serials);
    g_ptr_array_unref(c->monitors);
    g_ptr_array_unref(c->fdsets);
    g_ptr_array_unref(c->devices);
    g_ptr_array_unref(c->netdevs);
    g_ptr_array_unref(c->globals);
    g_ptr_array_unref(c->traces);
    g_hash_table_unref(c->machine_props);
    g_free(c->machine_type);
    g_free(c->cpu_model);
    g_free(c->mem_path);
    g_free(c->kernel);
    g_free(c->append);
    g_free(c->initrd);
    g_free(c->bios);
    g_free(c->name);
    g_free(c->incoming);
    g_free(c->pidfile);
    g_free(c->log_file);
    g_free(c->log_items);
    g_free(c);
}

const char *machine_config_prop(const MachineConfig *c, const char *name)
{
    return g_hash_table_lookup(c->machine_props, name);
}

bool machine_config_prop_bool(const MachineConfig *c, const char *name, bool def)
{
    const char *text = machine_config_prop(c, name);
    bool value = def;

    if (text && !keyval_parse_bool(text, &value)) {
        return def;
    }
    return value;
}
