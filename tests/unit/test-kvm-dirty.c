/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log of KVM against a guest that writes at random: one thread syncs, another clears and
 * copies as a migration does; in the end the copy must equal the guest's memory. With the two-step
 * and the one-step log. Skipped without /dev/kvm.
 */
#include <glib.h>

#include "kvm-fixture.h"
#include "kvm.h"

#define PAGES (KVM_TEST_RAM >> 12)
#define WORDS (PAGES / 64)
#define ROUNDS 150

/* 32 bits, flat: xorshift picks a page of either piece of memory, its counter goes up by one. */
static const uint8_t writer_code[] = {
    0xbe, 0x39, 0x30, 0x00, 0x00,             /* mov esi, 12345 */
    0x89, 0xf0, 0xc1, 0xe0, 0x0d, 0x31, 0xc6, /* esi ^= esi << 13 */
    0x89, 0xf0, 0xc1, 0xe8, 0x11, 0x31, 0xc6, /* esi ^= esi >> 17 */
    0x89, 0xf0, 0xc1, 0xe0, 0x05, 0x31, 0xc6, /* esi ^= esi << 5 */
    0x89, 0xf0,                               /* mov eax, esi */
    0x25, 0xff, 0x03, 0x00, 0x00,             /* and eax, PAGES - 1 */
    0x3d, 0x05, 0x01, 0x00, 0x00,             /* cmp eax, page of the cut */
    0x72, 0x05,                               /* jb over the add */
    0x05, 0xfb, 0x1e, 0x00, 0x00,             /* add eax, page of the high piece - cut */
    0xc1, 0xe0, 0x0c,                         /* shl eax, 12 */
    0xff, 0x80, 0x00, 0x08, 0x00, 0x00,       /* inc dword [eax + 0x800] */
    0xeb, 0xcd,                               /* jmp to the first xorshift step */
};

typedef struct Copier {
    Machine *machine;
    const MigrationDirtyLogOps *log;
    pthread_mutex_t lock; /* bitmap */
    uint64_t bitmap[WORDS];
    uint8_t *copy;
    bool stop;            /* atomic */
    uint64_t copied;      /* atomic */
} Copier;

static void sync_all(Copier *c)
{
    GError *err = NULL;

    pthread_mutex_lock(&c->lock);
    /* In two calls, the second beginning in the middle of a slot. */
    c->log->sync(c->machine, c->machine->ram_block, 0, 128, c->bitmap, &err);
    g_assert_no_error(err);
    c->log->sync(c->machine, c->machine->ram_block, 128, PAGES - 128, c->bitmap + 2, &err);
    g_assert_no_error(err);
    pthread_mutex_unlock(&c->lock);
}

/* Pages [first, first + 64) if dirty: take the bits, protect, only then read. */
static void copy_word(Copier *c, unsigned word)
{
    const uint8_t *host = gw_ram_block_info(c->machine->ram_block)->host;
    GError *err = NULL;
    uint64_t bits;

    pthread_mutex_lock(&c->lock);
    bits = c->bitmap[word];
    c->bitmap[word] = 0;
    pthread_mutex_unlock(&c->lock);
    if (!bits) {
        return;
    }
    c->log->clear(c->machine, c->machine->ram_block, word * 64, 64, &err);
    g_assert_no_error(err);
    for (int i = 0; i < 64; i++) {
        if (bits >> i & 1) {
            size_t at = ((size_t)word * 64 + i) << 12;
            uint32_t v = __atomic_load_n((const uint32_t *)(host + at + 0x800), __ATOMIC_SEQ_CST);

            memcpy(c->copy + at, host + at, 0x800);
            memcpy(c->copy + at + 0x800, &v, sizeof(v));
            memcpy(c->copy + at + 0x804, host + at + 0x804, 0x1000 - 0x804);
            __atomic_add_fetch(&c->copied, 1, __ATOMIC_RELAXED);
        }
    }
}

static void *copy_thread(void *opaque)
{
    Copier *c = opaque;

    while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
        for (unsigned w = 0; w < WORDS; w++) {
            copy_word(c, w);
        }
    }
    return NULL;
}

static uint64_t copied(const Copier *c)
{
    return __atomic_load_n(&c->copied, __ATOMIC_RELAXED);
}

static Machine *writer_machine(const MachineConfig *conf)
{
    Machine *m = kvm_machine(conf);

    kvm_put_code(m, 0x100000, writer_code, sizeof(writer_code));
    machine_lock(m);
    g_assert_true(x86_set_pvh_entry(m->vcpus[0], 0x100000, 0));
    machine_unlock(m);
    return m;
}

/* One-step logs are those of kernels without manual protect: made by taking it away. */
static void force_one_step(Machine *m)
{
    KvmState *k = kvm_state(m);
    struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };

    g_assert_cmpint(kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &cap), ==, 0);
    k->log_mode = KVM_LOG_ONE_STEP;
    k->initially_set = false;
}

