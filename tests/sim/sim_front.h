/* SPDX-License-Identifier: MIT */
/* A guest's PCI frontend, driven by a test step by step or, followed, as Linux' driver behaves. */
#ifndef SIM_FRONT_H
#define SIM_FRONT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct sim_world;
struct sim_late;
struct sim_domain;
struct sim_page;

/* Offsets in the shared page and sizes: xen/include/public/io/pciif.h. */
#define SIM_OP_FLAGS    0u
#define SIM_OP_START    4u
#define SIM_OP_ENTRIES  128u
#define SIM_OP_BYTES    (36u + 4u * SIM_OP_ENTRIES)
#define SIM_FLAG_ACTIVE 1u

/* Called when a posted operation was answered or given up (done false). */
typedef void (*sim_op_fn)(void *ctx, struct sim_domain *dom, bool done);

struct sim_front {
    bool follow;
    bool probed; /* the driver is bound: it published, and watches its backend */
    bool stale;  /* the store changed: look again */
    bool event;  /* the daemon notified */
    int state;   /* what this end wrote last */
    int backend; /* the backend's state when it was last looked at */
    uint32_t ref, port;
    struct sim_page *page;
    unsigned connects;
    json_t *roots;               /* what it read when it connected */
    json_t *script;              /* [{ "backend", "write", "after_ms", "count" }], NULL: as Linux */
    TAILQ_HEAD(, sim_late) late; /* reactions to come */
    sim_op_fn op_done;
    void *op_ctx;
    struct sim_loop *loop; /* what it does all the time, NULL: nothing */
};

/* What `publish` writes; NULL: do not write that node. */
struct sim_publish {
    const char *ref, *port, *magic;
    int state; /* -1: do not write it */
};

/* A page and a port of its own (kept when there are some). */
void sim_front_alloc(struct sim_domain *dom);
/* 0 or the errno of the node that could not be written. */
int sim_front_publish(struct sim_world *w, struct sim_domain *dom, const struct sim_publish *what);
int sim_front_state(struct sim_world *w, struct sim_domain *dom, int state);
/*
 * How a followed frontend differs from Linux' when its backend comes to a state: the first rule of
 * SCRIPT with that "backend" is used "count" times (0: always). It writes the text "write" into its
 * state node (null: nothing; absent: what Linux does) after "after_ms". Takes the reference over.
 */
void sim_front_script(struct sim_domain *dom, json_t *script);
void sim_front_init(struct sim_domain *dom);
void sim_front_follow(struct sim_world *w, struct sim_domain *dom, bool follow);
/* Forgets page and port, as a driver that is unloaded. */
void sim_front_unpublish(struct sim_world *w, struct sim_domain *dom);
/* The guest runs no more. */
void sim_front_gone(struct sim_world *w, struct sim_domain *dom);

void sim_front_event(struct sim_world *w, struct sim_domain *dom);
/* PATH changed in the store, "": anything. */
void sim_front_store_changed(struct sim_world *w, const char *path);
void sim_front_turn(struct sim_world *w);
bool sim_front_waiting(const struct sim_world *w);

uint32_t sim_front_flags(const struct sim_domain *dom);
void sim_front_set_flags(const struct sim_domain *dom, uint32_t set, uint32_t clear);

#endif
