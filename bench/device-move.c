/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a guest with N disks of Q queues each stands still when it moves, with the device load
 * edit by edit and batched:
 *
 *     device-move DEVICES QUEUES RUNS
 *
 * Both machines are in this process, on KVM, so that one clock measures the outage: from the stop
 * of the source to the start of the destination. The guest halts; its devices are at DRIVER_OK
 * with all rings. One line of JSON per run and mode.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tests/unit/kvm-fixture.h"
#include "channel-mem.h"
#include "load-virtio.h"
#include "state.h"

#define CHANNEL_BYTES ((size_t)4 << 20)
#define CODE_AT 0x1000

/* When the destination's guest began to run; ns, 0: not yet. Atomic. */
static int64_t started_ns;

static void note_start(void *opaque, RunState old, RunState now)
{
    Machine *m = opaque;

    if (now == RUN_STATE_RUNNING) {
        __atomic_store_n(&started_ns, ms_now_ns(m->migration), __ATOMIC_RELEASE);
    }
}

static Machine *source(const MachineConfig *c, unsigned devices, unsigned queues)
{
    static const uint8_t halt[] = { 0xf4, 0xeb, 0xfd }; /* hlt; jmp back */
    Machine *m = kvm_machine(c);

    for (unsigned i = 0; i < devices; i++) {
        virtio_drive(m, i, queues);
    }
    kvm_put_code(m, CODE_AT, halt, sizeof(halt));
    machine_lock(m);
    g_assert_true(x86_set_realmode_entry(m->vcpus[0], 0, CODE_AT));
    machine_unlock(m);
    kvm_start(m);
    return m;
}

static Machine *destination(MachineConfig *c, bool batched)
{
    const MigrationCapabilityChange on = { MIGRATION_CAP_BATCH_VMSTATE_LOAD, batched };
    Machine *m;

    c->incoming = g_strdup("defer");
    m = kvm_machine(c);
    g_clear_pointer(&c->incoming, g_free);
    g_assert_true(gw_capabilities_set(m->migration, &on, 1, NULL));
    runstate_add_notify(m->run_state, note_start, m);
    return m;
}

static void connect_and_wait(Machine *a, Machine *b)
{
    const MigrationCapabilityChange rp = { MIGRATION_CAP_RETURN_PATH, true };
    g_autoptr(GwChannel) left = NULL;
    g_autoptr(GwChannel) right = NULL;
    GError *err = NULL;

    g_assert_true(gw_capabilities_set(a->migration, &rp, 1, NULL));
    g_assert_true(gw_channel_mem_pair(CHANNEL_BYTES, &left, &right));
    gw_incoming_start_channel(b->migration, right, false, &err);
    g_assert_no_error(err);
    gw_migrate_channel(a->migration, left, &err);
    g_assert_no_error(err);
    gw_migration_wait(a->migration);
    gw_incoming_wait(b->migration);
    g_assert_true(runstate_is_running(b->run_state));
}

static void measure(MachineConfig *c, unsigned devices, unsigned queues, bool batched)
{
    Machine *a = source(c, devices, queues), *b = destination(c, batched);
    const MigrationBlackout *t = &b->migration->in.blackout;
    uint64_t load;

    __atomic_store_n(&started_ns, 0, __ATOMIC_RELEASE);
    connect_and_wait(a, b);
    load = t->decode_ns + t->apply_ns + t->commit_ns + t->post_commit_ns;
    printf("{\"devices\": %u, \"queues\": %u, \"batched\": %s, \"load_us\": %.1f, "
           "\"outage_us\": %.1f, \"edits\": %" PRIu64 ", \"commits\": %" PRIu64
           ", \"ioctls\": %" PRIu64 "}\n", devices, queues, batched ? "true" : "false",
           (double)load / 1e3,
           (double)(__atomic_load_n(&started_ns, __ATOMIC_ACQUIRE) -
                    a->migration->out.downtime_start_ns) / 1e3,
           t->map_edits, t->map_commits, t->map_ioctls);
    fflush(stdout);
    machine_free(a);
    machine_free(b);
}

int main(int argc, char **argv)
{
    unsigned devices, queues, runs;

    if (argc != 4 || (devices = (unsigned)atoi(argv[1])) == 0 ||
        (queues = (unsigned)atoi(argv[2])) == 0 || (runs = (unsigned)atoi(argv[3])) == 0) {
        fprintf(stderr, "usage: device-move DEVICES QUEUES RUNS\n");
        return 2;
    }

    g_autoptr(MachineConfig) c = kvm_config("host");
    g_autofree char *image = virtio_empty_image();

    virtio_config(c, devices, queues, image);
    for (unsigned i = 0; i < runs; i++) {
        measure(c, devices, queues, false);
        measure(c, devices, queues, true);
    }
    unlink(image);
    return 0;
}
