/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine as a whole: the order in which its parts are made and unmade, the machine lock,
 * reset.
 *
 * machine_new(), machine_free() and everything in between run on the main thread. The machine lock
 * is error-checking: machine_is_locked_by_me() and wrong nesting are found, not guessed.
 */
#include "machine.h"

#include <errno.h>
#include <string.h>

#include "backend.h"
#include "chardev.h"
#include "clock.h"
#include "dirty-log.h"
#include "error.h"
#include "fd-table.h"
#include "loader.h"
#include "net.h"
#include "machine-init.h"
#include "memory-region.h"
#include "migration-host.h"
#include "vcpu.h"

typedef struct MachineDevice {
    void *dev;
    GDestroyNotify destroy;
    void (*reset)(void *dev);
} MachineDevice;

static const BoardOps *const *all_boards;

void machine_set_boards(const BoardOps *const *boards)
{
    all_boards = boards;
}

const BoardOps *const *machine_boards(void)
{
    return all_boards;
}

/* ---- the machine lock ---- */

void machine_lock(Machine *m)
{
    int rc = pthread_mutex_lock(&m->lock);

    if (G_UNLIKELY(rc)) {
        g_error("machine lock: %s", strerror(rc)); /* a bug of ours: taken twice by one thread */
    }
    __atomic_store_n(&m->lock_owner, (void *)pthread_self(), __ATOMIC_RELAXED);
}

void machine_unlock(Machine *m)
{
    __atomic_store_n(&m->lock_owner, NULL, __ATOMIC_RELAXED);

    int rc = pthread_mutex_unlock(&m->lock);

    if (G_UNLIKELY(rc)) {
        g_error("machine lock: %s", strerror(rc)); /* a bug of ours: released by a stranger */
    }
}

bool machine_is_locked_by_me(Machine *m)
{
    /* Only the owner writes its own name there, so a relaxed look cannot be wrong about "me". */
    return __atomic_load_n(&m->lock_owner, __ATOMIC_RELAXED) == (void *)pthread_self();
}

static void lock_cb(void *opaque)
{
    machine_lock(opaque);
}

static void unlock_cb(void *opaque)
{
    machine_unlock(opaque);
}

/* ---- devices ---- */

void machine_add_device(Machine *m, void *dev, GDestroyNotify destroy, void (*reset)(void *dev))
{
    MachineDevice *d = g_new(MachineDevice, 1);

    *d = (MachineDevice){ dev, destroy, reset };
    g_ptr_array_add(m->devices, d);
}

static void free_devices(Machine *m)
{
    while (m->devices->len) {
        MachineDevice *d = g_ptr_array_steal_index(m->devices, m->devices->len - 1);

        if (d->destroy) {
            d->destroy(d->dev);
        }
        g_free(d);
    }
    g_ptr_array_unref(m->devices);
}

struct Chardev *machine_find_chardev(Machine *m, const char *id)
{
    for (guint i = 0; i < m->chardevs->len; i++) {
        struct Chardev *c = g_ptr_array_index(m->chardevs, i);

        if (g_strcmp0(chardev_id(c), id) == 0) {
            return c;
        }
    }
    return NULL;
}

void machine_set_power_button(Machine *m, void (*press)(void *opaque), void *opaque)
{
    m->power_button.press = press;
    m->power_button.opaque = opaque;
}

void machine_powerdown(Machine *m)
{
    if (m->power_button.press) {
        machine_lock(m);
        m->power_button.press(m->power_button.opaque);
        machine_unlock(m);
    }
}

void machine_set_irq(Machine *m, unsigned gsi, int level)
{
    if (m->accel->set_irq) {
        m->accel->set_irq(m, gsi, level);
    }
}

void machine_exit(Machine *m, int code)
{
    __atomic_store_n(&m->exit_code, code, __ATOMIC_RELEASE);
    g_main_loop_quit(m->loop);
}

/* ---- reset ---- */

void machine_reset(Machine *m)
{
    g_autoptr(GError) err = NULL;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (m->accel->vcpu_reset && !m->accel->vcpu_reset(m->vcpus[i], &err)) {
            g_printerr("reset of vCPU %u failed: %s\n", i, err->message);
            g_clear_error(&err);
        }
    }
    for (guint i = 0; i < m->devices->len; i++) {
        MachineDevice *d = g_ptr_array_index(m->devices, i);

        if (d->reset) {
            d->reset(d->dev);
        }
    }
    if (m->board->reset && !m->board->reset(m, &err)) {
        g_printerr("reset: %s\n", err->message);
    }
}

/* ---- making ---- */

static const BoardOps *find_board(const char *name, GError **errp)
{
    for (size_t i = 0; all_boards && all_boards[i]; i++) {
        if (g_strcmp0(all_boards[i]->name, name) == 0) {
            return all_boards[i];
        }
    }
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "unsupported machine type '%s'", name ? name : "");
    return NULL;
}

static void init_locks(Machine *m)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&m->clock_lock, NULL);
}

