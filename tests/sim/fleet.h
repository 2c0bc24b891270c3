/* SPDX-License-Identifier: MIT */
/*
 * The backend over the simulated tables with thousands of guests, one device each, without its
 * daemon: what grows with them is measured and counted here.
 */
#ifndef FLEET_H
#define FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "backend/machine.h"
#include "sim_domain.h"
#include "sim_world.h"

#define FLEET_MAX   10000u
#define FLEET_FIRST 1u /* the first guest's domid; the others follow */

struct fleet {
    unsigned count; /* guests that there are */
    struct ev_loop *loop;
    struct sim_world *w;
    struct pb_xen *xen;
    struct pb_host *host;
    struct pb_backend *b;
    struct pb_xen_ops xen_ops; /* once it is quiet, see fleet_quiet */
    struct pb_host_ops host_ops;
    char dir[40]; /* of its journal */
    unsigned waiting;
};

/*
 * A host with COUNT guests and devices; none is claimed. What the world has is not in the heap
 * afterwards, so that the heap is the backend's. Anything that goes wrong ends the process with a
 * line.
 */
struct fleet *fleet_open(unsigned count);
void fleet_close(struct fleet *f);
/* The backend ends as an upgrade ends it; the next one has adopted all guests afterwards. */
void fleet_restart(struct fleet *f);

/* Devices FIRST to FIRST + COUNT - 1: claimed; given to the guests of the same numbers, which are
 * connected afterwards; taken back. */
void fleet_claim(struct fleet *f, unsigned first, unsigned count);
void fleet_attach(struct fleet *f, unsigned first, unsigned count);
void fleet_detach(struct fleet *f, unsigned first, unsigned count);
/* Assignments of all devices to their guests, by name, as the configuration says it. */
void fleet_assign(struct fleet *f);
/* The same policy and quirks again: every device is compiled anew. */
void fleet_reload(struct fleet *f);
/* The loop, until nothing is under way. */
void fleet_settle(struct fleet *f);
/* Calls of the backend into the tables, so far. */
uint64_t fleet_calls(const struct fleet *f);

/* From now on the tables cost nothing in an access, so that what is left is the backend's. */
void fleet_quiet(struct fleet *f);
/* Guest N reads a register of its device's, and has the answer: false, it has not. */
bool fleet_access(struct fleet *f, unsigned n);

/* This process's time on a processor: others may be busy, too. */
uint64_t fleet_cpu_ns(void);
/* The heap's bytes in use. */
size_t fleet_heap(void);
/* The instructions of WORK, which is done by a copy of this process. */
uint64_t fleet_steps(void (*work)(struct fleet *f), struct fleet *f);

#endif
