/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model: the dirty curve as a function, passes that can be reckoned by hand, throttling,
 * postcopy, and the recommendation. Pure: no clock, no guest. */
#include <math.h>
#include <string.h>

#include "estimate-curve.h"
#include "estimate-input.h"

#define MIB 256.0 /* pages */
#define LINK (100 * 1024 * 1024.0)

/* `rate` pages/s over `set` pages: in turn, or at random. Measured for one second. */
static DirtySurvey survey(double ram, double rate, double set, bool at_random)
{
    static const double looks[] = {1. / 64, 1. / 16, 1. / 4, 3. / 8, 1. / 2, 5. / 8, 3. / 4, 1};
    DirtySurvey s = {.ram_pages = (uint64_t)ram};

    for (unsigned i = 0; i < G_N_ELEMENTS(looks); i++) {
        s.curve.t_s[i] = looks[i];
        s.curve.pages[i] = at_random ? set * (1 - exp(-rate * looks[i] / set))
                                     : MIN(rate * looks[i], set);
        s.curve.n++;
    }
    return s;
}

static EstimateInput input(DirtySurvey s)
{
    EstimateInput in;

    gw_estimate_defaults(&in);
    in.survey = s;
    in.bandwidth = LINK;
    in.setup_s = in.switch_s = in.write_fault_s = 0;
    return in;
}

static EstimateResult estimate(const EstimateInput *in, EstimateMethod m)
{
    EstimateResult r;

    gw_estimate(in, m, &r);
    g_assert_cmpint(r.converges, ==, r.reason[0] == '\0');
    return r;
}

#define near(a, b, part) \
    g_assert_cmpfloat_with_epsilon((a), (b), fabs((double)(b)) * (part) + 1e-9)

static void test_curve(void)
{
    const DirtySurvey line = survey(1e6, 1000, 1e6, false), bent = survey(1e6, 1000, 1000, true);
    const DirtySurvey full = survey(1e6, 1000, 500, false);
    DirtySurvey none = {.ram_pages = 10};

    near(curve_pages(&line, 0.3), 300, 1e-6);
    near(curve_pages(&line, 100), 1e5, 1e-6);
    near(curve_pages(&line, 1e9), 1e6, 1e-6); /* no more than there is */
    near(curve_limit(&line), 1e6, 1e-6);
    near(curve_mean(&line, 2), 1000, 1e-3);
    near(curve_pages(&bent, 3), 1000 * (1 - exp(-3)), 0.01);
    near(curve_limit(&bent), 1000, 0.01);
    near(curve_pages(&full, 50), 500, 1e-6);
    near(curve_limit(&full), 500, 1e-6);
    g_assert_cmpfloat(curve_pages(&none, 1), ==, 0);
    g_assert_cmpfloat(curve_pages(&line, 0), ==, 0);
}

/* What lies early in memory has the whole first pass to get dirty again, what lies late has none;
 * zero pages take no time. */
static void test_first_pass_has_an_order(void)
{
    DirtySurvey s = survey(1e6, 1000, 1e6, false);

    near(curve_first_pass(&s, 8), 4000, 0.01); /* nothing known: the mean */
    s.dirty_at[0] = 1;
    near(curve_first_pass(&s, 8), 8000 * 31. / 32, 1e-6);
    s.dirty_at[0] = 0;
    s.dirty_at[DIRTY_PLACES - 1] = 1;
    near(curve_first_pass(&s, 8), 8000 * 1. / 32, 1e-6);
    for (unsigned i = 0; i < DIRTY_PLACES - 1; i++) {
        s.zero_at[i] = 1;
    }
    near(curve_first_pass(&s, 8), 4000, 1e-6);
}

static void test_idle(void)
{
    EstimateInput in = input((DirtySurvey){.ram_pages = 512 * MIB, .zero_share = 0.25});
    EstimateResult r;

    in.zero_page_s = 0;
    r = estimate(&in, ESTIMATE_PRECOPY);
    g_assert_true(r.converges);
    near(r.total_s, 3.84, 0.01); /* 384 MiB at 100 MiB/s */
    near(r.bytes, 384 * 1048576.0, 0.01);
    g_assert_cmpuint(r.passes, ==, 1);
    g_assert_cmpfloat(r.downtime_s, ==, 0);
    g_assert_cmpfloat(r.slowdown, ==, 0);
    in.zero_page_s = 1e-5;
    near(estimate(&in, ESTIMATE_PRECOPY).total_s, 3.84 + 128 * MIB * 1e-5, 0.01);
}

/* At half the link's speed each pass is half as long as the one before: twice the time in all. */
static void test_half_of_the_link(void)
{
    const EstimateInput in = input(survey(512 * MIB, 50 * MIB, 1e9, false));
    const EstimateResult r = estimate(&in, ESTIMATE_PRECOPY);

    g_assert_true(r.converges);
    near(r.total_s, 10.24, 0.01);
    g_assert_cmpfloat(r.downtime_s, <=, 0.3);
    g_assert_cmpuint(r.passes, >, 4);
}