static bool open_backends(Machine *m, GError **errp)
{
    const MachineConfig *c = m->config;

    for (guint i = 0; i < c->fdsets->len; i++) {
        const FdsetConfig *f = g_ptr_array_index(c->fdsets, i);

        if (fd_table_set_add(m->fds, f->set, f->fd, f->opaque, errp) < 0) {
            return false;
        }
    }
    for (guint i = 0; i < c->chardevs->len; i++) {
        Chardev *chr = chardev_new(g_ptr_array_index(c->chardevs, i), m->fds, errp);

        if (!chr) {
            return false;
        }
        g_ptr_array_add(m->chardevs, chr);
    }
    return net_init(m, errp);
}

static Machine *alloc(const MachineConfig *config)
{
    Machine *m = g_new0(Machine, 1);

    m->config = config;
    init_locks(m);
    m->loop = g_main_loop_new(NULL, FALSE);
    m->devices = g_ptr_array_new();
    m->chardevs = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_free);
    m->backends = g_ptr_array_new_with_free_func((GDestroyNotify)memory_backend_free);
    m->fds = fd_table_new();
    m->autostart = !config->start_paused;
    m->no_reboot = config->no_reboot;
    m->no_shutdown = config->no_shutdown;
    m->clock_stopped = true;
    m->run_state = runstate_new(m, config->incoming ? RUN_STATE_INMIGRATE : RUN_STATE_PRELAUNCH);
    m->memory = memory_map_new();
    memory_map_set_lock(m->memory, lock_cb, unlock_cb, m);
    m->dirty = dirty_tracker_new();
    memory_map_set_write_hook(m->memory, dirty_tracker_mark, m->dirty);
    m->boot_images = boot_images_new();
    machine_listeners_init(m);
    return m;
}

static bool check_cpus(Machine *m, GError **errp)
{
    const BoardOps *b = m->board;
    unsigned n = m->config->smp ? m->config->smp : 1;

    if (b->max_cpus == 0) {
        m->nr_vcpus = 0;
        return n == 1 || gw_fail(errp, GW_ERROR_GENERIC,
                                 "-smp %u: machine '%s' has no CPUs", n, b->name);
    }
    if (n < b->min_cpus || n > b->max_cpus || n > MACHINE_MAX_CPUS) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "-smp %u: machine '%s' supports %u to %u CPUs", n, b->name, b->min_cpus,
                       MIN(b->max_cpus, MACHINE_MAX_CPUS));
    }
    m->nr_vcpus = n;
    return true;
}

/* With the machine lock: everything that registers state or edits the map. */
static bool build_locked(Machine *m, GError **errp)
{
    if (!machine_init_migration(m, errp)) {
        return false;
    }
    if (m->accel->memory_listener &&
        !address_space_add_listener(memory_map_space(m->memory), m->accel->memory_listener, m,
                                    errp)) {
        return false;
    }
    if (!machine_init_ram(m, errp) || !machine_clock_init(m, errp) || !vcpus_create(m, errp)) {
        return false;
    }
    if (m->accel->register_vmstate && !m->accel->register_vmstate(m, errp)) {
        return false;
    }
    if (m->board->init && !m->board->init(m, errp)) {
        return false;
    }
    machine_reset(m);
    return true;
}

Machine *machine_new(const MachineConfig *config, GError **errp)
{
    const BoardOps *board = find_board(config->machine_type, errp);
    Machine *m;

    if (!board) {
        return NULL;
    }
    m = alloc(config);
    m->board = board;
    m->ram_size = config->ram_size ? config->ram_size : board->default_ram_size;

    bool ok = check_cpus(m, errp) && open_backends(m, errp) && machine_init_accel(m, errp);

    if (ok) {
        machine_lock(m);
        ok = build_locked(m, errp);
        machine_unlock(m);
    }
    if (!ok) {
        machine_free(m);
        return NULL;
    }
    return m;
}

void machine_free(Machine *m)
{
    if (!m) {
        return;
    }
    /* First the guest, so that nothing touches devices any more, then the engine's threads, which
     * call into all of the machine; what is left belongs to this thread alone. */
    runstate_end(m->run_state);
    if (m->migration) {
        gw_migration_stop(m->migration);
    }
    vcpus_destroy(m);
    machine_lock(m);
    free_devices(m);
    machine_unlock(m);
    if (m->accel && m->accel->destroy) {
        m->accel->destroy(m);
    }
    net_free(m);
    g_ptr_array_unref(m->chardevs);
    memory_map_free(m->memory);
    gw_migration_free(m->migration);
    g_ptr_array_unref(m->backends);
    boot_images_free(m->boot_images);
    dirty_tracker_free(m->dirty);
    machine_listeners_clear(m);
    runstate_free(m->run_state);
    fd_table_free(m->fds);
    g_main_loop_unref(m->loop);
    g_free(m->accel_errors);
    g_clear_pointer(&m->run_ops, g_array_unref);
    pthread_mutex_destroy(&m->clock_lock);
    pthread_mutex_destroy(&m->lock);
    g_free(m);
}
