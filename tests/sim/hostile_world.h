/* SPDX-License-Identifier: MIT */
/*
 * The backend over the simulated tables, without its daemon: a hostile guest posts operations by
 * function calls, a microsecond each, so that its tests can be exhaustive.
 */
#ifndef HOSTILE_WORLD_H
#define HOSTILE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the three above first */
#include <cmocka.h>

#include "backend/backend.h"
#include "backend/machine.h"
#include "base/bytes.h"
#include "pci/regs.h"
#include "sim_device.h"
#include "sim_domain.h"
#include "sim_world.h"

#define HOSTILE 5u /* domids */
#define OTHER   6u

/* e1000e.txt, given to the hostile guest; see also hostile_world.c */
#define MSI_AT       0xd0
#define MSIX_AT      0xa0
#define PM_AT        0xc8
#define EXP_AT       0xe0
#define MSIX_VECTORS 5u

struct hostile {
    struct ev_loop *loop;
    struct sim_world *w;
    struct pb_xen *xen;
    struct pb_host *host;
    struct pb_backend *b;
    char dir[40]; /* of its journal */
    struct sim_domain *dom, *other;
    struct sim_device *nic;
    struct pb_device *dev; /* the daemon's word for it */
    uint8_t *page;         /* as the hostile guest sees it */
    struct pb_op last;     /* what stood in the page after the last operation */
    /* Runs before each call of the daemon into a table that works on an operation; NULL: nothing.
     */
    void (*inside)(struct hostile *h);
    void (*answered)(struct hostile *h); /* after each answer, to whomever */
};

/* Those of the next setup, which takes them over; NULL: none. */
extern struct pb_quirk_set *hostile_quirks;
/* Setup and teardown of a cmocka test; the teardown wants a world without violations. */
int hostile_setup(void **state);
int hostile_teardown(void **state);

/* Stores the operation and the flag; no event. */
void hostile_post(struct hostile *h, const struct sim_domain *dom, const struct pb_op *op);
void hostile_notify(struct hostile *h, struct sim_domain *dom);
/* Posts, tells, waits; the answer's err. The page's operation is in h->last. */
int hostile_op(struct hostile *h, const struct pb_op *op);
int hostile_access(struct hostile *h, bool write, int32_t offset, int32_t size, uint32_t value);
/* The loop, until nothing is under way. */
void hostile_settle(struct hostile *h);
bool hostile_waits(const struct sim_domain *dom); /* is its flag set? */
void hostile_quiet(struct hostile *h);            /* no violation so far */
/* How many pirqs of its message interrupts the guest has. */
unsigned hostile_vectors(const struct hostile *h);

uint32_t hostile_random(uint32_t *state);
/* Edges of every type and whatever else, from STATE. */
uint32_t hostile_word(uint32_t *state);

#endif
