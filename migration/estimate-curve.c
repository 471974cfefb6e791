/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interpolation, extrapolation and means of a dirty curve: see estimate-curve.h. Pure functions;
 * any thread. Pages and seconds are doubles: the model goes to terabytes.
 */
#include "estimate-curve.h"

#include <math.h>

#define STEPS 32 /* of a mean: each is exact to some 0.1 % for curves like these */
/* Growth that shrinks by less than this from quarter to quarter is taken for a straight line: an
 * end that lies more than ten measurements away cannot be told from none. */
#define STRAIGHT 0.975

/* Between the measured points; t is not behind the last. */
static double interpolate(const DirtyCurve *c, double t)
{
    double t0 = 0, p0 = 0;

    for (unsigned i = 0; i < c->n; i++) {
        if (t <= c->t_s[i]) {
            return c->t_s[i] > t0 ? p0 + (c->pages[i] - p0) * (t - t0) / (c->t_s[i] - t0)
                                  : c->pages[i];
        }
        t0 = c->t_s[i];
        p0 = c->pages[i];
    }
    return p0;
}

/* How the curve goes on behind its end: growth of the last quarter, and the part of it that the
 * next quarter still has. */
typedef struct Tail {
    double t_s, pages, quarter_s, growth, part;
} Tail;

static Tail tail_of(const DirtyCurve *c)
{
    Tail t = {0};

    if (c->n == 0) {
        return t;
    }
    t.t_s = c->t_s[c->n - 1];
    t.pages = c->pages[c->n - 1];
    t.quarter_s = t.t_s / 4;
    t.growth = t.pages - interpolate(c, t.t_s * 3 / 4);
    const double before = t.pages - t.growth - interpolate(c, t.t_s / 2);

    t.part = before > t.pages / 1000 ? CLAMP(t.growth / before, 0, 1) : 0;
    return t;
}

/* What a straight or bending tail adds within s seconds; s may be infinite. */
static double tail_growth(const Tail *t, double s)
{
    if (t->quarter_s <= 0 || t->growth <= 0 || t->part <= 0) {
        return 0;
    }
    if (t->part >= STRAIGHT) {
        return t->growth * s / t->quarter_s;
    }
    return t->growth * t->part / (1 - t->part) * (1 - pow(t->part, s / t->quarter_s));
}

double curve_pages(const DirtySurvey *s, double t)
{
    const Tail tail = tail_of(&s->curve);
    const double all = (double)s->ram_pages;

    if (t <= 0) {
        return 0;
    }
    return MIN(all, t <= tail.t_s ? interpolate(&s->curve, t)
                                  : tail.pages + tail_growth(&tail, t - tail.t_s));
}

double curve_limit(const DirtySurvey *s)
{
    const Tail tail = tail_of(&s->curve);

    return MIN((double)s->ram_pages, tail.pages + tail_growth(&tail, INFINITY));
}

double curve_mean(const DirtySurvey *s, double t)
{
    double sum = 0;

    for (unsigned i = 0; i < STEPS; i++) {
        sum += curve_pages(s, t * (i + 0.5) / STEPS);
    }
    return sum / STEPS;
}

double curve_first_pass(const DirtySurvey *s, double t)
{
    double work = 0, done = 0, sum = 0, hot = 0;

    for (unsigned i = 0; i < DIRTY_PLACES; i++) {
        work += 1 - s->zero_at[i];
        hot += s->dirty_at[i];
    }
    if (work <= 0 || hot <= 0) {
        return curve_mean(s, t);
    }
    for (unsigned i = 0; i < DIRTY_PLACES; i++) {
        const double here = 1 - s->zero_at[i];

        sum += s->dirty_at[i] / hot * curve_pages(s, t * (1 - (done + here / 2) / work));
        done += here;
    }
    return sum;
}

double curve_work(const DirtySurvey *s, unsigned throttle)
{
    const double busy = s->busy_share > 0 ? s->busy_share : 1;

    return MIN(1, (100 - throttle) / 100.0 / busy);
}