static void copy_live(Machine *m)
{
    Copier c = { .machine = m, .log = m->accel->dirty_log };
    uint8_t *host = gw_ram_block_info(m->ram_block)->host;
    GError *err = NULL;
    pthread_t thread;

    pthread_mutex_init(&c.lock, NULL);
    c.copy = g_malloc0(KVM_TEST_RAM);
    memset(c.copy, 0xee, KVM_TEST_RAM);
    machine_lock(m);
    c.log->start(m, &err);
    g_assert_no_error(err);
    machine_unlock(m);
    memset(c.bitmap, 0xff, sizeof(c.bitmap));
    g_assert_cmpint(pthread_create(&thread, NULL, copy_thread, &c), ==, 0);
    /* Some pages more than once: it is live. */
    for (int i = 0; i < ROUNDS || copied(&c) <= PAGES; i++) {
        sync_all(&c);
        g_usleep(1000);
    }
    __atomic_store_n(&c.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    sync_all(&c);
    for (unsigned w = 0; w < WORDS; w++) {
        copy_word(&c, w);
    }
    for (size_t page = 0; page < PAGES; page++) {
        if (memcmp(c.copy + (page << 12), host + (page << 12), 4096)) {
            g_error("page %zu: a write was lost", page);
        }
    }
    /* Stopped and all told: nothing is left. */
    sync_all(&c);
    for (unsigned w = 0; w < WORDS; w++) {
        g_assert_cmphex(c.bitmap[w], ==, 0);
    }
    machine_lock(m);
    c.log->stop(m);
    c.log->stop(m);
    machine_unlock(m);
    pthread_mutex_destroy(&c.lock);
    g_free(c.copy);
}

static void run(bool one_step, const char *ring)
{
    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) conf = kvm_config(NULL);
    AccelConfig *a = g_ptr_array_index(conf->accels, 0);
    Machine *m;

    if (ring) {
        g_hash_table_replace(a->props, g_strdup("dirty-ring-size"), g_strdup(ring));
    }
    m = writer_machine(conf);
    if (one_step) {
        force_one_step(m);
    }
    kvm_start(m);
    copy_live(m);
    kvm_start(m); /* and a second migration, after the first was given up */
    copy_live(m);
    machine_free(m);
}

static void test_two_step(void)
{
    run(false, NULL);
}

static void test_one_step(void)
{
    run(true, NULL);
}

/* Where the ring does not work this is the log again, after a warning. */
static void test_ring(void)
{
    run(false, "1024");
}

/* What the guest has counted in that page. */
static uint32_t written(Machine *m, uint64_t page)
{
    const uint8_t *host = gw_ram_block_info(m->ram_block)->host;

    return __atomic_load_n((const uint32_t *)(host + (page << 12) + 0x800), __ATOMIC_RELAXED);
}

/* A slot that goes away while the log is on takes no knowledge along. */
static void test_slot_gone(void)
{
    if (skip_without_kvm()) {
        return;
    }
    g_autoptr(MachineConfig) conf = kvm_config(NULL);
    Machine *m = writer_machine(conf);
    Copier c = { .machine = m, .log = m->accel->dirty_log };
    GError *err = NULL;

    pthread_mutex_init(&c.lock, NULL);
    machine_lock(m);
    c.log->start(m, &err);
    g_assert_no_error(err);
    machine_unlock(m);
    sync_all(&c);
    memset(c.bitmap, 0, sizeof(c.bitmap));
    c.log->clear(m, m->ram_block, 0, PAGES, &err);
    g_assert_no_error(err);
    kvm_start(m);
    for (uint64_t page = KVM_TEST_CUT >> 12; page < PAGES; page += written(m, page) != 0) {
        g_usleep(100);
    }
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    machine_lock(m);
    memory_transaction_begin(m->memory);
    memory_map_remove(m->memory, KVM_TEST_HIGH);
    g_assert_true(memory_transaction_commit(m->memory, &err));
    machine_unlock(m);
    sync_all(&c);
    for (uint64_t page = KVM_TEST_CUT >> 12; page < PAGES; page++) {
        if (!(c.bitmap[page / 64] >> (page % 64) & 1)) {
            g_error("page %" G_GUINT64_FORMAT " was written and is not reported", page);
        }
    }
    machine_lock(m);
    c.log->stop(m);
    machine_unlock(m);
    pthread_mutex_destroy(&c.lock);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm-dirty/two-step", test_two_step);
    g_test_add_func("/kvm-dirty/one-step", test_one_step);
    g_test_add_func("/kvm-dirty/ring", test_ring);
    g_test_add_func("/kvm-dirty/slot-gone", test_slot_gone);
    return g_test_run();
}
