/* SPDX-License-Identifier: MIT */
/* The loop's side of the store thread. */
#include "xen/real_store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "xen/real_store_state.h"

const struct pb_real_store_times pb_real_store_times_default = {
    .liveness_ms = 1000,
    .backoff_min_ms = 100,
    .backoff_max_ms = 2000,
    .request_ms = 30000,
    .close_ms = 2000,
};

static const char *const verbs[] = {
    [PB_STORE_READ] = "read",     [PB_STORE_LIST] = "list",   [PB_STORE_WRITE] = "write",
    [PB_STORE_MKDIR] = "mkdir",   [PB_STORE_REMOVE] = "rm",   [PB_STORE_PERMS] = "set permissions",
    [PB_STORE_EXPECT] = "expect", [PB_STORE_PRUNE] = "prune",
};

static void wake_thread(struct pb_real_store *s)
{
    uint64_t one = 1;

    /* EAGAIN means that it is awake already, 2^64 times. */
    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return;
}

static void log_failure(const struct pb_store_req *req)
{
    if (req->failed < req->count)
        pb_warn("xenstore: %s %s: %s", verbs[req->step[req->failed].verb],
                req->step[req->failed].path, strerror(-req->rc));
    else
        pb_warn("xenstore: request for %s: %s", req->count ? req->step[0].path : "nothing",
                strerror(-req->rc));
}

static void complete(struct pb_store_req *req)
{
    if (req->done)
        req->done(req, req->ctx);
    else if (req->rc)
        log_failure(req);
    pb_store_req_free(req);
}

/* The timer runs while something is queued, for the oldest request. */
static void arm_expiry(struct pb_real_store *s)
{
    struct pb_store_req *req;
    uint64_t deadline = 0, now = pb_now_ms();

    if (ev_is_active(&s->expiry))
        return;
    (void)pthread_mutex_lock(&s->lock);
    req = TAILQ_FIRST(&s->queue);
    if (req)
        deadline = req->deadline_ms;
    (void)pthread_mutex_unlock(&s->lock);
    if (!req)
        return;
    ev_timer_set(&s->expiry, deadline > now ? (double)(deadline - now) / 1000.0 + 0.001 : 0.0, 0.0);
    ev_timer_start(s->loop, &s->expiry);
}

/*
 * The loop does this, not the thread: the thread may hang in a call that xenstored does not answer.
 * What it is carrying out then cannot be ended, all behind it can.
 */
static void on_expiry(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct pb_real_store *s = timer->data;
    struct pb_store_queue expired = TAILQ_HEAD_INITIALIZER(expired);
    struct pb_store_req *req;
    uint64_t now = pb_now_ms();

    (void)loop;
    (void)revents;
    (void)pthread_mutex_lock(&s->lock);
    while ((req = TAILQ_FIRST(&s->queue)) && req->deadline_ms <= now) {
        TAILQ_REMOVE(&s->queue, req, link);
        TAILQ_INSERT_TAIL(&expired, req, link);
    }
    (void)pthread_mutex_unlock(&s->lock);
    while ((req = TAILQ_FIRST(&expired))) {
        TAILQ_REMOVE(&expired, req, link);
        req->rc = -ETIMEDOUT;
        req->failed = req->count;
        complete(req);
    }
    arm_expiry(s);
}

static void tell_connection(struct pb_real_store *s, bool lost, bool connected)
{
    const struct pb_xen_events *events = s->events;

    if (s->told_connected && (lost || !connected)) {
        s->told_connected = false;
        if (events->store_connected)
            events->store_connected(events->ctx, false);
    }
    if (!s->told_connected && connected) {
        s->told_connected = true;
        if (events->store_connected)
            events->store_connected(events->ctx, true);
    }
}

/* The lock is free during every callback: each may submit, add and remove. */
static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
    struct pb_real_store *s = async->data;
    struct pb_store_queue done = TAILQ_HEAD_INITIALIZER(done);
    struct pb_store_req *req;
    struct pb_watch *watch;
    bool lost, connected;

    (void)loop;
    (void)revents;
    (void)pthread_mutex_lock(&s->lock);
    s->notified = false;
    lost = s->was_lost;
    s->was_lost = false;
    connected = s->connected;
    TAILQ_CONCAT(&done, &s->done, link);
    pb_real_watch_start_turn(&s->watches);
    (void)pthread_mutex_unlock(&s->lock);

    tell_connection(s, lost, connected);
    while ((req = TAILQ_FIRST(&done))) {
        TAILQ_REMOVE(&done, req, link);
        complete(req);
    }
    for (;;) {
        (void)pthread_mutex_lock(&s->lock);
        watch = pb_real_watch_next(&s->watches);
        (void)pthread_mutex_unlock(&s->lock);
        if (!watch)
            break;
        watch->fired(watch);
    }
    arm_expiry(s); /* the thread may have put a request back */
}

