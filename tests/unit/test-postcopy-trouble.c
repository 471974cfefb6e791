/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trouble on the destination of a postcopy, between two engines in one process: faults that are no
 * longer noticed, a device load that waits for a page while the connection is broken, memory that
 * the source does not have. And a source that sleeps when the switch is asked for, or that may send
 * less than a part per window.
 */
#include "postcopy-fixture.h"

#include "ram-load.h"

#define PAGES 2048

static void fill(ToyMachine *m)
{
    for (size_t i = 0; i < m->ram_size / 8; i++) {
        ((uint64_t *)m->ram)[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static void make_pair(ToyMachine **src, ToyMachine **dst)
{
    *src = toy_machine_new(PAGES, false);
    *dst = toy_machine_new(PAGES, true);
    fill(*src);
    toy_start(*src, NULL);
    toy_set_param(*src, MIGRATION_PARAM_MAX_BANDWIDTH, 1 << 20);
    toy_set_param(*src, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH, 1);
}

/* Waits for the page if it is missing. */
__attribute__((no_sanitize("thread"), noinline)) static uint8_t touch(ToyMachine *m, size_t page)
{
    return *(volatile uint8_t *)(m->ram + page * GW_TARGET_PAGE_SIZE);
}

/* ---- a fault source that fails once ---- */

static bool fail_next; /* atomic */

static int failing_wait(void *fs, MigrationFault *faults, int n, int timeout_ms, GError **errp)
{
    if (__atomic_exchange_n(&fail_next, false, __ATOMIC_ACQ_REL)) {
        g_set_error(errp, g_quark_from_static_string("toy"), 1,
                    "the toy fault source is out of order");
        return -1;
    }
    return gw_fault_source_userfaultfd()->wait(fs, faults, n, 1, errp);
}

static gpointer touch_last(gpointer dst)
{
    touch(dst, PAGES - 1);
    return NULL;
}

static void test_faults_fail(void)
{
    ToyMachine *src, *dst;
    MigrationFaultOps ops = *gw_fault_source_userfaultfd();
    g_autofree char *why = NULL;
    GThread *toucher;

    if (!postcopy_possible()) {
        return;
    }
    make_pair(&src, &dst);
    ops.wait = failing_wait;
    dst->ms->fault_ops = &ops;
    postcopy_begin(src, dst);
    postcopy_wait(src, dst, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    __atomic_store_n(&fail_next, true, __ATOMIC_RELEASE);
    postcopy_wait(src, dst, MIGRATION_STATUS_POSTCOPY_PAUSED);
    toy_in_status(dst, &why);
    g_assert_nonnull(strstr(why, "no longer noticed: the toy fault source is out of order"));
    toucher = g_thread_new("toucher", touch_last, dst); /* nobody notices, until the recovery */
    postcopy_recover(src, dst);
    g_thread_join(toucher);
    postcopy_complete(src, dst);
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* ---- a device load that touches memory ---- */

typedef struct Toucher {
    ToyMachine *m;
    uint32_t value;
    bool paused, touched; /* atomic */
} Toucher;

static bool pause_and_touch(void *opaque, int version_id, GError **errp)
{
    Toucher *t = opaque;
    GError *err = NULL;

    gw_migrate_pause(t->m->ms, &err);
    g_assert_no_error(err);
    while (toy_in_status(t->m, NULL) != MIGRATION_STATUS_POSTCOPY_PAUSED) {
        g_usleep(500);
    }
    __atomic_store_n(&t->paused, true, __ATOMIC_RELEASE);
    touch(t->m, PAGES - 1);
    __atomic_store_n(&t->touched, true, __ATOMIC_RELEASE);
    return true;
}

static const VMStateDescription vmstate_toucher = {
    .name = "toucher",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = pause_and_touch,
    .fields = (const VMStateField[]){VMSTATE_UINT32(value, Toucher), VMSTATE_END},
};

static void add_toucher(Toucher *t, ToyMachine *m)
{
    GError *err = NULL;

    *t = (Toucher){.m = m};
    gw_vmstate_register(m->ms, NULL, 0, &vmstate_toucher, t, MIGRATION_PRIORITY_DEFAULT, &err);
    g_assert_no_error(err);
}

static void wait_both_paused(ToyMachine *src, ToyMachine *dst, const Toucher *t)
{
    postcopy_wait(src, dst, MIGRATION_STATUS_POSTCOPY_PAUSED);
    while (!__atomic_load_n(&t->paused, __ATOMIC_ACQUIRE)) {
        g_usleep(500);
    }
    g_assert_false(__atomic_load_n(&t->touched, __ATOMIC_ACQUIRE));
}

static void test_load_faults(gconstpointer data)
{
    const bool preempt = GPOINTER_TO_UINT(data);
    ToyMachine *src, *dst;
    Toucher there, here;

    if (!postcopy_possible()) {
        return;
    }
    make_pair(&src, &dst);
    toy_set_cap(src, MIGRATION_CAP_POSTCOPY_RAM, true);
    toy_set_cap(dst, MIGRATION_CAP_POSTCOPY_RAM, true);
    toy_set_cap(src, MIGRATION_CAP_POSTCOPY_PREEMPT, preempt);
    toy_set_cap(dst, MIGRATION_CAP_POSTCOPY_PREEMPT, preempt);
    add_toucher(&there, src);
    add_toucher(&here, dst);
    postcopy_begin(src, dst);
    wait_both_paused(src, dst, &here);
    g_assert_false(toy_is_running(dst));
    postcopy_recover(src, dst);
    postcopy_complete(src, dst);
    g_assert_true(here.touched);
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* The load does not wait for ever: it ends with its machine, and the guest never runs there. */
static void test_load_quits(void)
{
    ToyMachine *src, *dst;
    Toucher there, here;

    if (!postcopy_possible()) {
        return;
    }
    make_pair(&src, &dst);
    add_toucher(&there, src);
    add_toucher(&here, dst);
    postcopy_begin(src, dst);
    wait_both_paused(src, dst, &here);
    gw_migration_stop(dst->ms);
    g_assert_cmpuint(dst->starts, ==, 0);
    g_assert_false(toy_is_running(src));
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* ---- memory that the source does not have ---- */

static void test_local_block(void)
{
    ToyMachine *src, *dst;
    uint8_t *rom = mmap(NULL, 16 * GW_TARGET_PAGE_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const RAMBlockInfo info = {
        .idstr = "toy.rom", .host = rom, .used_length = 16 * GW_TARGET_PAGE_SIZE,
        .max_length = 16 * GW_TARGET_PAGE_SIZE, .page_size = GW_TARGET_PAGE_SIZE, .fd = -1,
    };
    GError *err = NULL;

    if (!postcopy_possible()) {
        return;
    }
    g_assert_true(rom != MAP_FAILED);
    memset(rom, 0xc3, 16 * GW_TARGET_PAGE_SIZE);
    make_pair(&src, &dst);
    gw_ram_block_add(dst->ms, &info, &err);
    g_assert_no_error(err);
    postcopy_begin(src, dst);
    postcopy_complete(src, dst);
    for (size_t i = 0; i < 16 * GW_TARGET_PAGE_SIZE; i++) {
        g_assert_cmpuint(rom[i], ==, 0xc3);
    }
    toy_machine_free(src);
    toy_machine_free(dst);
    munmap(rom, 16 * GW_TARGET_PAGE_SIZE);
}

/* ---- a source that sleeps ---- */

/* Before the switch, no moment ever comes: only a signal ends a wait. */
static bool patient_wait(void *opaque, pthread_cond_t *cond, pthread_mutex_t *mutex,
                         int64_t deadline_ns)
{
    const ToyMachine *src = opaque;

    if (src->ms->out.status != MIGRATION_STATUS_ACTIVE) { /* the mutex is its lock */
        return cond_wait_until(cond, mutex, deadline_ns);
    }
    pthread_cond_wait(cond, mutex);
    return true;
}

static void test_start_wakes(void)
{
    ToyMachine *src, *dst;

    if (!postcopy_possible()) {
        return;
    }
    make_pair(&src, &dst);
    toy_set_param(src, MIGRATION_PARAM_MAX_BANDWIDTH, 1); /* nothing fits into a window */
    src->ms->clock.wait_until = patient_wait;
    src->ms->clock_opaque = src;
    postcopy_begin(src, dst);
    postcopy_complete(src, dst);
    toy_machine_free(src);
    toy_machine_free(dst);
}

/* ---- a low limit ---- */

/* In postcopy, waiting is what moves the time on, until the test has seen enough. */
typedef struct Hurry {
    ToyMachine *src;
    int64_t ahead_ns; /* atomic */
    uint64_t waits;   /* atomic */
    bool enough;      /* atomic */
} Hurry;

static int64_t hurried_now(void *opaque)
{
    Hurry *h = opaque;

    return g_get_monotonic_time() * 1000 + STAT_GET(h->ahead_ns);
}

static bool hurried_wait(void *opaque, pthread_cond_t *cond, pthread_mutex_t *mutex,
                         int64_t deadline_ns)
{
    Hurry *h = opaque;

    if (h->src->ms->out.status != MIGRATION_STATUS_POSTCOPY_ACTIVE || STAT_GET(h->enough)) {
        return cond_wait_until(cond, mutex, deadline_ns - STAT_GET(h->ahead_ns));
    }
    STAT_ADD(h->ahead_ns, MAX(deadline_ns - hurried_now(h), 0));
    STAT_ADD(h->waits, 1);
    return false;
}

static void test_low_limit(void)
{
    ToyMachine *src, *dst;
    Hurry h = {0};

    if (!postcopy_possible()) {
        return;
    }
    make_pair(&src, &dst);
    h.src = src;
    src->ms->clock.now_ns = hurried_now;
    src->ms->clock.wait_until = hurried_wait;
    src->ms->clock_opaque = &h;
    postcopy_begin(src, dst);
    while (STAT_GET(h.waits) < 1000) { /* 100 s; a part takes days */
        g_assert_cmpint(toy_out_status(src, NULL), !=, MIGRATION_STATUS_COMPLETED);
        g_usleep(100);
    }
    g_assert_cmpuint(STAT_GET(src->ms->stats.postcopy_bytes), <, src->ram_size / 2);
    STAT_SET(h.enough, true);
    postcopy_complete(src, dst);
    toy_machine_free(src);
    toy_machine_free(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trouble/faults-fail", test_faults_fail);
    g_test_add_data_func("/trouble/load-faults", GUINT_TO_POINTER(false), test_load_faults);
    g_test_add_data_func("/trouble/load-faults-preempt", GUINT_TO_POINTER(true), test_load_faults);
    g_test_add_func("/trouble/load-quits", test_load_quits);
    g_test_add_func("/trouble/local-block", test_local_block);
    g_test_add_func("/trouble/start-wakes", test_start_wakes);
    g_test_add_func("/trouble/low-limit", test_low_limit);
    return g_test_run();
}
