/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/connection.h"
#include "daemon/listener.h"
#include "daemon/rpc.h"

#define ACCEPT_PER_TURN 16
#define ACCEPT_PAUSE_S  1.0 /* after accept ran out of descriptors */
#define RATE_MS         1000

/* --- turns --- */

static bool has_work(const struct pb_control *server)
{
    return !TAILQ_EMPTY(&server->ready) || !TAILQ_EMPTY(&server->root_steps) ||
           !TAILQ_EMPTY(&server->reader_steps);
}

/* A timer of no time: the loop does not sleep, and others have their turn before it fires. */
static void want_turn(struct pb_control *server)
{
    if (has_work(server) && !ev_is_active(&server->turn)) {
        ev_timer_set(&server->turn, 0., 0.);
        ev_timer_start(server->loop, &server->turn);
    }
}

void pb_control_want_turn(struct pb_connection *c)
{
    if (c->ready || ev_is_active(&c->pause))
        return;
    c->ready = true;
    TAILQ_INSERT_TAIL(&c->server->ready, c, ready_link);
    want_turn(c->server);
}

/* Has RATE room for one more? When not, C waits until it has. */
static bool in_time(struct pb_connection *c, struct pb_ratelimit *rate, unsigned burst)
{
    uint64_t now = pb_now_ms(), end;
    unsigned suppressed;

    if (pb_ratelimit_allow(rate, now, burst, RATE_MS, &suppressed))
        return true;
    end = rate->window_ms + RATE_MS;
    ev_timer_set(&c->pause, end > now ? (double)(end - now) / 1000. : 0., 0.);
    ev_timer_start(c->server->loop, &c->pause);
    c->server->use.delayed++;
    return false;
}

static bool may_ask(struct pb_connection *c)
{
    const struct pb_limits *limits = c->server->options.limits;

    return c->uid == 0 || (in_time(c, &c->rate, limits->control_requests_per_s) &&
                           in_time(c, &c->server->rate, limits->control_readers_requests_per_s));
}

static void take_message(struct pb_control *server)
{
    struct pb_connection *c = TAILQ_FIRST(&server->ready);

    if (!c)
        return;
    TAILQ_REMOVE(&server->ready, c, ready_link);
    c->ready = false;
    if (pb_connection_has_message(c) && may_ask(c))
        pb_connection_handle(c);
    pb_connection_settle(c);
}

/* One answer is composed to its end before the next is begun, so that few are half done. */
static void take_step(struct pb_control *server)
{
    struct pb_reply_list *list =
        TAILQ_EMPTY(&server->root_steps) ? &server->reader_steps : &server->root_steps;
    struct pb_reply *reply = TAILQ_FIRST(list);

    if (!reply)
        return;
    TAILQ_REMOVE(list, reply, link);
    if (reply->step(reply, reply->ctx))
        TAILQ_INSERT_HEAD(list, reply, link);
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_control *server = timer->data;
    uint64_t begin = pb_now_ns(), spent = 0;
    unsigned us;

    (void)loop;
    (void)events;
    for (unsigned i = 0;
         i < PB_CONTROL_TURN_MESSAGES && spent < PB_CONTROL_TURN_NS && has_work(server); i++) {
        take_message(server);
        if (pb_now_ns() - begin < PB_CONTROL_TURN_NS)
            take_step(server);
        spent = pb_now_ns() - begin;
    }
    us = (unsigned)(spent / 1000);
    if (us > server->use.turn_most_us)
        server->use.turn_most_us = us;
    want_turn(server);
}

void pb_reply_compose(struct pb_reply *reply, bool (*step)(struct pb_reply *reply, void *ctx),
                      void *ctx)
{
    struct pb_control *server = reply->server;

    reply->step = step;
    reply->ctx = ctx;
    if (reply->uid == 0)
        TAILQ_INSERT_TAIL(&server->root_steps, reply, link);
    else
        TAILQ_INSERT_TAIL(&server->reader_steps, reply, link);
    want_turn(server);
}

/* --- room --- */

void pb_control_tell(struct pb_connection *c, const char *what)
{
    unsigned suppressed;

    if (pb_ratelimit_allow(&c->server->lines, pb_now_ms(), 5, 10000, &suppressed))
        pb_warn("control: a client of uid %ld %s%s", (long)c->uid, what,
                pb_ratelimit_note(suppressed));
}

/* Who has not read for longest. */
static struct pb_connection *laziest_reader(const struct pb_control *server)
{
    struct pb_connection *c, *found = NULL;

    TAILQ_FOREACH (c, &server->clients, link) {
        if (c->uid != 0 && c->out && !c->handling &&
            (!found || c->out_moved_ms < found->out_moved_ms))
            found = c;
    }
    return found;
}

bool pb_control_make_room(struct pb_connection *c, size_t length)
{
    struct pb_control *server = c->server;
    size_t max = server->options.limits->control_unread_bytes;

    while (server->use.unread + length > max) {
        struct pb_connection *lazy = laziest_reader(server);

        if (!lazy)
            return false;
        pb_control_tell(lazy, "does not read its answer and makes room for others");
        server->use.dropped++;
        pb_connection_free(lazy);
    }
    return true;
}

/*
 * Readers must not lock root out: the oldest of them that waits for nothing makes place, or else
 * the oldest.
 */
