/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon/listener.h"
#include "daemon/rpc.h"

#define LINES_PER_TURN  16 /* of one client before others are served */
#define ACCEPT_PER_TURN 16
#define ACCEPT_PAUSE_S  1.0 /* after accept ran out of descriptors */

struct client {
    TAILQ_ENTRY(client) link;
    struct pb_control *server;
    uid_t uid;
    int fd;
    ev_io read, write;
    ev_timer stall, turn;
    char *in; /* max_message + 1 bytes */
    size_t in_start, in_end;
    char *out;
    size_t out_sent, out_length;
    struct pb_reply *reply; /* the message under way */
    bool handling;          /* inside of handle_lines: others only mark what they want */
    bool ended;             /* nothing more will come from it */
    bool closing;           /* to be closed when its output has left */
    bool doomed;            /* to be freed */
};

struct pb_reply {
    struct client *client; /* NULL: it has vanished */
    uid_t uid;
};

struct pb_control {
    struct ev_loop *loop;
    struct pb_control_options options;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd;
    ev_io accept;
    ev_timer pause;
    TAILQ_HEAD(, client) clients; /* oldest first */
    unsigned client_count;
    bool quiet;
};

static void client_free(struct client *c)
{
    struct pb_control *server = c->server;

    ev_io_stop(server->loop, &c->read);
    ev_io_stop(server->loop, &c->write);
    ev_timer_stop(server->loop, &c->stall);
    ev_timer_stop(server->loop, &c->turn);
    if (c->reply)
        c->reply->client = NULL;
    TAILQ_REMOVE(&server->clients, c, link);
    server->client_count--;
    (void)close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static bool out_pending(const struct client *c)
{
    return c->out != NULL;
}

/* Writes what the socket takes. */
static void flush(struct client *c)
{
    ssize_t n;

    while (out_pending(c) && !c->doomed) {
        n = send(c->fd, c->out + c->out_sent, c->out_length - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            c->doomed = true;
            return;
        }
        c->out_sent += (size_t)n;
        ev_timer_again(c->server->loop, &c->stall);
        if (c->out_sent == c->out_length) {
            free(c->out);
            c->out = NULL;
        }
    }
}

static void queue_answer(struct client *c, const char *text, size_t length)
{
    PB_ASSERT(!out_pending(c));
    if (length > PB_CONTROL_OUTPUT_MAX) {
        pb_warn("control: an answer of %zu bytes is too long, its client is dropped", length);
        c->doomed = true;
        return;
    }
    c->out = malloc(length + 1);
    if (!c->out) {
        c->doomed = true;
        return;
    }
    memcpy(c->out, text, length);
    c->out[length] = '\n';
    c->out_length = length + 1;
    c->out_sent = 0;
    flush(c);
}

static void refuse_oversized(struct client *c)
{
    char reason[80], *text;

    (void)snprintf(reason, sizeof(reason), "the message is longer than %zu bytes",
                   c->server->options.max_message);
    text = pb_rpc_fault(NULL, PB_RPC_INVALID, reason, "see control_message_bytes in the limits");
    c->closing = true;
    c->in_start = c->in_end = 0;
    if (text)
        queue_answer(c, text, strlen(text));
    free(text);
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    }
    return true;
}

static void handle_line(struct client *c, const char *line, size_t length)
{
    struct pb_control *server = c->server;

    if (is_blank(line, length))
        return;
    c->reply = malloc(sizeof(*c->reply));
    if (!c->reply) {
        c->doomed = true;
        return;
    }
    *c->reply = (struct pb_reply){ .client = c, .uid = c->uid };
    server->options.message(server->options.ctx, c->reply, line, length);
}

static bool may_handle(const struct client *c)
{
    return !c->doomed && !c->closing && !c->reply && !out_pending(c) && !c->server->quiet;
}

static void handle_lines(struct client *c)
{
    size_t capacity = c->server->options.max_message + 1;
    unsigned handled = 0;

    c->handling = true;
    while (may_handle(c)) {
        char *line = c->in + c->in_start;
        size_t length = c->in_end - c->in_start;
        char *newline = memchr(line, '\n', length);

        if (!newline) {
            if (length == capacity)
                refuse_oversized(c);
            break;
        }
        if (handled++ == LINES_PER_TURN) {
            ev_timer_start(c->server->loop, &c->turn);
            break;
        }
        length = (size_t)(newline - line);
        c->in_start += length + 1;
        handle_line(c, line, length);
    }
    c->handling = false;
}

static bool has_line(const struct client *c)
{
    return memchr(c->in + c->in_start, '\n', c->in_end - c->in_start) != NULL;
}

static void watch_when(struct ev_loop *loop, ev_io *io, bool wanted)
{
    if (wanted && !ev_is_active(io))
        ev_io_start(loop, io);
    else if (!wanted && ev_is_active(io))
        ev_io_stop(loop, io);
}

/* Ends each event of a client: frees it or watches for what it needs next. The client may be gone
 * afterwards. */