void pb_real_store_submit(struct pb_real_store *s, struct pb_store_req *req)
{
    req->rc = req->failed_alloc ? -ENOMEM : 0;
    req->failed = req->count;
    req->deadline_ms = pb_now_ms() + s->times.request_ms;
    (void)pthread_mutex_lock(&s->lock);
    if (req->rc) {
        TAILQ_INSERT_TAIL(&s->done, req, link);
        pb_real_store_notify(s);
    } else {
        TAILQ_INSERT_TAIL(&s->queue, req, link);
    }
    (void)pthread_mutex_unlock(&s->lock);
    wake_thread(s);
    arm_expiry(s);
}

void pb_real_store_watch_add(struct pb_real_store *s, struct pb_watch *watch)
{
    int rc;

    (void)pthread_mutex_lock(&s->lock);
    watch->serial = 0;
    rc = pb_real_watch_add(&s->watches, watch);
    (void)pthread_mutex_unlock(&s->lock);
    if (rc)
        pb_err("xenstore: watch %s: %s", watch->path, strerror(-rc));
    wake_thread(s);
}

void pb_real_store_watch_remove(struct pb_real_store *s, struct pb_watch *watch)
{
    (void)pthread_mutex_lock(&s->lock);
    pb_real_watch_remove(&s->watches, watch);
    (void)pthread_mutex_unlock(&s->lock);
    watch->serial = 0; /* no entry has it: removing twice is harmless */
    wake_thread(s);
}

static void init_sync(struct pb_real_store *s)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->ended, &attr);
    (void)pthread_condattr_destroy(&attr);
}

/* Signals are the loop's: the thread, and the reader that libxenstore starts from it, take none. */
static int start_thread(struct pb_real_store *s)
{
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&s->thread, NULL, pb_real_store_thread, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static void free_store(struct pb_real_store *s)
{
    struct pb_store_req *req;

    TAILQ_CONCAT(&s->queue, &s->done, link);
    while ((req = TAILQ_FIRST(&s->queue))) {
        TAILQ_REMOVE(&s->queue, req, link);
        pb_store_req_free(req);
    }
    pb_real_watch_free_all(&s->watches);
    (void)pthread_cond_destroy(&s->ended);
    (void)pthread_mutex_destroy(&s->lock);
    if (s->wake_fd >= 0)
        (void)close(s->wake_fd);
    free(s);
}

int pb_real_store_open(struct ev_loop *loop, const struct pb_real_xs *xs,
                       const struct pb_real_store_times *times, const struct pb_xen_events *events,
                       struct pb_real_store **ret)
{
    struct pb_real_store *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return -ENOMEM;
    *s = (struct pb_real_store){
        .loop = loop, .xs = xs, .times = *times, .events = events, .life_fd = -1
    };
    s->connected = s->told_connected = true;
    s->backoff_ms = times->backoff_min_ms;
    TAILQ_INIT(&s->queue);
    TAILQ_INIT(&s->done);
    pb_real_watch_init(&s->watches);
    init_sync(s);
    ev_async_init(&s->wake_loop, on_wake);
    s->wake_loop.data = s;
    ev_timer_init(&s->expiry, on_expiry, 0.0, 0.0);
    s->expiry.data = s;

    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = s->wake_fd < 0 ? -errno : xs->open(xs->ctx, &s->conn);
    if (rc == 0) {
        ev_async_start(loop, &s->wake_loop);
        rc = start_thread(s);
        if (rc) {
            ev_async_stop(loop, &s->wake_loop);
            xs->close(s->conn);
        }
    }
    if (rc) {
        free_store(s);
        return rc;
    }
    *ret = s;
    return 0;
}

/* True: the thread is past its last use of *s. */
static bool wait_for_end(struct pb_real_store *s)
{
    struct timespec until;
    bool ended;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(s->times.close_ms / 1000);
    until.tv_nsec += (long)(s->times.close_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&s->lock);
    while (!s->has_ended && rc == 0)
        rc = pthread_cond_timedwait(&s->ended, &s->lock, &until);
    ended = s->has_ended;
    (void)pthread_mutex_unlock(&s->lock);
    return ended;
}

void pb_real_store_close(struct pb_real_store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_mutex_unlock(&s->lock);
    ev_async_stop(s->loop, &s->wake_loop);
    ev_timer_stop(s->loop, &s->expiry);
    wake_thread(s);
    if (!wait_for_end(s)) {
        /* It hangs in a call that xenstored does not answer, and still uses *s: leave it that. */
        pb_warn("xenstore: no answer, closing without it");
        (void)pthread_detach(s->thread);
        return;
    }
    (void)pthread_join(s->thread, NULL);
    free_store(s);
}
