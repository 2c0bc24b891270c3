/* SPDX-License-Identifier: MIT */
/*
 * Timers of the world: they outlive the loop that they are on. A daemon that died takes its loop
 * along; the next one's loop carries them on with the time that they had left.
 */
#ifndef SIM_TIMER_H
#define SIM_TIMER_H

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

struct sim_world;

struct sim_timer {
    TAILQ_ENTRY(sim_timer) link;
    ev_timer ev;
    struct sim_world *w;
    void (*fired)(struct sim_timer *timer); /* as the world */
    double due, repeat;                     /* of CLOCK_MONOTONIC; 0: once */
    bool active;
};
TAILQ_HEAD(sim_timer_list, sim_timer);

void sim_timer_init(struct sim_timer *timer, struct sim_world *w,
                    void (*fired)(struct sim_timer *timer));
void sim_timer_start(struct sim_timer *timer, double after, double repeat);
void sim_timer_stop(struct sim_timer *timer);
/* Seconds until it is due, 0 when it is not active. */
double sim_timer_left(const struct sim_timer *timer);
double sim_timer_now(void);

/* All are put on the world's loop; all are off it, which may be gone already (KILLED). */
void sim_timers_resume(struct sim_world *w);
void sim_timers_park(struct sim_world *w, bool killed);

#endif
