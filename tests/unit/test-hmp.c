/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: what lines print, the shapes that scripts take apart, the prompt, waiting, completion. */
#include "monitor-fixture.h"

#include "hmp-run.h"

typedef struct Case {
    const char *line, *text;
} Case;

static const Case cases[] = {
    {"", ""},
    {"# a comment", ""},
    {"bogus", "unknown command: 'bogus'\r\n"},
    {"info bogus", "unknown command: 'info bogus'\r\n"},
    {"info status", "VM status: paused (prelaunch)\r\n"},
    {"info name", "tester\r\n"},
    {"info uuid", "00000000-0000-0000-0000-000000000000\r\n"},
    {"info kvm", "kvm support: disabled\r\n"},
    {"info migrate", ""},
    {"info migrate x", "migrate: extraneous characters at the end of line\r\n"
                       "Try \"help info migrate\" for more information\r\n"},
    {"stop x", "stop|s: extraneous characters at the end of line\r\n"
               "Try \"help stop\" for more information\r\n"},
    {"help stop", "stop|s  -- stop emulation\r\n"},
    {"? stop", "stop|s  -- stop emulation\r\n"},
    {"help bogus", "unknown command: 'bogus'\r\n"},
    {"help info status", "info status  -- show the current VM status (running|paused)\r\n"},
    {"migrate", "migrate: string expected\r\nTry \"help migrate\" for more information\r\n"},
    {"migrate -d", "migrate: string expected\r\nTry \"help migrate\" for more information\r\n"},
    {"migrate -x foo",
     "migrate: unsupported option -x\r\nTry \"help migrate\" for more information\r\n"},
    {"migrate -r -d tcp:h:1", "Error: Cannot resume if there is no paused migration\r\n"},
    {"migrate bogus:", "Error: unknown migration protocol: bogus:\r\n"},
    {"migrate_cancel", ""},
    {"migrate_continue pre-switchover", "Error: Migration not in expected state: none\r\n"},
    {"migrate_continue bogus", "Error: invalid parameter value: bogus\r\n"},
    {"migrate_incoming tcp:0:0", "Error: '-incoming' was not specified on the command line\r\n"},
    {"migrate_start_postcopy",
     "Error: Enable postcopy with migrate_set_capability before the start of migration\r\n"},
    {"migrate_pause", "Error: migrate-pause is currently only supported during postcopy-active or "
                      "postcopy-recover state\r\n"},
    {"migrate_recover", "migrate_recover: string expected\r\n"
                        "Try \"help migrate_recover\" for more information\r\n"},
    {"migrate_recover tcp:127.0.0.1:0",
     "Error: Migrate recover can only be run when postcopy is paused.\r\n"},
    {"migrate_set_capability bogus on", "Error: invalid parameter value: bogus\r\n"},
    {"migrate_set_capability events maybe",
     "Expected 'on' or 'off'\r\nTry \"help migrate_set_capability\" for more information\r\n"},
    {"migrate_set_capability events on", ""},
    {"migrate_set_parameter bogus 1", "Error: invalid parameter value: bogus\r\n"},
    {"migrate_set_parameter max-bandwidth foo", "Error: Invalid size foo\r\n"},
    {"migrate_set_parameter max-bandwidth -1", "Error: Invalid size -1\r\n"},
    {"migrate_set_parameter downtime-limit 2000001",
     "Error: Option downtime-limit expects an integer in the range of 0 to (2000 * 1000) ms\r\n"},
    {"migrate_set_parameter tls-creds \"a b\"", ""},
    {"migrate_set_parameter tls-creds \"a", "unterminated string\r\n"
     "Try \"help migrate_set_parameter\" for more information\r\n"},
    {"xp", "unexpected end of expression\r\nTry \"help xp\" for more information\r\n"},
    {"xp /4z 0", "invalid char in format: 'z'\r\nTry \"help xp\" for more information\r\n"},
    {"xp /4xb bogus", "invalid char 'b' in expression\r\nTry \"help xp\" for more information\r\n"},
    {"xp /4xb 1/0", "division by zero\r\nTry \"help xp\" for more information\r\n"},
    {"xp /4xb (1", "')' expected\r\nTry \"help xp\" for more information\r\n"},
    {"xp /4xb 0x10000000000000000",
     "number too large\r\nTry \"help xp\" for more information\r\n"},
    {"xp /65537xb 0",
     "count is limited to 65536\r\nTry \"help xp\" for more information\r\n"},
    {"xp /99999999999999999999xb 0",
     "count is limited to 65536\r\nTry \"help xp\" for more information\r\n"},
    {"xp /4xb 0x100000000000", "0000100000000000: Cannot access memory\r\n"},
    {"x /4xb 0", "No CPU available\r\n"},
    {"pmemsave 0 4 /nonexistent/x",
     "Error: Could not open '/nonexistent/x': No such file or directory\r\n"},
    {"pmemsave 0 4",
     "pmemsave: string expected\r\nTry \"help pmemsave\" for more information\r\n"},
};

