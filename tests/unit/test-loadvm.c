/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is received: a whole stream; every error of spec stream 1.9 by its message; truncation at
 * every byte and damage to every byte; the phases of a device load and who holds the lock.
 */
#include "toy-sections.h"
#include "vmstate-helpers.h"

#include "channel-mem.h"

#define HEAD "5145564d 00000003 07 00000004 6e6f6e65 "
#define TIMER_BODY " 0000000000000001 0000000000000000 0000000000000002 "
#define TIMER "04 00000007 05'timer' 00000000 00000002" TIMER_BODY "7e 00000007 "
#define CHUNKS "01 00000003 06'chunks' 00000000 00000004 00000000 7e 00000003 "
#define TOY_HEAD "04 00000009 03'toy' 00000000 00000003 "
#define TOY_BODY "01 00000070 00 0000 00000000 00 00000000 00 00000000 30 30 "

typedef struct Load {
    Engine *engine;
    ToySections *toys;
    LoadvmResult result;
    GError *err;
    GString *commands;
} Load;

static void load_free(Load *l)
{
    g_clear_error(&l->err);
    g_string_free(l->commands, TRUE);
    toy_sections_free(l->toys);
    engine_free(l->engine);
    g_free(l);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Load, load_free)

static Load *load_new(const char *machine)
{
    Load *l = g_new0(Load, 1);

    l->engine = engine_new(machine, NULL);
    l->engine->log = g_string_new(NULL);
    l->toys = toy_sections_new(l->engine);
    l->commands = g_string_new(NULL);
    return l;
}

/* Command 5 ends the reader, 9 is refused. */
static bool on_command(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                       uint16_t len, bool *quit, GError **errp)
{
    Load *l = opaque;

    g_string_append_printf(l->commands, "%u:%u ", cmd, len);
    *quit = cmd == 5;
    return cmd != 9 || gw_fail(errp, GW_ERROR_PROTOCOL, "command 9 is refused");
}

static void run(Load *l, StreamReader *r)
{
    static const LoadvmCommandOps ops = {.command = on_command};

    l->result = LOADVM_ERROR;
    if (loadvm_header(l->engine->ms, r, &l->err) && loadvm_setup(l->engine->ms, &l->err)) {
        l->result = loadvm_elements(l->engine->ms, r, &ops, l, &l->err);
    }
    g_assert_cmpint(l->result == LOADVM_ERROR, ==, l->err != NULL);
    g_assert_false(l->engine->locked);
    g_assert_false(l->engine->open);
    if (l->result == LOADVM_EOF) {
        loadvm_drain_vmdesc(r);
    }
    loadvm_cleanup(l->engine->ms);
}

static void run_bytes(Load *l, const guint8 *bytes, size_t len)
{
    /* A copy of exact size: an overrun is seen by the sanitizer. */
    g_autofree guint8 *copy = g_memdup2(bytes, len);
    g_autoptr(StreamReader) r = stream_reader_new_mem(copy, len, "main");

    run(l, r);
}

static void run_text(Load *l, const char *text)
{
    g_autoptr(GByteArray) bytes = unhex(text);

    run_bytes(l, bytes->data, bytes->len);
}

static GByteArray *good_stream(void)
{
    g_autoptr(Load) l = load_new("none");

    toy_sections_fill(l->toys);
    return toy_stream(l->engine->ms);
}

static void test_whole(void)
{
    g_autoptr(GByteArray) bytes = good_stream(), again = NULL;
    g_autoptr(Load) l = load_new("none");

    run_bytes(l, bytes->data, bytes->len);
    g_assert_no_error(l->err);
    g_assert_cmpint(l->result, ==, LOADVM_EOF);
    g_assert_cmpuint(l->toys->chunks.loaded, ==, 3);
    g_assert_cmpuint(l->toys->chunks.load_setups, ==, 1);
    g_assert_cmpuint(l->toys->chunks.load_cleanups, ==, 1);
    g_assert_cmpint(l->toys->timer.clock, ==, 0x1122334455667788);
    /* What was loaded, saved again, is the same stream. */
    l->toys->chunks.left = 2;
    l->toys->toy.has_extra = true;
    again = toy_stream(l->engine->ms);
    g_assert_cmpmem(again->data, again->len, bytes->data, bytes->len);
}