/* The log that protects a page when it is sent halves what the first pass leaves. */
static void test_late_protect(void)
{
    EstimateInput in = input(survey(512 * MIB, 50 * MIB, 1e9, false));

    in.survey.late_protect = true;
    near(estimate(&in, ESTIMATE_PRECOPY).total_s, 5.12 + 2.56 / 2 * 2, 0.05);
}

static void test_does_not_converge(void)
{
    const EstimateInput fast = input(survey(512 * MIB, 200 * MIB, 1e9, false));
    EstimateInput set = input(survey(512 * MIB, 80 * MIB, 40 * MIB, false));
    EstimateResult r = estimate(&fast, ESTIMATE_PRECOPY);

    g_assert_false(r.converges);
    g_assert_cmpstr(r.reason, ==, "each pass leaves 512.0 MiB dirty, and 300 ms at 100.0 MiB/s are "
                    "enough for 30.0 MiB");
    /* 80 MiB/s fit through the link, and so do 40 MiB that are written again and again. */
    g_assert_true(estimate(&set, ESTIMATE_PRECOPY).converges);
    /* A look at the log that takes longer than the limit allows: B * x / (B - D) is 0.5 s. */
    set.survey.curve.sync_s = 0.1;
    g_assert_false(estimate(&set, ESTIMATE_PRECOPY).converges);
    set.downtime_limit_s = 0.5;
    g_assert_true(estimate(&set, ESTIMATE_PRECOPY).converges);
}

static void test_throttle(void)
{
    EstimateInput in = input(survey(4096 * MIB, 150 * MIB, 2048 * MIB, false));
    const EstimateResult plain = estimate(&in, ESTIMATE_PRECOPY);
    EstimateResult slow, sync;

    slow = estimate(&in, ESTIMATE_AUTO_CONVERGE);
    in.sync_interval_s = 2;
    sync = estimate(&in, ESTIMATE_BACKGROUND_SYNC);
    g_assert_false(plain.converges);
    g_assert_true(slow.converges);
    g_assert_true(sync.converges);
    g_assert_cmpuint(slow.throttle, >, 20);
    g_assert_cmpfloat(slow.slowdown, >, 0.05);
    g_assert_cmpfloat(slow.slowdown, <, 0.99);
    g_assert_cmpfloat(sync.total_s, <, slow.total_s * 0.8); /* it acts within a pass */
    in.throttle_max = 20;
    slow = estimate(&in, ESTIMATE_AUTO_CONVERGE);
    g_assert_false(slow.converges);
    g_assert_cmpuint(slow.throttle, ==, 20);
    g_assert_nonnull(strstr(slow.reason, "at the highest throttle"));
    in.sync_first_pass = true;
    in.throttle_max = 99;
    g_assert_cmpfloat(estimate(&in, ESTIMATE_BACKGROUND_SYNC).total_s, <, sync.total_s);
}

/* A guest that sleeps most of its time feels nothing of a throttle that takes less than that. */
static void test_time_to_spare(void)
{
    EstimateInput in = input(survey(1024 * MIB, 150 * MIB, 900 * MIB, true));
    const EstimateResult busy = estimate(&in, ESTIMATE_AUTO_CONVERGE);
    EstimateResult lazy;

    g_assert_cmpfloat(curve_work(&in.survey, 30), ==, 0.7);
    in.survey.busy_share = 0.25;
    g_assert_cmpfloat(curve_work(&in.survey, 70), ==, 1);
    near(curve_work(&in.survey, 90), 0.4, 1e-6);
    lazy = estimate(&in, ESTIMATE_AUTO_CONVERGE);
    g_assert_cmpfloat(lazy.total_s, >, busy.total_s * 1.5);
    g_assert_cmpuint(lazy.throttle, >=, 80);
    g_assert_cmpfloat(lazy.slowdown, <, busy.slowdown);
}

/* A guest that keeps up with the link and would hardly ever be done: background-sync lets it run
 * until the rest is a small part of the whole, and ends it then. */
static void test_finish(void)
{
    EstimateInput in = input(survey(1024 * MIB, 104 * MIB, 900 * MIB, true));
    EstimateResult sync, patient, in_mid_pass;
    EstimateProgress p = {.remaining_pages = 60 * MIB};

    in.survey.late_protect = true;
    sync = estimate(&in, ESTIMATE_BACKGROUND_SYNC);
    g_assert_true(sync.converges);
    g_assert_cmpuint(sync.throttle, ==, 99);
    g_assert_cmpfloat(sync.slowdown, >, 0.02);
    g_assert_cmpfloat(sync.slowdown, <, 0.08);
    in.sync_finish = 3;
    patient = estimate(&in, ESTIMATE_BACKGROUND_SYNC);
    g_assert_cmpfloat(patient.total_s, >, sync.total_s * 1.05);
    g_assert_cmpfloat(patient.slowdown, <, sync.slowdown);
    /* What went before counts in a migration that is under way. */
    gw_estimate_rest(&in, &p, ESTIMATE_BACKGROUND_SYNC, &patient);
    p.begun_s = 100;
    gw_estimate_rest(&in, &p, ESTIMATE_BACKGROUND_SYNC, &in_mid_pass);
    g_assert_cmpfloat(in_mid_pass.total_s, <, patient.total_s * 0.8);
}