static char *run(Fixture *f, const char *line)
{
    bool quit;

    return hmp_run_line(f->set, line, 0, &quit);
}

static void test_cases(Fixture *f, gconstpointer data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = run(f, cases[i].line);

        g_test_message("%s", cases[i].line);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static uint8_t memory[8192] __attribute__((aligned(4096)));

static void add_memory(Fixture *f)
{
    RAMBlockInfo info = {.idstr = "test.ram", .host = memory, .used_length = sizeof(memory),
                         .max_length = sizeof(memory), .page_size = 4096, .fd = -1};
    MemoryRange range = {.type = MEMORY_RANGE_RAM, .gpa = 0x1000, .size = sizeof(memory),
                         .name = "ram"};
    g_autoptr(GError) err = NULL;

    machine_lock(&f->m);
    range.block = gw_ram_block_add(f->m.migration, &info, &err);
    g_assert_no_error(err);
    memory_transaction_begin(f->m.memory);
    memory_map_add(f->m.memory, &range, &err);
    g_assert_no_error(err);
    memory_transaction_commit(f->m.memory, &err);
    g_assert_no_error(err);
    machine_unlock(&f->m);
}

/* The columns as stock QEMU 7.2 prints them for the same bytes. */
static void test_memory(Fixture *f, gconstpointer data)
{
    static const uint8_t bytes[16] = {0x7f, 0x22, 0x27, 0x5c, 0x08, 0x09, 0x0a, 0x0d,
                                      0xff, 0xff, 0x66, 0x90, 0x90, 0x90, 0x66, 0x90};
    static const Case dumps[] = {
        {"xp /16cb 0x1000",
         "0000000000001000: '\\x7f' '\"' '\\'' '\\\\' '\\x08' '\\x09' '\\n' '\\r'\r\n"
         "0000000000001008: '\\xff' '\\xff' 'f' '\\x90' '\\x90' '\\x90' 'f' '\\x90'\r\n"},
        {"xp /9xb 0x1000", "0000000000001000: 0x7f 0x22 0x27 0x5c 0x08 0x09 0x0a 0x0d\r\n"
                           "0000000000001008: 0xff\r\n"},
        {"xp /2xg 0x1000", "0000000000001000: 0x0d0a09085c27227f 0x906690909066ffff\r\n"},
        {"xp /4dw 0x1008",
         "0000000000001008: 2422669311 2422640784          0          0\r\n"},
        {"xp /2dg 0x1008", "0000000000001008: -8041581134051082241                    0\r\n"},
        {"xp /2ug 0x1008", "0000000000001008: 10405162939658469375                    0\r\n"},
        {"xp /4ob 0x1008", "0000000000001008: 0377 0377 0146 0220\r\n"},
        {"xp/2og 0x1008", "0000000000001008: 01101464411022031577777                      0\r\n"},
        {"xp /3xh 0x1000+4*2", "0000000000001008: 0xffff 0x9066 0x9090\r\n"},
        {"xp 0x1008", "0000000000001008: 0x9066ffff\r\n"},
        {"xp /0xb 0x1000", ""},
        {"xp /2xg 0x2ff8", "0000000000002ff8: Cannot access memory\r\n"},
    };

    memcpy(memory, bytes, sizeof(bytes));
    add_memory(f);
    for (size_t i = 0; i < G_N_ELEMENTS(dumps); i++) {
        g_autofree char *text = run(f, dumps[i].line);

        g_assert_cmpstr(text, ==, dumps[i].text);
    }
}

static void test_pmemsave(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "hmp-XXXXXX", NULL), *got = NULL;
    g_autofree char *line = NULL, *text = NULL;
    int fd = g_mkstemp(path);
    gsize len;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    memset(memory, 0x5a, sizeof(memory));
    add_memory(f);
    line = g_strdup_printf("pmemsave 0x1800 0x1000 \"%s\"", path);
    text = run(f, line);
    g_assert_cmpstr(text, ==, "");
    g_assert_true(g_file_get_contents(path, &got, &len, NULL));
    unlink(path);
    g_assert_cmpuint(len, ==, 0x1000);
    g_assert_cmpmem(got, len, memory, len);
}

