/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the destination needs to load N devices with Q queues each, edit by edit and batched:
 *
 *     device-load DEVICES QUEUES RUNS stay|move|virtio
 *
 * The device is the tests': it takes its window and ioeventfds away and puts them where the source
 * had them: where they are ("stay"), or where its neighbour's were ("move"). Or it is a virtio-blk
 * of a microvm whose guest was at DRIVER_OK: its queues get their ioeventfds. The stream is in
 * memory, so what is timed is decode to post-commit, on KVM. One line of JSON per run and mode.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/kvm-fixture.h"
#include "../tests/unit/window-device.h"
#include "load-virtio.h"
#include "savevm.h"
#include "state.h"

typedef struct Bench {
    unsigned devices, queues, runs;
    bool move, virtio;
} Bench;

static Machine *machine_with_devices(const MachineConfig *c, const Bench *b,
                                     WindowDevice **devices)
{
    Machine *m = kvm_machine(c);

    machine_lock(m);
    for (unsigned i = 0; i < b->devices && !b->virtio; i++) {
        devices[i] = window_new(m, i, b->queues);
    }
    machine_unlock(m);
    return m;
}

static GByteArray *make_stream(const MachineConfig *c, const Bench *b)
{
    g_autofree WindowDevice **devices = g_new(WindowDevice *, b->devices);
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    Machine *m = machine_with_devices(c, b, devices);

    for (unsigned i = 0; i < b->devices; i++) {
        if (b->virtio) {
            virtio_drive(m, i, b->queues);
            continue;
        }
        devices[i]->base = WINDOW_BASE + (i + b->move) % b->devices * WINDOW_SIZE;
        for (unsigned q = 0; q < b->queues; q++) {
            devices[i]->ring[q] = 0x10000 + (i * WINDOW_QUEUES + q) * WINDOW_RING;
        }
    }
    g_strlcpy(m->migration->global_run_state, "running", 8);
    machine_lock(m);
    g_assert_true(savevm_state_complete_devices(m->migration, w, NULL, NULL));
    machine_unlock(m);
    stream_put_u8(w, QEMU_VM_EOF);
    machine_free(m);
    return stream_writer_steal(w);
}

static bool no_command(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                       uint16_t len, bool *quit, GError **errp)
{
    return false;
}

static void measure(const MachineConfig *c, const Bench *b, const GByteArray *bytes, bool batched)
{
    static const LoadvmCommandOps ops = { .command = no_command };
    const MigrationCapabilityChange on = { MIGRATION_CAP_BATCH_VMSTATE_LOAD, batched };
    g_autofree WindowDevice **devices = g_new(WindowDevice *, b->devices);
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "main");
    g_autoptr(GError) err = NULL;
    Machine *m = machine_with_devices(c, b, devices);
    const MigrationBlackout *t = &m->migration->in.blackout;

    g_assert_true(gw_capabilities_set(m->migration, &on, 1, NULL));
    g_assert_true(loadvm_setup(m->migration, NULL));

    const int64_t start = ms_now_ns(m->migration);
    const LoadvmResult result = loadvm_elements(m->migration, r, &ops, NULL, &err);
    const int64_t end = ms_now_ns(m->migration);

    g_assert_no_error(err);
    g_assert_cmpint(result, ==, LOADVM_EOF);
    printf("{\"devices\": %u, \"queues\": %u, \"batched\": %s, \"load_us\": %.1f, "
           "\"decode_us\": %.1f, \"apply_us\": %.1f, \"commit_us\": %.1f, "
           "\"post_commit_us\": %.1f, \"edits\": %" PRIu64 ", \"commits\": %" PRIu64
           ", \"ioctls\": %" PRIu64 "}\n",
           b->devices, b->queues, batched ? "true" : "false",
           (double)(end - start) / 1e3, (double)t->decode_ns / 1e3, (double)t->apply_ns / 1e3,
           (double)t->commit_ns / 1e3, (double)t->post_commit_ns / 1e3, t->map_edits,
           t->map_commits, t->map_ioctls);
    fflush(stdout);
    loadvm_cleanup(m->migration);
    machine_free(m);
}

int main(int argc, char **argv)
{
    Bench b = { 0 };

    if (argc != 5 || (b.devices = (unsigned)atoi(argv[1])) == 0 ||
        (b.queues = (unsigned)atoi(argv[2])) == 0 || b.queues > WINDOW_QUEUES ||
        (b.runs = (unsigned)atoi(argv[3])) == 0) {
        fprintf(stderr, "usage: device-load DEVICES QUEUES(1-%d) RUNS stay|move|virtio\n",
                WINDOW_QUEUES);
        return 2;
    }
    b.move = strcmp(argv[4], "move") == 0;
    b.virtio = strcmp(argv[4], "virtio") == 0;

    g_autoptr(MachineConfig) c = kvm_config("host");
    g_autofree char *image = b.virtio ? virtio_empty_image() : NULL;

    if (b.virtio) {
        virtio_config(c, b.devices, b.queues, image);
    }
    g_autoptr(GByteArray) bytes = make_stream(c, &b);

    for (unsigned i = 0; i < b.runs; i++) {
        measure(c, &b, bytes, false);
        measure(c, &b, bytes, true);
    }
    if (image) {
        unlink(image);
    }
    return 0;
}