static void settle(struct client *c)
{
    struct ev_loop *loop = c->server->loop;
    bool room = c->in_end - c->in_start <= c->server->options.max_message;

    if (!c->reply && !out_pending(c) && (c->closing || (c->ended && !has_line(c))))
        c->doomed = true;
    if (c->doomed) {
        client_free(c);
        return;
    }
    /* While an answer waits to be read, nothing is read; while a verb runs, only the end matters,
     * but what comes with it has to be kept. */
    watch_when(loop, &c->read, !c->ended && !c->closing && !out_pending(c) && room);
    watch_when(loop, &c->write, out_pending(c));
    if (out_pending(c) && !ev_is_active(&c->stall))
        ev_timer_again(loop, &c->stall);
    else if (!out_pending(c))
        ev_timer_stop(loop, &c->stall);
}

static void compact(struct client *c)
{
    memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
    c->in_end -= c->in_start;
    c->in_start = 0;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *c = io->data;
    size_t capacity = c->server->options.max_message + 1;
    ssize_t n;

    (void)loop;
    (void)events;
    compact(c);
    do
        n = recv(c->fd, c->in + c->in_end, capacity - c->in_end, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        c->in_end += (size_t)n;
    else if (n == 0 && c->in_end < capacity)
        c->ended = true; /* it may still wait for answers: only its sending side is closed */
    else if (n < 0 && errno != EAGAIN)
        c->doomed = true;
    handle_lines(c);
    settle(c);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *c = io->data;

    (void)loop;
    (void)events;
    flush(c);
    handle_lines(c);
    settle(c);
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct client *c = timer->data;

    (void)loop;
    (void)events;
    handle_lines(c);
    settle(c);
}

static void on_stall(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct client *c = timer->data;

    (void)loop;
    (void)events;
    pb_warn("control: a client of uid %ld does not read its answer and is dropped", (long)c->uid);
    c->doomed = true;
    settle(c);
}

uid_t pb_reply_uid(const struct pb_reply *reply)
{
    return reply->uid;
}

void pb_reply_send(struct pb_reply *reply, const char *text, size_t length)
{
    struct client *c = reply->client;

    free(reply);
    if (!c)
        return;
    c->reply = NULL;
    if (text)
        queue_answer(c, text, length);
    if (c->handling)
        return;
    handle_lines(c);
    settle(c);
}

static struct client *client_new(struct pb_control *server, int fd, uid_t uid)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->in = malloc(server->options.max_message + 1);
    if (!c->in) {
        free(c);
        return NULL;
    }
    c->server = server;
    c->fd = fd;
    c->uid = uid;
    ev_io_init(&c->read, on_readable, fd, EV_READ);
    ev_io_init(&c->write, on_writable, fd, EV_WRITE);
    ev_timer_init(&c->turn, on_turn, 0., 0.);
    ev_timer_init(&c->stall, on_stall, 0., server->options.stall_s);
    c->read.data = c->write.data = c->turn.data = c->stall.data = c;
    TAILQ_INSERT_TAIL(&server->clients, c, link);
    server->client_count++;
    return c;
}

/* Readers must not lock root out: the oldest of them that waits for nothing makes place. */
static bool make_place(struct pb_control *server)
{
    struct client *c;

    TAILQ_FOREACH (c, &server->clients, link) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see TAILQ_REMOVE move the head */
        if (c->uid != 0 && !c->reply && !c->handling) {
            client_free(c);
            return true;
        }
    }
    return false;
}

static void refuse_connection(int fd)
{
    struct pb_failure failure = { .code = PB_FAIL_LIMIT,
                                  .reason = "too many clients are connected",
                                  .next = "see control_clients in the limits" };
    char *text = pb_rpc_failure(NULL, &failure);

    if (text) {
        /* its buffer is empty, so this does not wait; and if it fails, there is nothing to do */
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)!send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    free(text);
    (void)close(fd);
}

static void welcome(struct pb_control *server, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    struct client *c;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
        (void)close(fd);
        return;
    }
    if (server->client_count >= server->options.max_clients &&
        (peer.uid != 0 || !make_place(server))) {
        refuse_connection(fd);
        return;
    }
    c = client_new(server, fd, peer.uid);
    if (!c)
        (void)close(fd);
    else
        settle(c);
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
    server->loop = loop;
    server->options = *options;
    server->options.path = server->options.group = NULL;
    (void)snprintf(server->path, sizeof(server->path), "%s", options->path);
    if (server->options.stall_s <= 0)
        server->options.stall_s = PB_CONTROL_STALL_S;
    server->fd = fd;
    TAILQ_INIT(&server->clients);
    ev_io_init(&server->accept, on_acceptable, fd, EV_READ);
    ev_timer_init(&server->pause, on_pause_over, ACCEPT_PAUSE_S, 0.);
    server->accept.data = server->pause.data = server;
    if (!options->held)
        pb_control_serve(server);
    *ret = server;
    return 0;
}

void pb_control_serve(struct pb_control *control)
{
    ev_io_start(control->loop, &control->accept);
}

void pb_control_quiesce(struct pb_control *control)
{
    control->quiet = true;
    ev_io_stop(control->loop, &control->accept);
    ev_timer_stop(control->loop, &control->pause);
}

void pb_control_close(struct pb_control *control)
{
    struct client *c, *next;

    if (!control)
        return;
    pb_control_quiesce(control);
    for (c = TAILQ_FIRST(&control->clients); c; c = next) {
        next = TAILQ_NEXT(c, link);
        client_free(c);
    }
    (void)close(control->fd);
    (void)unlink(control->path);
    free(control);
}

unsigned pb_control_clients(const struct pb_control *control)
{
    return control->client_count;
}
