/* SPDX-License-Identifier: MIT */
/* From an event to an answer: the access path. It allocates nothing and asks nobody. */
#ifndef PB_BACKEND_SERVE_H
#define PB_BACKEND_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pciif.h"

struct pb_backend;
struct pb_device;
struct pb_guest;

void pb_serve_start(struct pb_backend *b);
void pb_serve_stop(struct pb_backend *b);
/* The hypervisor's event: these ports are masked and have something. */
void pb_serve_ports(void *backend, const uint32_t *ports, size_t count);

/*
 * Looks at the page of G and answers at most *BUDGET operations, fewer if one of them is expensive;
 * what is left of it is stored there. Who asks for more has a turn, or is polled.
 */
void pb_serve_guest(struct pb_guest *g, unsigned *budget);

void pb_serve_init(struct pb_guest *g);
void pb_serve_fini(struct pb_guest *g);
/* g->port was bound: events lead to G, and the page is looked at once. -ENOMEM. */
int pb_serve_bound(struct pb_guest *g);
/* The device that OP names by its virtual address, NULL: none. */
struct pb_device *pb_serve_addressed(const struct pb_guest *g, const struct pb_op *op);

/*
 * For an operation of an earlier process, in g->run.op: answers it with what g->run holds; carries
 * it out for the device's sake alone; undoes the interrupts that it may have mapped.
 */
void pb_serve_answer(struct pb_guest *g);
void pb_serve_finish(struct pb_guest *g);
void pb_serve_undo(struct pb_guest *g);
/* Its page is looked at when the loop runs next, and its port unmasked some time after that. */
void pb_serve_look(struct pb_guest *g);

/* Is an access or another operation of its guest to DEV under way with the hardware? */
bool pb_serve_accesses(const struct pb_device *dev);
/* A reset of DEV is over, or its guest ends: an operation that waited for that goes on. */
void pb_serve_unpark(struct pb_guest *g, const struct pb_device *dev);
/* Before the port is unbound: no event leads to G any more. */
void pb_serve_unbound(struct pb_guest *g);
/* The guest is about to be freed: its counters live on in the backend's. */
void pb_serve_keep_counters(struct pb_guest *g);

#endif