static void test_postcopy(void)
{
    EstimateInput in = input(survey(512 * MIB, 1000 * MIB, 300 * MIB, false));
    EstimateResult r;

    in.switch_s = 0.01;
    r = estimate(&in, ESTIMATE_POSTCOPY);
    near(r.total_s, 5.12 + 3 + 0.01, 0.01);
    near(r.downtime_s, 0.01, 1e-6);
    near(r.bytes, 812 * 1048576.0, 0.01);
    g_assert_cmpfloat(r.slowdown, >, 0);
}

static void test_rest_of_a_migration(void)
{
    const EstimateInput in = input(survey(512 * MIB, 50 * MIB, 1e9, false));
    EstimateProgress p = {.first_pass = true, .remaining_pages = 512 * MIB};
    EstimateResult r;

    gw_estimate_rest(&in, &p, ESTIMATE_PRECOPY, &r);
    near(r.total_s, 10.24, 0.01);
    /* Half-way through the first pass: the guest wrote in the first half as well. */
    p = (EstimateProgress){.first_pass = true, .pass_s = 2.56, .ran_s = 2.56,
                           .remaining_pages = 256 * MIB};
    gw_estimate_rest(&in, &p, ESTIMATE_PRECOPY, &r);
    near(r.total_s, 10.24 - 2.56, 0.01);
    p = (EstimateProgress){.pass_s = 1, .ran_s = 1, .remaining_pages = 0};
    gw_estimate_rest(&in, &p, ESTIMATE_PRECOPY, &r);
    near(r.total_s, 1, 0.02); /* 50 MiB, and what follows from them */
    g_assert_true(r.converges);
}

static void test_recommendation(void)
{
    EstimateResult r[ESTIMATE_METHOD__COUNT] = {{0}};
    char why[512];

    strcpy(r[ESTIMATE_PRECOPY].reason, "it is too busy");
    g_assert_cmpint(gw_estimate_recommend(r, why, sizeof(why)), ==, ESTIMATE_METHOD__COUNT);
    g_assert_cmpstr(why, ==, "no method converges: it is too busy");
    r[ESTIMATE_POSTCOPY] = (EstimateResult){.converges = true, .total_s = 10, .slowdown = 0.05};
    r[ESTIMATE_BACKGROUND_SYNC] =
        (EstimateResult){.converges = true, .total_s = 12, .slowdown = 0.5};
    g_assert_cmpint(gw_estimate_recommend(r, why, sizeof(why)), ==, ESTIMATE_POSTCOPY);
    g_assert_cmpstr(why, ==, "precopy alone does not converge: it is too busy; postcopy takes "
                    "10.0 s");
    r[ESTIMATE_BACKGROUND_SYNC].slowdown = 0.01;
    g_assert_cmpint(gw_estimate_recommend(r, why, sizeof(why)), ==, ESTIMATE_BACKGROUND_SYNC);
    r[ESTIMATE_PRECOPY] = (EstimateResult){.converges = true, .total_s = 12};
    g_assert_cmpint(gw_estimate_recommend(r, why, sizeof(why)), ==, ESTIMATE_PRECOPY);
    g_assert_cmpstr(why, ==, "it converges by itself, in 12.0 s");
}

/* Terabytes: numbers stay numbers. */
static void test_large(void)
{
    EstimateInput in = input(survey(12.0 * 1048576 * MIB, 1e6, 1e9, true));

    in.bandwidth = 12.5e9;
    near(estimate(&in, ESTIMATE_PRECOPY).total_s, 12 * 1099511627776.0 / 12.5e9 * 1.4, 0.2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/estimate/curve", test_curve);
    g_test_add_func("/estimate/first-pass-has-an-order", test_first_pass_has_an_order);
    g_test_add_func("/estimate/idle", test_idle);
    g_test_add_func("/estimate/half-of-the-link", test_half_of_the_link);
    g_test_add_func("/estimate/late-protect", test_late_protect);
    g_test_add_func("/estimate/does-not-converge", test_does_not_converge);
    g_test_add_func("/estimate/throttle", test_throttle);
    g_test_add_func("/estimate/time-to-spare", test_time_to_spare);
    g_test_add_func("/estimate/finish", test_finish);
    g_test_add_func("/estimate/postcopy", test_postcopy);
    g_test_add_func("/estimate/rest-of-a-migration", test_rest_of_a_migration);
    g_test_add_func("/estimate/recommendation", test_recommendation);
    g_test_add_func("/estimate/large", test_large);
    return g_test_run();
}
