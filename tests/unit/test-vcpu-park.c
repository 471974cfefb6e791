/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vCPU threads: pausing really stops all of them, a thousand times, also with kicks and throttling
 * from other threads; a throttled vCPU gets its share and no long sleep delays a pause. */
#include <glib.h>
#include <time.h>

#include "machine-fixture.h"

static uint64_t total_work(Machine *m)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        sum += fake_cpu(m, i)->work;
    }
    return sum;
}

typedef struct Noise {
    Machine *m;
    bool stop; /* atomic */
} Noise;

static void *noise_main(void *opaque)
{
    Noise *n = opaque;
    unsigned i = 0;

    while (!__atomic_load_n(&n->stop, __ATOMIC_RELAXED)) {
        fake_vcpu_kick(n->m->vcpus[i++ % n->m->nr_vcpus]);
        if (i % 64 == 0) {
            vcpus_set_throttle(n->m, i / 64 % 100);
        }
        sched_yield();
    }
    return NULL;
}

static void test_pause_resume(void)
{
    g_autoptr(MachineConfig) c = fixture_config(4);
    Machine *m = fixture_machine(c);
    Noise noise = { .m = m };
    GThread *thread = g_thread_new("noise", noise_main, &noise);

    for (int i = 0; i < 1000; i++) {
        vcpus_resume(m);
        g_assert_true(vcpus_running(m));
        if (i % 50 == 0) {
            g_usleep(200);
        }
        vcpus_pause(m);
        g_assert_false(vcpus_running(m));

        uint64_t work = total_work(m); /* a race here is what thread sanitizer looks for */

        for (unsigned k = 0; k < m->nr_vcpus; k++) {
            g_assert_true(__atomic_load_n(&m->vcpus[k]->parked, __ATOMIC_ACQUIRE));
        }
        g_assert_cmpuint(total_work(m), ==, work);
    }
    __atomic_store_n(&noise.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
    g_assert_cmpuint(total_work(m), >, 0);
    machine_free(m);
}

static unsigned kicks(Machine *m, unsigned i)
{
    return __atomic_load_n(&fake_cpu(m, i)->kicks, __ATOMIC_RELAXED);
}

/* At 80 % a vCPU is kicked after 2 ms and sleeps at least four times as long, on a busy host too:
 * there it may only have run longer, and then it sleeps longer as well. */
static void test_throttle_share(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = fixture_machine(c);

    vcpus_set_throttle(m, 80);
    vcpus_resume(m);
    while (!kicks(m, 0)) {
        g_usleep(1000);
    }

    const uint64_t slept = vcpu_throttled_ns(m, 0);
    const unsigned begin = kicks(m, 0);

    while (kicks(m, 0) < begin + 10) {
        g_usleep(1000);
    }
    /* The sleeps between the first of these kicks and the last. */
    g_assert_cmpuint(vcpu_throttled_ns(m, 0) - slept, >=, 9 * 8000000ULL);
    vcpus_pause(m);
    g_assert_cmpuint(total_work(m), >, 0);
    machine_free(m);
}

/* One vCPU's own share: it sleeps, the other does not. */
static void test_throttle_of_one(void)
{
    g_autoptr(MachineConfig) c = fixture_config(2);
    Machine *m = fixture_machine(c);

    vcpu_set_throttle(m, 1, 95);
    vcpu_set_throttle(m, 2, 95); /* there is none */
    vcpus_resume(m);
    while (vcpu_throttled_ns(m, 1) < 40000000) {
        g_usleep(1000);
    }
    g_assert_cmpuint(vcpu_throttled_ns(m, 0), ==, 0);
    vcpus_set_throttle(m, 50); /* the larger counts, and each has its own */
    while (vcpu_throttled_ns(m, 0) == 0) {
        g_usleep(1000);
    }
    vcpus_pause(m);
    g_assert_cmpuint(vcpu_throttled_ns(m, 2), ==, 0);
    machine_free(m);
}

/* At 99 % a vCPU owes at least 9.9 ms, as a rule far more: a pause ends such a sleep early. If none
 * did, this would go on until the harness ends it. */
static void test_throttle_pause_ends_the_sleep(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = fixture_machine(c);
    uint64_t slept;

    vcpus_set_throttle(m, 99);
    do {
        const unsigned before = kicks(m, 0);

        slept = vcpu_throttled_ns(m, 0);
        vcpus_resume(m);
        while (kicks(m, 0) == before) {
            g_usleep(500);
        }
        g_usleep(500);
        vcpus_pause(m);
        slept = vcpu_throttled_ns(m, 0) - slept;
    } while (!slept || slept >= 99 * 100000);
    machine_free(m);
}

static void test_unpaused_free(void)
{
    g_autoptr(MachineConfig) c = fixture_config(16);
    Machine *m = fixture_machine(c);

    vcpus_set_throttle(m, 50);
    vcpus_resume(m);
    machine_free(m); /* joins running, sleeping and kicked threads alike */
}

/* The kernel counts the time of a vCPU that has work. */
static void test_busy(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m;

    if (!g_file_test("/proc/self/schedstat", G_FILE_TEST_EXISTS)) {
        g_test_skip("this kernel does not count it");
        return;
    }
    m = fixture_machine(c);
    vcpus_resume(m);
    while (vcpu_busy_ns(m, 0) < 5000000) {
        g_usleep(1000);
    }
    g_assert_cmpuint(vcpu_busy_ns(m, 1), ==, 0); /* there is none */
    machine_free(m);
}

static void test_thread_ids(void)
{
    g_autoptr(MachineConfig) c = fixture_config(3);
    Machine *m = fixture_machine(c);

    vcpus_pause(m);
    for (unsigned i = 0; i < 3; i++) {
        int tid = __atomic_load_n(&m->vcpus[i]->tid, __ATOMIC_ACQUIRE);

        g_assert_cmpint(tid, >, 0);
        g_assert_cmpint(machine_migration_host_ops.vcpu_of_thread(m, tid), ==, i);
    }
    g_assert_cmpint(machine_migration_host_ops.vcpu_of_thread(m, 1), ==, -1);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vcpu/pause-resume", test_pause_resume);
    g_test_add_func("/vcpu/throttle-share", test_throttle_share);
    g_test_add_func("/vcpu/throttle-of-one", test_throttle_of_one);
    g_test_add_func("/vcpu/throttle-pause-ends-the-sleep", test_throttle_pause_ends_the_sleep);
    g_test_add_func("/vcpu/free-while-running", test_unpaused_free);
    g_test_add_func("/vcpu/busy", test_busy);
    g_test_add_func("/vcpu/thread-ids", test_thread_ids);
    return g_test_run();
}