static void test_units(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *value;
        uint64_t bytes;
    } units[] = {{"1", 1048576}, {"1k", 1024}, {"2M", 2097152}, {"1G", 1073741824}, {"0", 0}};

    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        g_autofree char *line = g_strdup_printf("migrate_set_parameter max-bandwidth %s",
                                                units[i].value);
        g_autofree char *text = run(f, line);

        g_assert_cmpstr(text, ==, "");
        g_assert_cmpuint(gw_param_get(f->m.migration, MIGRATION_PARAM_MAX_BANDWIDTH), ==,
                         units[i].bytes);
    }
    g_free(run(f, "migrate_set_parameter max-postcopy-bandwidth 5"));
    g_assert_cmpuint(gw_param_get(f->m.migration, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH), ==, 5);
}

static void test_options(Fixture *f, gconstpointer data)
{
    g_autofree char *caps = run(f, "info migrate_capabilities");
    g_autofree char *params = run(f, "info migrate_parameters");
    g_auto(GStrv) lines = g_strsplit(caps, "\r\n", -1);

    for (int i = 0; i < MIGRATION_CAP__COUNT; i++) {
        g_autofree char *want = g_strdup_printf("%s: off", gw_capability_desc(i)->name);

        g_assert_cmpstr(lines[i], ==, want);
    }
    g_assert_nonnull(strstr(params, "announce-initial: 50 ms\r\n"));
    g_assert_nonnull(strstr(params, "tls-creds: ''\r\n"));
    g_assert_nonnull(strstr(params, "max-bandwidth: 134217728 bytes/second\r\n"));
    g_assert_nonnull(strstr(params, "downtime-limit: 300 ms\r\n"));
}

static HmpMonitor *new_client(Fixture *f)
{
    HmpMonitor *mon = hmp_monitor_new(f->set, fixture_write, f, false);

    hmp_monitor_open(mon);
    g_assert_true(g_str_has_suffix(f->out->str, "\r\n(qemu) "));
    g_string_truncate(f->out, 0);
    return mon;
}

static void type(Fixture *f, HmpMonitor *mon, const char *keys)
{
    hmp_monitor_input(mon, keys, strlen(keys));
}

static void test_client(Fixture *f, gconstpointer data)
{
    HmpMonitor *mon = new_client(f);

    type(f, mon, "info na");
    g_assert_cmpstr(f->out->str, ==, "");
    type(f, mon, "me\r\ninfo name\n\n");
    g_assert_cmpstr(f->out->str, ==, "tester\r\n(qemu) tester\r\n(qemu) (qemu) ");
    hmp_monitor_free(mon);
}

