/* SPDX-License-Identifier: MIT */
/*
 * The store thread. libxenstore blocks for every reply, so one thread owns the connection; the loop
 * hands requests over and gets them back, never waiting. The thread sees only the calls of struct
 * pb_real_xs, which the unit tests replace by a xenstore that can die.
 */
#ifndef PB_XEN_REAL_STORE_H
#define PB_XEN_REAL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/store.h"
#include "xen/xen.h"

/*
 * One connection to xenstored. All return 0 or a negative errno; of check_watch anything but 0 and
 * -EAGAIN means that the connection is lost, of the others see pb_real_store_lost. A transaction
 * is a number, 0 is none. OPEN is called once on the loop's thread, all else on the store thread.
 */
struct pb_real_xs {
    void *ctx; /* for open */
    int (*open)(void *ctx, void **ret);
    void (*close)(void *conn);
    int (*fileno)(void *conn); /* readable when check_watch has something */
    int (*check_watch)(void *conn, unsigned long *ret_serial);
    int (*watch)(void *conn, const char *path, unsigned long serial);
    int (*unwatch)(void *conn, const char *path, unsigned long serial);
    /*
     * A descriptor that hangs up when xenstored ends, which fileno's does not tell; the caller
     * closes it. Negative: there is none, and only asking now and then helps.
     */
    int (*life)(void *conn);
    int (*begin)(void *conn, uint32_t *ret_tx);
    int (*end)(void *conn, uint32_t tx, bool abort); /* -EAGAIN: a conflict, start again */
    /* *ret is allocated, LENGTH bytes and a NUL. */
    int (*read)(void *conn, uint32_t tx, const char *path, char **ret, size_t *ret_length);
    /* *ret is one allocation, never NULL. */
    int (*list)(void *conn, uint32_t tx, const char *path, char ***ret, unsigned *ret_count);
    int (*write)(void *conn, uint32_t tx, const char *path, const void *value, size_t length);
    int (*mkdir)(void *conn, uint32_t tx, const char *path);
    int (*remove)(void *conn, uint32_t tx, const char *path);
    int (*perms)(void *conn, uint32_t tx, const char *path, uint16_t domid, bool guest_owns);
};

/* libxenstore. */
extern const struct pb_real_xs pb_real_xs_lib;

struct pb_real_store_times {
    unsigned liveness_ms;    /* without a descriptor that tells that xenstored died: ask */
    unsigned backoff_min_ms; /* between two attempts to connect */
    unsigned backoff_max_ms;
    unsigned request_ms; /* a request that waited longer is answered -ETIMEDOUT */
    unsigned close_ms;   /* how long close waits for a call that xenstored does not answer */
};
extern const struct pb_real_store_times pb_real_store_times_default;

struct pb_real_store;

/* Connects, so that a host without xenstored is noticed here. EVENTS may be filled in later. */
int pb_real_store_open(struct ev_loop *loop, const struct pb_real_xs *xs,
                       const struct pb_real_store_times *times, const struct pb_xen_events *events,
                       struct pb_real_store **ret);
/*
 * Requests that are not done are freed without their callback, watches are forgotten. Not from
 * inside of a callback.
 */
void pb_real_store_close(struct pb_real_store *s);
void pb_real_store_submit(struct pb_real_store *s, struct pb_store_req *req);
void pb_real_store_watch_add(struct pb_real_store *s, struct pb_watch *watch);
void pb_real_store_watch_remove(struct pb_real_store *s, struct pb_watch *watch);

/* RC can only come from a connection that is gone. */
bool pb_real_store_lost(int rc);

/*
 * Carries out REQ and sets its rc, failed and results; may be called again with the same request.
 * PB_REAL_STORE_TRIES bounds the attempts of a transaction that others disturb; then -EAGAIN.
 */
#define PB_REAL_STORE_TRIES 16u
void pb_real_steps_run(const struct pb_real_xs *xs, void *conn, struct pb_store_req *req);

#endif