/* Wherever the stream ends, it is an error that names the channel; the description after the end
 * may be cut. */
static void test_truncated(void)
{
    g_autoptr(GByteArray) bytes = good_stream();
    const guint8 *desc = memmem(bytes->data, bytes->len, "{\"configuration\"", 16);
    size_t end;

    g_assert_nonnull(desc);
    end = (size_t)(desc - bytes->data) - 5;
    for (size_t len = 0; len <= bytes->len; len++) {
        g_autoptr(Load) l = load_new("none");

        run_bytes(l, bytes->data, len);
        if (len < end) {
            g_assert_nonnull(l->err);
            /* A subsection whose name is cut belongs to nobody: its 0x05 is no footer. */
            g_assert_true(strstr(l->err->message, "main: stream ended") ||
                          strstr(l->err->message, "Missing section footer for toy"));
        } else {
            g_assert_no_error(l->err);
        }
    }
}

/* Any other byte in any place: an end of some sort, without harm. */
static void test_damaged(void)
{
    static const guint8 flips[] = {0x01, 0x04, 0x80, 0xff};
    g_autoptr(GByteArray) bytes = good_stream();

    for (size_t at = 0; at < bytes->len; at++) {
        for (guint i = 0; i < G_N_ELEMENTS(flips); i++) {
            g_autoptr(Load) l = load_new("none");

            bytes->data[at] ^= flips[i];
            run_bytes(l, bytes->data, bytes->len);
            bytes->data[at] ^= flips[i];
        }
    }
}

