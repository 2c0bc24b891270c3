/* SPDX-License-Identifier: MIT */
/*
 * The daemon's lives. Supervised, the world is in memory that a parent shares with its children:
 * each child is one life of the daemon, with the world on its loop. When it ends, by whatever
 * cause, the parent does to the world what kernel, hypervisor and xenstored would do, and the next
 * one begins.
 */
#ifndef SIM_LIFE_H
#define SIM_LIFE_H

#include <stdbool.h>

struct sim_world;

/*
 * Runs the daemon over and over until SIGTERM or SIGINT (passed on to it), or until it ends by
 * itself with another status than 0: that is returned. SIGHUP is passed on; SIGUSR2 to a child
 * kills it at once, but not in the middle of a change of the world.
 */
int sim_life_supervise(struct sim_world *w, int (*run)(void *ctx), void *ctx);

/* Is this process one of the daemon's lives? The world is not its to free. */
bool sim_life_child(void);

/* The daemon's end, now. DONE: what it has asked of the store is done, else it is lost. */
void sim_life_die(struct sim_world *w, bool done);

#endif
