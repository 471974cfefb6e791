/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes the receiving end: header, configuration and element loop on a machine of toy sections
 * that has every kind of vmstate field. The first byte of an input sets compatibility switches
 * (FUZZ_NO_FOOTERS, FUZZ_NO_CONFIGURATION), the rest is the stream. Any result is fine that is a
 * result: the fixture's lock and transaction must be closed, an error must say something.
 */
#include "toy-sections.h"

#include "fuzz-loadvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_command(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                       uint16_t len, bool *quit, GError **errp)
{
    *quit = cmd == 5;
    return cmd < 12 || gw_fail(errp, GW_ERROR_PROTOCOL, "MIG_CMD %#x unknown", cmd);
}

static void be_quiet(const gchar *domain, GLogLevelFlags level, const gchar *message,
                     gpointer opaque)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const LoadvmCommandOps ops = {.command = on_command};
    static const uint8_t uuid[16] = {0};
    g_autoptr(Engine) e = NULL;
    g_autoptr(ToySections) t = NULL;
    g_autoptr(StreamReader) r = NULL;
    g_autoptr(GError) err = NULL;
    LoadvmResult result = LOADVM_ERROR;

    if (size == 0) {
        return 0;
    }
    g_log_set_default_handler(be_quiet, NULL);
    e = engine_new("none", uuid);
    t = toy_sections_new(e);
    gw_compat_set(e->ms, "send-section-footer", !(data[0] & FUZZ_NO_FOOTERS), NULL);
    gw_compat_set(e->ms, "send-configuration", !(data[0] & FUZZ_NO_CONFIGURATION), NULL);
    r = stream_reader_new_mem(data + 1, size - 1, "main");
    if (loadvm_header(e->ms, r, &err) && loadvm_setup(e->ms, &err)) {
        result = loadvm_elements(e->ms, r, &ops, NULL, &err);
    }
    if (result == LOADVM_EOF) {
        loadvm_drain_vmdesc(r);
    }
    loadvm_cleanup(e->ms);
    g_assert_false(e->locked);
    g_assert_false(e->open);
    g_assert_true((result == LOADVM_ERROR) == (err != NULL));
    g_assert_true(!err || (*err->message && g_utf8_validate(err->message, -1, NULL)));
    return 0;
}
