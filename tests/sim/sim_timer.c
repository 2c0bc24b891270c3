/* SPDX-License-Identifier: MIT */
#include "sim_timer.h"

#include <time.h>

#include "base/bytes.h"
#include "sim_world.h"

double sim_timer_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_timer(struct ev_loop *loop, ev_timer *ev, int revents)
{
    struct sim_timer *timer = PB_CONTAINER_OF(ev, struct sim_timer, ev);
    SIM_AS_WORLD;

    (void)loop;
    (void)revents;
    if (timer->repeat > 0)
        timer->due = sim_timer_now() + timer->repeat;
    else
        sim_timer_stop(timer);
    timer->fired(timer);
}

void sim_timer_init(struct sim_timer *timer, struct sim_world *w,
                    void (*fired)(struct sim_timer *timer))
{
    *timer = (struct sim_timer){ .w = w, .fired = fired };
    ev_timer_init(&timer->ev, on_timer, 0.0, 0.0);
}

static void put_on_loop(struct sim_timer *timer, double after)
{
    if (!timer->w->loop)
        return;
    ev_now_update(timer->w->loop);
    ev_timer_init(&timer->ev, on_timer, after > 0 ? after : 0.0, timer->repeat);
    ev_timer_start(timer->w->loop, &timer->ev);
}

void sim_timer_start(struct sim_timer *timer, double after, double repeat)
{
    sim_timer_stop(timer);
    timer->active = true;
    timer->due = sim_timer_now() + after;
    timer->repeat = repeat;
    TAILQ_INSERT_TAIL(&timer->w->timers, timer, link);
    put_on_loop(timer, after);
}

void sim_timer_stop(struct sim_timer *timer)
{
    if (!timer->active)
        return;
    timer->active = false;
    TAILQ_REMOVE(&timer->w->timers, timer, link);
    if (timer->w->loop)
        ev_timer_stop(timer->w->loop, &timer->ev);
}

double sim_timer_left(const struct sim_timer *timer)
{
    double left = timer->active ? timer->due - sim_timer_now() : 0.0;

    return left > 0 ? left : 0.0;
}

void sim_timers_resume(struct sim_world *w)
{
    struct sim_timer *timer;

    TAILQ_FOREACH (timer, &w->timers, link) {
        put_on_loop(timer, timer->due - sim_timer_now());
    }
}

void sim_timers_park(struct sim_world *w, bool killed)
{
    struct sim_timer *timer;

    TAILQ_FOREACH (timer, &w->timers, link) {
        if (!killed)
            ev_timer_stop(w->loop, &timer->ev);
    }
}