static bool make_place(struct pb_control *server)
{
    struct pb_connection *c, *found = NULL;

    TAILQ_FOREACH (c, &server->clients, link) {
        if (c->uid == 0 || c->handling)
            continue;
        if (!found || (found->reply && !c->reply))
            found = c;
    }
    if (!found)
        return false;
    server->use.dropped++;
    pb_connection_free(found);
    return true;
}

static unsigned connections_of(const struct pb_control *server, uid_t uid)
{
    const struct pb_connection *c;
    unsigned count = 0;

    TAILQ_FOREACH (c, &server->clients, link)
        count += c->uid == uid;
    return count;
}

unsigned pb_control_most_of_one_uid(const struct pb_control *control)
{
    const struct pb_connection *c;
    unsigned most = 0, count;

    TAILQ_FOREACH (c, &control->clients, link) {
        count = c->uid != 0 ? connections_of(control, c->uid) : 0;
        if (count > most)
            most = count;
    }
    return most;
}

/* --- connections --- */

static void refuse_connection(struct pb_control *server, int fd, const char *reason,
                              const char *limit)
{
    struct pb_failure failure = { .code = PB_FAIL_LIMIT };
    char *text;

    (void)snprintf(failure.reason, sizeof(failure.reason), "%s", reason);
    (void)snprintf(failure.next, sizeof(failure.next), "see %s in the limits", limit);
    text = pb_rpc_failure(NULL, &failure);
    if (text) {
        /* its buffer is empty, so this does not wait; and if it fails, there is nothing to do */
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)!send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    free(text);
    (void)close(fd);
    server->use.refused++;
}

static void welcome(struct pb_control *server, int fd)
{
    const struct pb_limits *limits = server->options.limits;
    struct ucred peer;
    socklen_t length = sizeof(peer);
    struct pb_connection *c;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
        (void)close(fd);
        return;
    }
    if (peer.uid != 0 && connections_of(server, peer.uid) >= limits->control_clients_per_uid) {
        refuse_connection(server, fd, "too many clients of this user are connected",
                          "control_clients_per_uid");
        return;
    }
    if (server->use.clients >= limits->control_clients && (peer.uid != 0 || !make_place(server))) {
        refuse_connection(server, fd, "too many clients are connected", "control_clients");
        return;
    }
    c = pb_connection_new(server, fd, peer.uid);
    if (c)
        pb_connection_settle(c);
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int events)
{
    struct pb_control *server = io->data;

    (void)events;
    for (unsigned i = 0; i < ACCEPT_PER_TURN; i++) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            welcome(server, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            /* out of descriptors: the connection stays pending and would wake us at once again */
            pb_err("control: accept: %s", strerror(errno));
            ev_io_stop(loop, io);
            ev_timer_start(loop, &server->pause);
            return;
        }
    }
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_control *server = timer->data;

    (void)events;
    ev_io_start(loop, &server->accept);
}

/* --- life --- */

static void init(struct pb_control *server, struct ev_loop *loop,
                 const struct pb_control_options *options, int fd)
{
    server->loop = loop;
    server->options = *options;
    server->options.path = server->options.group = NULL;
    server->max_message = options->limits->control_message_bytes;
    (void)snprintf(server->path, sizeof(server->path), "%s", options->path);
    if (server->options.stall_s <= 0)
        server->options.stall_s = PB_CONTROL_STALL_S;
    server->fd = fd;
    TAILQ_INIT(&server->clients);
    TAILQ_INIT(&server->ready);
    TAILQ_INIT(&server->root_steps);
    TAILQ_INIT(&server->reader_steps);
    ev_io_init(&server->accept, on_acceptable, fd, EV_READ);
    ev_timer_init(&server->pause, on_pause_over, ACCEPT_PAUSE_S, 0.);
    ev_timer_init(&server->turn, on_turn, 0., 0.);
    server->accept.data = server->pause.data = server->turn.data = server;
}

int pb_control_open(struct ev_loop *loop, const struct pb_control_options *options,
                    struct pb_control **ret, char *why, size_t why_size)
{
    struct pb_control *server = calloc(1, sizeof(*server));
    int fd;

    if (!server) {
        (void)snprintf(why, why_size, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    fd = pb_listener_open(options->path, options->group, why, why_size);
    if (fd < 0) {
        free(server);
        return fd;
    }
    init(server, loop, options, fd);
    if (!options->held)
        pb_control_serve(server);
    *ret = server;
    return 0;
}

void pb_control_serve(struct pb_control *control)
{
    ev_io_start(control->loop, &control->accept);
}

static void break_off(struct pb_reply_list *list)
{
    struct pb_reply *reply;

    while ((reply = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, reply, link);
        (void)reply->step(reply, reply->ctx);
    }
}

void pb_control_quiesce(struct pb_control *control)
{
    control->quiet = true;
    ev_io_stop(control->loop, &control->accept);
    ev_timer_stop(control->loop, &control->pause);
    ev_timer_stop(control->loop, &control->turn);
    break_off(&control->root_steps);
    break_off(&control->reader_steps);
}

void pb_control_close(struct pb_control *control)
{
    struct pb_connection *c, *next;

    if (!control)
        return;
    pb_control_quiesce(control);
    for (c = TAILQ_FIRST(&control->clients); c; c = next) {
        next = TAILQ_NEXT(c, link);
        pb_connection_free(c);
    }
    (void)close(control->fd);
    (void)unlink(control->path);
    free(control);
}

const struct pb_control_use *pb_control_use(const struct pb_control *control)
{
    return &control->use;
}
