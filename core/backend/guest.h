/* SPDX-License-Identifier: MIT */
/* One guest: its place in the handshake and whose turn it is to talk to it. */
#ifndef PB_BACKEND_GUEST_H
#define PB_BACKEND_GUEST_H

#include "backend/machine.h"

struct pb_store_req;

/* The guest's record, made if there is none yet; NULL when out of memory. */
struct pb_guest *pb_guest_get(struct pb_backend *b, const struct pb_domain *domain,
                              const char *name, bool xl);
/* PB_KIND or PB_KIND_XL. */
const char *pb_guest_kind(const struct pb_guest *g);

/*
 * One attach or detach talks to a guest at a time. PB_RUN_NEXT: it is this task's turn;
 * PB_RUN_WAIT: pb_task_next is called when it is. Left automatically when the task ends.
 */
enum pb_run pb_guest_enter(struct pb_guest *g, struct pb_task *task);
void pb_guest_leave(struct pb_guest *g, struct pb_task *task);

/*
 * A task's step is about to write the guest's nodes. PB_RUN_NEXT: no action is under way, and none
 * begins before pb_guest_written; PB_RUN_WAIT: the step is carried out again when it is over.
 */
enum pb_run pb_guest_write(struct pb_guest *g, struct pb_task *task);
/* That is done: what happened meanwhile is looked at. Wakes the task whose turn it is. */
void pb_guest_written(struct pb_guest *g);

/* Was it asked to look at its nodes again, and is not yet back at Connected? */
bool pb_guest_reconfigures(const struct pb_guest *g);

/* STATE is in our nodes now. */
void pb_guest_set_state(struct pb_guest *g, unsigned state);

/* Starts watching the frontend's state (its nodes exist now). */
void pb_guest_watch(struct pb_guest *g);
/* What G's frontend says of itself, as the first steps of REQ, in this order. */
enum pb_guest_step {
    PB_GUEST_FE_STATE,
    PB_GUEST_FRONTEND, /* in our directory: is that still there? */
    PB_GUEST_FE_REF,
    PB_GUEST_FE_PORT,
    PB_GUEST_BACKEND, /* whom the frontend means */
    PB_GUEST_STEPS
};
void pb_guest_read_frontend(struct pb_store_req *req, const struct pb_guest *g);
/* Reads the frontend's state again and acts on it. */
void pb_guest_refresh(struct pb_guest *g);
/*
 * What an earlier process has left: REQ begins as pb_guest_read_frontend has it. Acts on it as on
 * any event, unless INSTEAD is another action than PB_ACT_COUNT.
 */
void pb_guest_take_up(struct pb_guest *g, const struct pb_store_req *req,
                      enum pb_xenbus_action instead);
/* A state as it was read in STEP; one that is no number of a state: PB_XENBUS_COUNT. */
unsigned pb_guest_state_read(const struct pb_store_req *req, unsigned step);
/* Our own nodes changed: publish what is ready. */
void pb_guest_nodes_changed(struct pb_guest *g);
/* The domain is dying, dead or shut down: everything is taken back. */
void pb_guest_end(struct pb_guest *g, const char *why);
/* The end of one of its devices could not be begun: soon once more. */
void pb_guest_end_again(struct pb_guest *g);
/*
 * May the domain with this number and handle still run? Only its absence, another handle, or an end
 * that cannot be undone says no; a hypercall that fails for another reason says nothing (H20).
 */
bool pb_guest_lives(const struct pb_backend *b, uint32_t domid, const uint8_t handle[16]);
/*
 * A line about what a guest does with its states, which it may do as often as it likes: 60 a
 * minute. Always true without a guest.
 */
bool pb_guest_may_log(struct pb_guest *g);
/* Frees the guest when nothing of it is left. Safe to call at any time; G may be gone afterwards.
 */
void pb_guest_check_end(struct pb_guest *g);
/* Links a device that it will have; unlinks one that it had. */
void pb_guest_link(struct pb_guest *g, struct pb_device *dev);
void pb_guest_unlink(struct pb_device *dev);
/* The daemon ends: everything local goes, nothing is told to the guest. */
void pb_guest_abandon(struct pb_guest *g);
/* Wakes the task whose turn it is: something that it waits for may have happened. */
void pb_guest_wake(struct pb_guest *g);

/* While held, a guest is not freed; drop frees it when nothing of it is left. */
void pb_guest_hold(struct pb_guest *g);
void pb_guest_drop(struct pb_guest *g);
/* Submits a request whose context is G and holds G: the last thing that its DONE does is drop it.
 */
void pb_guest_submit(struct pb_guest *g, struct pb_store_req *req);

/* frontend.c: actions; each ends by pb_guest_acted. */
void pb_frontend_publish(struct pb_guest *g, unsigned new_state);
void pb_frontend_connect(struct pb_guest *g);
/*
 * Maps the page and binds the port, nothing else; a negative errno with *ret_reason as an error
 * node says it.
 */
int pb_frontend_attach_ring(struct pb_guest *g, uint32_t ref, uint32_t remote,
                            const char **ret_reason);
void pb_frontend_close(struct pb_guest *g, unsigned new_state);
void pb_frontend_settle(struct pb_guest *g);
void pb_frontend_reopen(struct pb_guest *g);
void pb_frontend_await(struct pb_guest *g);
/* Lets page and port go; the guest's page is not touched afterwards. */
void pb_frontend_disconnect(struct pb_guest *g);
/* The action is complete; RC of its last request. */
void pb_guest_acted(struct pb_guest *g, int rc);

#endif
