/* SPDX-License-Identifier: MIT */
/* The table of the host's hardware (host/host.h), as the end of the daemon finds it. */
#ifndef SIM_HOST_H
#define SIM_HOST_H

struct sim_world;

/* The daemon is dead, or as good as: its descriptors are closed, the helper's children go on. */
void sim_host_forget(struct sim_world *w);

#endif
