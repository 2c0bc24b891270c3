/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "xen/real_store_state.h"

/* Events taken before the thread looks at requests again: a guest may write without a pause. */
#define DRAIN_MAX 1024u

/*
 * Only while the loop still exists, which close changes under the same lock. One signal is enough
 * until the loop has looked.
 */
void pb_real_store_notify(struct pb_real_store *s)
{
    if (s->stop || s->notified)
        return;
    s->notified = true;
    ev_async_send(s->loop, &s->wake_loop);
}

static bool stopping(struct pb_real_store *s)
{
    bool stop;

    (void)pthread_mutex_lock(&s->lock);
    stop = s->stop;
    (void)pthread_mutex_unlock(&s->lock);
    return stop;
}

static void forget_life(struct pb_real_store *s)
{
    if (s->life_fd >= 0)
        (void)close(s->life_fd);
    s->life_fd = -1;
}

/* Until there is work, the connection has something to say, or TIMEOUT_MS passed; -1: for ever. */
static void wait_for_work(struct pb_real_store *s, int timeout_ms)
{
    struct pollfd fds[] = { { .fd = s->wake_fd, .events = POLLIN },
                            { .fd = -1, .events = POLLIN },
                            { .fd = s->life_fd, .events = POLLIN } };
    uint64_t count;

    if (s->conn)
        fds[1].fd = s->xs->fileno(s->conn);
    if (poll(fds, PB_ARRAY_SIZE(fds), timeout_ms) <= 0)
        return;
    /* libxenstore may be told a little later: from here on it is asked. */
    if (fds[2].revents)
        forget_life(s);
    if (fds[0].revents & POLLIN) {
        if (read(s->wake_fd, &count, sizeof(count)) < 0)
            return; /* non-blocking: somebody's write will wake us again */
    }
}

/* 0: no events left; 1: there may be more; negative: the connection is lost. */
static int drain(struct pb_real_store *s)
{
    for (unsigned i = 0; i < DRAIN_MAX; i++) {
        unsigned long serial = 0;
        int rc = s->xs->check_watch(s->conn, &serial);

        if (rc == -EAGAIN)
            return 0;
        if (rc)
            return -ENOTCONN;
        (void)pthread_mutex_lock(&s->lock);
        if (pb_real_watch_mark(&s->watches, serial))
            pb_real_store_notify(s);
        (void)pthread_mutex_unlock(&s->lock);
    }
    return 1;
}

/*
 * libxenstore has no error of its own for a lost connection: a call that was waiting gets EINVAL,
 * as does a bad one. The watch queue knows.
 */
static bool is_lost(struct pb_real_store *s, int rc)
{
    if (rc == 0 || rc == -ECANCELED || rc == -EAGAIN)
        return false;
    return pb_real_store_lost(rc) || drain(s) < 0;
}

static int sync_watches(struct pb_real_store *s)
{
    for (;;) {
        struct pb_real_watch *w;
        bool want, lost;
        int rc;

        (void)pthread_mutex_lock(&s->lock);
        w = pb_real_watch_begin(&s->watches);
        want = w && w->watch;
        (void)pthread_mutex_unlock(&s->lock);
        if (!w)
            return 0;
        rc = want ? s->xs->watch(s->conn, w->path, w->serial)
                  : s->xs->unwatch(s->conn, w->path, w->serial);
        lost = is_lost(s, rc);
        if (want && rc && rc != -EEXIST && !lost)
            pb_warn("xenstore: watch %s: %s", w->path, strerror(-rc));

        (void)pthread_mutex_lock(&s->lock);
        /* A new watch fires by itself; one that was refused would not, and its owner must read. */
        if (want && rc && !lost && pb_real_watch_mark(&s->watches, w->serial))
            pb_real_store_notify(s);
        pb_real_watch_finish(&s->watches, w, want && (rc == 0 || rc == -EEXIST));
        (void)pthread_mutex_unlock(&s->lock);
        if (lost)
            return -ENOTCONN;
    }
}

/* 1: did one, there may be more; 0: there was none; negative: lost, and the request waits again. */
static int run_request(struct pb_real_store *s)
{
    struct pb_store_req *req;
    bool lost;

    (void)pthread_mutex_lock(&s->lock);
    req = TAILQ_FIRST(&s->queue);
    if (req)
        TAILQ_REMOVE(&s->queue, req, link);
    (void)pthread_mutex_unlock(&s->lock);
    if (!req)
        return 0;

    pb_real_steps_run(s->xs, s->conn, req);
    lost = is_lost(s, req->rc);

    (void)pthread_mutex_lock(&s->lock);
    if (lost) {
        TAILQ_INSERT_HEAD(&s->queue, req, link);
    } else {
        TAILQ_INSERT_TAIL(&s->done, req, link);
        pb_real_store_notify(s);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return lost ? -ENOTCONN : 1;
}

static void lose(struct pb_real_store *s)
{
    s->xs->close(s->conn);
    s->conn = NULL;
    forget_life(s);
    (void)pthread_mutex_lock(&s->lock);
    s->connected = false;
    s->was_lost = true;
    pb_real_watch_forget_connection(&s->watches);
    pb_real_store_notify(s);
    (void)pthread_mutex_unlock(&s->lock);
}

static void pause_before_connect(struct pb_real_store *s)
{
    uint64_t until = pb_now_ms() + s->backoff_ms;

    /* New work does not make xenstored come back sooner. */
    for (uint64_t now = pb_now_ms(); now < until && !stopping(s); now = pb_now_ms())
        wait_for_work(s, (int)(until - now));
    s->backoff_ms *= 2;
    if (s->backoff_ms > s->times.backoff_max_ms)
        s->backoff_ms = s->times.backoff_max_ms;
}

/* All watches are there again: whatever changed meanwhile was missed, so each one fires. */
static void set_connected(struct pb_real_store *s)
{
    s->backoff_ms = s->times.backoff_min_ms;
    (void)pthread_mutex_lock(&s->lock);
    if (!s->connected) {
        s->connected = true;
        (void)pb_real_watch_mark_all(&s->watches);
        pb_real_store_notify(s);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* What there is to do; negative: the connection was lost meanwhile. */
static int work(struct pb_real_store *s)
{
    int more, events, rc = sync_watches(s);

    if (rc)
        return rc;
    set_connected(s);
    more = run_request(s);
    if (more < 0)
        return more;
    events = drain(s);
    if (events < 0)
        return events;
    if (!more && !events)
        wait_for_work(s, s->life_fd >= 0 ? -1 : (int)s->times.liveness_ms);
    return 0;
}

void *pb_real_store_thread(void *store)
{
    struct pb_real_store *s = store;

    s->life_fd = s->xs->life(s->conn);
    while (!stopping(s)) {
        if (!s->conn) {
            pause_before_connect(s);
            if (stopping(s) || s->xs->open(s->xs->ctx, &s->conn)) {
                s->conn = NULL;
                continue;
            }
            s->life_fd = s->xs->life(s->conn);
        }
        if (work(s))
            lose(s);
    }
    if (s->conn)
        s->xs->close(s->conn);
    s->conn = NULL;
    forget_life(s);
    (void)pthread_mutex_lock(&s->lock);
    s->has_ended = true;
    (void)pthread_cond_signal(&s->ended);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}