static void test_refused(void)
{
    static const struct {
        const char *stream, *message;
    } table[] = {
        {"5145564e 00000003", "Not a migration stream, magic: 5145564e != 5145564d"},
        {"5145564d 00000002", "version 2 is obsolete and not supported"},
        {"5145564d 00000004", "Unsupported migration stream version: 4 != 3"},
        {"5145564d 00000003 01", "Configuration section missing, 1 != 7"},
        {"5145564d 00000003 07 00000007 'microvm' 00",
         "Machine type received is 'microvm' and local is 'none'"},
        {"5145564d 00000003 07 00000002 'no' 00", "Machine type received is 'no'"},
        {"5145564d 00000003 07 00000000 00", "Machine type received is ''"},
        {"5145564d 00000003 07 00000005 'none2' 00", "Machine type received is 'none2'"},
        {"5145564d 00000003 07 ffffffff", "configuration/name: the stream claims"},
        {HEAD "05 1e'configuration/target-page-bits' 00000001 0000000d 00",
         "Received page bits 13 and local is 12"},
        {HEAD "05 1a'configuration/capabilities' 00000001 00000001 05'bogus' 00",
         "Received unknown capability bogus"},
        {HEAD "05 1a'configuration/capabilities' 00000001 00000001 0f'x-ignore-shared' 00",
         "Capability x-ignore-shared is off, but received capability is on"},
        {HEAD "05 1a'configuration/capabilities' 00000001 00000001 0a'mapped-ram' 00",
         "Capability mapped-ram is off, but received capability is on"},
        {HEAD "05 1a'configuration/capabilities' 00000001 ffffffff", "claims 4294967295"},
        {HEAD "05 13'configuration/bogus' 00000001 00",
         "VM subsection 'configuration/bogus' in 'configuration' does not exist"},
        {HEAD "05", "Unknown section type 5"},
        {HEAD "06 00000002 '{}'", "Unknown section type 6"},
        {HEAD "07 00000004 'none'", "Unknown section type 7"},
        {HEAD "7e 00000001", "Unknown section type 126"},
        {HEAD "ff", "Unknown section type 255"},
        {HEAD "04 00000001 03'foo' 00000000 00000001", "Unknown section or instance 'foo' 0"},
        {HEAD "04 00000001 05'timer' 00000001 00000001", "Unknown section or instance 'timer' 1"},
        {HEAD "04 00000001 00 00000000 00000001", "Unknown section or instance '' 0"},
        {HEAD "04 00000007 05'timer' 00000000 00000003", "unsupported version 3 for 'timer' v2"},
        {HEAD "04 00000007 05'timer' 00000000 80000000",
         "unsupported version 2147483648 for 'timer' v2"},
        {HEAD "04 00000007 05'timer' 00000000 00000000",
         "section 'timer' instance 0: timer: incoming version_id 0 is too old for local minimum "
         "version_id 1"},
        {HEAD "01 00000003 06'chunks' 00000000 00000005",
         "unsupported version 5 for 'chunks' v4"},
        {HEAD "01 00000007 05'timer' 00000000 00000002", "section 'timer' comes in rounds"},
        {HEAD "04 00000003 06'chunks' 00000000 00000004", "section 'chunks' comes in one piece"},
        {HEAD "02 00000003", "Unknown section 3"},
        {HEAD "02 00000000", "Unknown section 0"},
        {HEAD CHUNKS "03 00000004", "Unknown section 4"},
        {HEAD TIMER "02 00000007", "Unknown section 7"},
        {HEAD CHUNKS "04 00000003 05'timer' 00000000 00000002",
         "section id 3 of 'timer' is already that of 'chunks'"},
        {HEAD CHUNKS "02 00000003 00000041", "'chunks' instance 0: a chunk of 65 bytes"},
        {HEAD "04 00000007 05'timer' 00000000 00000002" TIMER_BODY "00",
         "Missing section footer for timer"},
        {HEAD "04 00000007 05'timer' 00000000 00000002" TIMER_BODY "7e 00000008",
         "Mismatched section id in footer for timer: got 8, expected 7"},
        {HEAD CHUNKS "02 00000003 00000000 7e 00000002",
         "Mismatched section id in footer for chunks: got 2, expected 3"},
        {HEAD TOY_HEAD "01 00000071", "section 'toy' instance 0: toy/model: "},
        {HEAD TOY_HEAD "01 00000070 05", "toy/items: the stream claims 5 elements"},
        {HEAD TOY_HEAD "01 00000070 01 65 0000", "toy: Input validation failed: item kinds"},
        {HEAD TOY_HEAD TOY_BODY "05 09'toy/other' 00000001 0009",
         "VM subsection 'toy/other' in 'toy' does not exist"},
        {HEAD TOY_HEAD TOY_BODY "05 09'toy/extra' 00000002 0009",
         "toy/extra: incoming version_id 2 is too new for local version_id 1"},
        {HEAD "08 0009 0000", "command 9 is refused"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(Load) l = load_new("none");

        run_text(l, table[i].stream);
        if (!l->err || !strstr(l->err->message, table[i].message)) {
            g_error("stream %u: '%s' does not say '%s'", i, l->err ? l->err->message : "(loaded)",
                    table[i].message);
        }
        g_assert_true(g_utf8_validate(l->err->message, -1, NULL));
    }
}

static void test_accepted(void)
{
    static const char *const table[] = {
        HEAD "00",
        HEAD TIMER "00",
        HEAD TIMER TIMER "00",
        HEAD TIMER CHUNKS "02 00000003 00000000 7e 00000003 00",
        HEAD TOY_HEAD TOY_BODY "7e 00000009" CHUNKS TIMER "00 06 00000002 '{}'",
        HEAD TIMER "00 06 ffffffff '{'",
        HEAD TIMER "00 55",
        HEAD "04 00000007 05'timer' 00000000 00000001 0000000000000001 0000000000000000"
             "7e 00000007 00",
        HEAD "05 1a'configuration/capabilities' 00000001 00000002 06'xbzrle' 07'multifd' 00",
        HEAD "05 1e'configuration/target-page-bits' 00000001 0000000c 00",
        HEAD "08 0001 0000 08 0002 0004 00000001 00",
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(Load) l = load_new("none");

        run_text(l, table[i]);
        g_assert_no_error(l->err);
        g_assert_cmpint(l->result, ==, LOADVM_EOF);
    }
}

static void test_commands(void)
{
    g_autoptr(Load) l = load_new("none");

    run_text(l, HEAD "08 0001 0000 08 0002 0004 00000001 08 0005 0000 ff");
    g_assert_no_error(l->err);
    g_assert_cmpint(l->result, ==, LOADVM_QUIT);
    g_assert_cmpstr(l->commands->str, ==, "1:0 2:4 5:0 ");
}

static void test_uuid(void)
{
    static const char text[] = HEAD "05 12'configuration/uuid' 00000001"
                                    "00112233445566778899aabbccddeeff 00";
    static const uint8_t other[16] = {1};
    g_autoptr(Load) l = load_new("none");

    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*00112233-4455-6677-8899-aabbccddeeff*");
    run_text(l, text);
    g_test_assert_expected_messages();
    g_assert_no_error(l->err);
    memcpy(l->engine->ms->uuid, other, sizeof(other));
    l->engine->ms->has_uuid = true;
    run_text(l, text);
    g_assert_nonnull(strstr(l->err->message,
                            "UUID received is 00112233-4455-6677-8899-aabbccddeeff and local is "
                            "01000000-0000-0000-0000-000000000000"));
}

static void test_compat(void)
{
    g_autoptr(Load) l = load_new("none");

    g_assert_true(gw_compat_set(l->engine->ms, "send-configuration", false, NULL));
    g_assert_true(gw_compat_set(l->engine->ms, "send-section-footer", false, NULL));
    run_text(l, "5145564d 00000003 04 00000007 05'timer' 00000000 00000002" TIMER_BODY "00");
    g_assert_no_error(l->err);
    g_assert_cmpint(l->toys->timer.clock, ==, 2);
    run_text(l, "5145564d 00000003" TIMER);
    g_assert_nonnull(strstr(l->err->message, "Unknown section type 126"));
}

/* Ids of one load mean nothing in the next. */
static void test_setup_forgets(void)
{
    g_autoptr(Load) l = load_new("none");

    run_text(l, HEAD CHUNKS "00");
    g_assert_no_error(l->err);
    run_text(l, HEAD "02 00000003 00000000 7e 00000003 00");
    g_assert_nonnull(strstr(l->err->message, "Unknown section 3"));
}

static void set_batched(Load *l)
{
    const MigrationCapabilityChange on = {MIGRATION_CAP_BATCH_VMSTATE_LOAD, true};

    g_assert_true(gw_capabilities_set(l->engine->ms, &on, 1, NULL));
    l->engine->batched = true;
}

static void test_phases(void)
{
    static const char text[] = HEAD TOY_HEAD TOY_BODY "7e 00000009 00";
    static const struct {
        size_t fail; /* offset of a bool in Toy */
        const char *single, *batched, *message;
    } table[] = {
        {0, "post_load apply post_commit ", "post_load begin apply commit post_commit ", NULL},
        {offsetof(Toy, fail_post_load), "post_load ", "post_load ",
         "toy: post_load does not like it"},
        {offsetof(Toy, fail_apply), "post_load apply ", "post_load begin apply abort ",
         "apply does not like it"},
        {offsetof(Toy, fail_post_commit), "post_load apply post_commit ",
         "post_load begin apply commit post_commit ", "post_commit does not like it"},
    };
    g_autoptr(Load) broken = load_new("none");

    for (guint i = 0; i < 2 * G_N_ELEMENTS(table); i++) {
        g_autoptr(Load) l = load_new("none");
        const guint row = i / 2;

        if (i % 2) {
            set_batched(l);
        }
        if (table[row].fail) {
            *(bool *)((char *)&l->toys->toy + table[row].fail) = true;
        }
        run_text(l, text);
        g_assert_cmpstr(l->engine->log->str, ==, i % 2 ? table[row].batched : table[row].single);
        if (table[row].message) {
            g_assert_nonnull(strstr(l->err->message, "section 'toy' instance 0: "));
            g_assert_nonnull(strstr(l->err->message, table[row].message));
        } else {
            g_assert_no_error(l->err);
        }
    }
    set_batched(broken);
    broken->engine->fail_commit = true;
    run_text(broken, text);
    g_assert_cmpstr(broken->engine->log->str, ==, "post_load begin apply commit ");
    g_assert_nonnull(strstr(broken->err->message, "no memory slot is left"));
}

#define TOY TOY_HEAD TOY_BODY "7e 00000009 "
#define PHASES "begin apply commit post_commit "

/* A batch ends where something else than a device comes; what comes twice is applied once; after an
 * error the next load is like the first. */
static void test_batches(void)
{
    static const struct {
        const char *text, *log;
        LoadvmResult result;
    } table[] = {
        {HEAD TIMER TOY TIMER TOY "00", "post_load post_load " PHASES, LOADVM_EOF},
        {HEAD TOY "08 0005 0000", "post_load " PHASES, LOADVM_QUIT},
        {HEAD TOY CHUNKS TOY "00", "post_load " PHASES "post_load " PHASES, LOADVM_EOF},
        {HEAD TOY "7e", "post_load ", LOADVM_ERROR},
        {HEAD TOY "04 00000007 05'timer' 00000000 00000002 00", "post_load ", LOADVM_ERROR},
        {HEAD "00", "", LOADVM_EOF},
    };
    g_autoptr(Load) l = load_new("none");

    set_batched(l);
    for (guint i = 0; i < 2 * G_N_ELEMENTS(table); i++) {
        const guint row = i % G_N_ELEMENTS(table);

        g_string_truncate(l->engine->log, 0);
        g_clear_error(&l->err);
        run_text(l, table[row].text);
        g_assert_cmpint(l->result, ==, table[row].result);
        g_assert_cmpstr(l->engine->log->str, ==, table[row].log);
    }
}

/* A channel that gives one byte at a time and looks whether the machine lock is held meanwhile. */
typedef struct Dripping {
    Engine *engine;
    const GByteArray *bytes;
    size_t pos;
} Dripping;

static ssize_t drip_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    Dripping *d = opaque;

    g_assert_false(d->engine->locked);
    if (d->pos == d->bytes->len) {
        return 0;
    }
    *(guint8 *)iov[0].iov_base = d->bytes->data[d->pos++];
    return 1;
}