/* Without -d the prompt, and what was typed ahead, wait for the end of the migration. */
static void test_wait(Fixture *f, gconstpointer data)
{
    HmpMonitor *mon = new_client(f);
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    type(f, mon, "migrate unix:/nonexistent/x\ninfo name\n");
    g_assert_cmpstr(f->out->str, ==, "");
    while (!strstr(f->out->str, "tester") && g_get_monotonic_time() < end) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpstr(f->out->str, ==, "Error: Failed to connect to '/nonexistent/x': "
                                     "No such file or directory\r\n(qemu) tester\r\n(qemu) ");
    g_string_truncate(f->out, 0);
    type(f, mon, "info migrate\n");
    g_assert_cmpstr(f->out->str, ==, "Status: \t\tfailed (Failed to connect to '/nonexistent/x': "
                                     "No such file or directory)\r\n(qemu) ");
    hmp_monitor_free(mon);
}

static void test_long_line(Fixture *f, gconstpointer data)
{
    HmpMonitor *mon = new_client(f);
    g_autofree char *keys = g_strnfill(200000, 'a');

    type(f, mon, keys);
    type(f, mon, "\ninfo name\n");
    g_assert_true(g_str_has_suffix(f->out->str, "tester\r\n(qemu) "));
    hmp_monitor_free(mon);
}

static char *completions(const char *line)
{
    size_t start;
    g_autoptr(GPtrArray) words = hmp_complete(line, &start);

    g_ptr_array_add(words, NULL);
    return g_strjoinv(" ", (char **)words->pdata);
}

static void test_completion(Fixture *f, gconstpointer data)
{
    static const Case lines[] = {
        {"migrate_se", "migrate_set_capability migrate_set_parameter"},
        {"migrate_set_capability ev", "events"},
        {"migrate_set_capability events o", "off on"},
        {"migrate_set_parameter downtime-limit ", ""},
        {"info migrate_", "migrate_capabilities migrate_parameters"},
        {"bogus ", ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *got = completions(lines[i].line);

        g_assert_cmpstr(got, ==, lines[i].text);
    }
}

static void test_sizes(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {{0, "0 B"}, {4096, "4 KiB"}, {66584576, "63.5 MiB"}, {67174400, "64.1 MiB"},
                 {558421, "545 KiB"}, {51675136, "49.3 MiB"}, {999, "999 B"},
                 {1023 * 1024, "0.999 MiB"}, {UINT64_MAX, "16 EiB"}};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = hmp_size_text(sizes[i].bytes);

        g_assert_cmpstr(text, ==, sizes[i].text);
    }
}

static void test_times(void)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } times[] = {{0, "0 ns"}, {999, "999 ns"}, {1000, "1 us"}, {45384, "45.4 us"},
                 {999499, "999 us"}, {999600, "1 ms"}, {13900000, "13.9 ms"},
                 {5000000000, "5 s"}, {7200000000000, "7200 s"}};

    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        g_autofree char *text = hmp_time_text(times[i].ns);

        g_assert_cmpstr(text, ==, times[i].text);
    }
}

