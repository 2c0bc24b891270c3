/* SPDX-License-Identifier: MIT */
/* What the loop (real_store.c) and the store thread (real_store_thread.c) share. */
#ifndef PB_XEN_REAL_STORE_STATE_H
#define PB_XEN_REAL_STORE_STATE_H

#include <ev.h>
#include <pthread.h>

#include "xen/real_store.h"
#include "xen/real_watch.h"

struct pb_real_store {
    /* Constant. */
    struct ev_loop *loop;
    const struct pb_real_xs *xs;
    struct pb_real_store_times times;
    const struct pb_xen_events *events;
    pthread_t thread;
    int wake_fd; /* an eventfd: something to do for the thread */

    pthread_mutex_t lock;
    pthread_cond_t ended;
    /* Under the lock. */
    bool stop;      /* the loop is gone: the thread must not signal it any more */
    bool has_ended; /* the thread is done with everything but its return */
    bool notified;  /* the loop was signalled and has not looked yet */
    bool connected;
    bool was_lost;               /* since the loop last looked */
    struct pb_store_queue queue; /* in order of deadline */
    struct pb_store_queue done;
    struct pb_real_watches watches;

    /* The loop's. */
    ev_async wake_loop;
    ev_timer expiry;
    bool told_connected;

    /* The thread's, once it runs. */
    void *conn;
    int life_fd; /* -1, or hangs up when xenstored ends */
    unsigned backoff_ms;
};

void *pb_real_store_thread(void *store);
/* Under the lock. */
void pb_real_store_notify(struct pb_real_store *s);

#endif