static void drip_shutdown(void *opaque)
{
}

static int drip_wait_readable(void *opaque, int timeout_ms, GError **errp)
{
    return 1;
}

static void test_lock_is_free(void)
{
    static const GwChannelOps ops = {
        .size = sizeof(ops),
        .readv = drip_readv,
        .shutdown = drip_shutdown,
        .wait_readable = drip_wait_readable,
    };
    g_autoptr(GByteArray) bytes = good_stream();
    g_autoptr(Load) l = load_new("none");
    Dripping d = {.engine = l->engine, .bytes = bytes};
    g_autoptr(GwChannel) ch = gw_channel_new(&ops, &d, 0, "main");
    g_autoptr(StreamReader) r = stream_reader_new(ch);

    run(l, r);
    g_assert_no_error(l->err);
    g_assert_cmpuint(d.pos, ==, bytes->len);
}

/* A peer that sends no description, but keeps the channel open, is not waited for: a wait
 * would end with the harness. */
static void test_no_vmdesc(void)
{
    g_autoptr(GByteArray) bytes = unhex(HEAD TIMER "00");
    g_autoptr(Load) l = load_new("none");
    g_autoptr(GwChannel) a = NULL;
    g_autoptr(GwChannel) b = NULL;
    g_autoptr(StreamReader) r = NULL;

    g_assert_true(gw_channel_mem_pair(1000, &a, &b));
    g_assert_true(gw_channel_write_all(a, bytes->data, bytes->len, NULL));
    r = stream_reader_new(b);
    run(l, r);
    g_assert_no_error(l->err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loadvm/whole", test_whole);
    g_test_add_func("/loadvm/truncated", test_truncated);
    g_test_add_func("/loadvm/damaged", test_damaged);
    g_test_add_func("/loadvm/refused", test_refused);
    g_test_add_func("/loadvm/accepted", test_accepted);
    g_test_add_func("/loadvm/commands", test_commands);
    g_test_add_func("/loadvm/uuid", test_uuid);
    g_test_add_func("/loadvm/compat", test_compat);
    g_test_add_func("/loadvm/setup-forgets", test_setup_forgets);
    g_test_add_func("/loadvm/phases", test_phases);
    g_test_add_func("/loadvm/batches", test_batches);
    g_test_add_func("/loadvm/lock-is-free", test_lock_is_free);
    g_test_add_func("/loadvm/no-vmdesc", test_no_vmdesc);
    return g_test_run();
}
