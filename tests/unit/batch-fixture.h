/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device load on its own, without the rest of a migration: the device sections of one machine as
 * a stream in memory, and another machine that loads them, with batch-vmstate-load or without. On
 * the test's thread, which is then both the machine's main thread and the incoming one.
 */
#ifndef TESTS_BATCH_FIXTURE_H
#define TESTS_BATCH_FIXTURE_H

#include <glib.h>

#include "machine-fixture.h"
#include "savevm.h"
#include "state.h"

/* An early reader does not end the test, unless that asks for it (memory_map_set_poison()). */
static inline void batch_setup(Machine *m, bool batched)
{
    const MigrationCapabilityChange on = { MIGRATION_CAP_BATCH_VMSTATE_LOAD, batched };

    memory_map_set_poison(m->memory, false);
    g_assert_true(gw_capabilities_set(m->migration, &on, 1, NULL));
}

static inline GByteArray *batch_save(Machine *m)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);

    g_strlcpy(m->migration->global_run_state, "running", 8);
    machine_lock(m);
    g_assert_true(savevm_state_complete_devices(m->migration, w, NULL, NULL));
    machine_unlock(m);
    stream_put_u8(w, QEMU_VM_EOF);
    return stream_writer_steal(w);
}

static bool batch_no_command(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                             uint16_t len, bool *quit, GError **errp)
{
    return false;
}

static inline bool batch_load(Machine *m, const GByteArray *bytes, GError **errp)
{
    static const LoadvmCommandOps ops = { .command = batch_no_command };
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "main");
    bool ok;

    g_assert_true(loadvm_setup(m->migration, NULL));
    ok = loadvm_elements(m->migration, r, &ops, NULL, errp) == LOADVM_EOF;
    loadvm_cleanup(m->migration);
    machine_lock(m);
    g_assert_cmpuint(memory_transaction_depth(m->memory), ==, 0);
    machine_unlock(m);
    return ok;
}

#endif