/* What a destination shows of a postcopy: a summary, and with -a a picture. */
static void test_latency(void)
{
    static const MigrationLatency l = {
        .faults = 1041, .mean_ns = 66100, .p50_ns = 31999, .p99_ns = 2047999, .max_ns = 3910000,
        .dist = {[0] = 1, [4] = 1000, [5] = 30, [10] = 9, [23] = 1}, .nr_vcpus = 2,
        .vcpu_mean_ns = {0, 50100}, .vcpu_blocktime_ms = {0, 129}, .non_vcpu_mean_ns = 114000,
        .blocktime_ms = 7, .request_ns = 6130, .transfer_ns = 45400, .place_ns = 14600,
    };
    static const MigrationLatency empty = {.nr_vcpus = 1};
    HmpCall call = {.out = g_string_new(NULL)};

    hmp_put_latency(&call, &l);
    hmp_put_blocktime(&call, &l);
    g_assert_cmpstr(call.out->str, ==,
                    "Page faults: \t\tcount=1041, mean=66.1 us, p50<=32 us, p99<=2.05 ms, "
                    "max=3.91 ms\n"
                    "  Time went to: \trequest=6.13 us, transfer=45.4 us, place=14.6 us\n"
                    "postcopy blocktime: 7 ms\n"
                    "postcopy vcpu blocktime: 0, 129 ms\n");
    g_string_truncate(call.out, 0);
    hmp_put_latency_all(&call, &l);
    g_assert_true(g_str_has_prefix(
        call.out->str, "postcopy vcpu latency: 0 ns, 50.1 us\n"
                       "postcopy non-vcpu latency: 114 us\n"
                       "postcopy latency distribution:\n"
                       "       0 .. 2 us          1 #\n"
                       "    2 us .. 4 us          0\n"));
    g_assert_nonnull(strstr(call.out->str, "   16 us .. 32 us      1000 "
                            "########################################\n"
                            "   32 us .. 64 us        30 ##\n"));
    g_assert_nonnull(strstr(call.out->str, "  512 us .. 1 ms          0\n"
                                           "    1 ms .. 2 ms          9 #\n"));
    g_assert_true(g_str_has_suffix(call.out->str, "     8 s ..               1 #\n"));
    g_string_truncate(call.out, 0);
    hmp_put_latency(&call, &empty);
    hmp_put_latency_all(&call, &empty);
    g_assert_cmpstr(call.out->str, ==, "Page faults: \t\tcount=0\n"
                                       "postcopy vcpu latency: 0 ns\n"
                                       "postcopy non-vcpu latency: 0 ns\n");
    g_string_free(call.out, TRUE);
}

static void test_preempt(void)
{
    static const MigrationPreemptInfo all = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, urgent = {10};
    HmpCall call = {.out = g_string_new(NULL)};

    hmp_put_preempt(&call, &urgent);
    hmp_put_preempt(&call, &all);
    g_assert_cmpstr(call.out->str, ==,
                    "  Urgent Pages: \tpreempt=10\n"
                    "  Urgent Pages: \tpreempt=1\n"
                    "    Hints: \t\toffered=2, consumed=3, hit=4, dropped=5\n"
                    "    Prefetch: \t\toffered=6, sent=7, hit=8, useless=9, ahead=10\n");
    g_string_free(call.out, TRUE);
}

/* The line that `migrate` draws and `info migrate` say the same of a migration's end. */
static void test_outlook(void)
{
    HmpCall call = {.out = g_string_new("")};
    MigrationInfo info = {.has_expected_end = true, .expected_end = 3240,
                          .expected_total_time = 5000};
    g_autofree char *ends = hmp_outlook_text(&info);
    g_autofree char *stays = NULL, *unknown = NULL;

    hmp_put_outlook(&call, &info);
    info = (MigrationInfo){.has_will_converge = true, .will_converge_reason = "too busy; wait"};
    stays = hmp_outlook_text(&info);
    hmp_put_outlook(&call, &info);
    info = (MigrationInfo){.status = MIGRATION_STATUS_ACTIVE};
    unknown = hmp_outlook_text(&info);
    hmp_put_outlook(&call, &info);
    g_assert_cmpstr(ends, ==, ", ends in 3.2 s");
    g_assert_cmpstr(stays, ==, ", will not converge");
    g_assert_cmpstr(unknown, ==, "");
    g_assert_cmpstr(call.out->str, ==, "Expected end (ms): \tin 3240, total=5000\n"
                    "Will converge: \t\tno\n  too busy; wait\n");
    g_string_free(call.out, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/hmp/" name, Fixture, NULL, fixture_setup, fn, fixture_teardown)
    ADD("cases", test_cases);
    ADD("memory", test_memory);
    ADD("pmemsave", test_pmemsave);
    ADD("units", test_units);
    ADD("options", test_options);
    ADD("client", test_client);
    ADD("wait", test_wait);
    ADD("long-line", test_long_line);
    ADD("completion", test_completion);
    g_test_add_func("/hmp/sizes", test_sizes);
    g_test_add_func("/hmp/times", test_times);
    g_test_add_func("/hmp/latency", test_latency);
    g_test_add_func("/hmp/preempt", test_preempt);
    g_test_add_func("/hmp/outlook", test_outlook);
    return g_test_run();
}
