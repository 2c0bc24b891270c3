/* SPDX-License-Identifier: MIT */
#include "daemon/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon/rpc.h"

#define SEND_AT_ONCE ((size_t)256 * 1024) /* then others have their turn */

static bool out_pending(const struct pb_connection *c)
{
    return c->out != NULL;
}

/* --- out --- */

static void out_done(struct pb_connection *c)
{
    if (c->out && c->uid != 0)
        c->server->use.unread -= c->out_length;
    free(c->out);
    c->out = NULL;
}

/* Writes what the socket takes. */
static void flush(struct pb_connection *c)
{
    size_t sent = 0, length;
    ssize_t n;

    while (out_pending(c) && !c->doomed && sent < SEND_AT_ONCE) {
        length = c->out_length - c->out_sent;
        n = send(c->fd, c->out + c->out_sent, length < SEND_AT_ONCE ? length : SEND_AT_ONCE,
                 MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            c->doomed = true;
            return;
        }
        sent += (size_t)n;
        c->out_sent += (size_t)n;
        c->out_moved_ms = pb_now_ms();
        ev_timer_again(c->server->loop, &c->stall);
        if (c->out_sent == c->out_length)
            out_done(c);
    }
}

/* TEXT is taken over. */
static void queue_answer(struct pb_connection *c, char *text, size_t length)
{
    struct pb_control_use *use = &c->server->use;

    PB_ASSERT(!out_pending(c));
    if (c->uid != 0 && !pb_control_make_room(c, length + 1)) {
        pb_control_tell(c, "has no room for its answer, see control_unread_bytes");
        c->doomed = true;
        free(text);
        return;
    }
    text[length] = '\n';
    c->out = text;
    c->out_length = length + 1;
    c->out_sent = 0;
    c->out_moved_ms = pb_now_ms();
    if (length > use->answer_most)
        use->answer_most = length;
    if (c->uid != 0)
        use->unread += c->out_length;
    if (use->unread > use->unread_most)
        use->unread_most = use->unread;
    flush(c);
}

/* --- in --- */

static bool may_handle(const struct pb_connection *c)
{
    return !c->doomed && !c->closing && !c->reply && !out_pending(c) && !c->server->quiet;
}

static char *find_newline(struct pb_connection *c)
{
    size_t from = c->in_start + c->in_seen;
    char *newline = memchr(c->in + from, '\n', c->in_end - from);

    c->in_seen = newline ? (size_t)(newline - c->in) - c->in_start : c->in_end - c->in_start;
    return newline;
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    }
    return true;
}

static void handle_line(struct pb_connection *c, const char *line, size_t length)
{
    struct pb_control *server = c->server;

    if (length > server->use.message_most)
        server->use.message_most = length;
    if (is_blank(line, length))
        return;
    server->use.messages++;
    c->reply = malloc(sizeof(*c->reply));
    if (!c->reply) {
        c->doomed = true;
        return;
    }
    *c->reply = (struct pb_reply){ .server = server, .client = c, .uid = c->uid };
    server->options.message(server->options.ctx, c->reply, line, length);
}

bool pb_connection_has_message(struct pb_connection *c)
{
    return may_handle(c) && find_newline(c);
}

void pb_connection_handle(struct pb_connection *c)
{
    char *line = c->in + c->in_start, *newline = find_newline(c);
    size_t length = (size_t)(newline - line);

    c->in_start += length + 1;
    c->in_seen = 0;
    c->handling = true;
    handle_line(c, line, length);
    c->handling = false;
}

static void refuse_oversized(struct pb_connection *c)
{
    char reason[80], *text;

    (void)snprintf(reason, sizeof(reason), "the message is longer than %zu bytes",
                   c->server->max_message);
    text = pb_rpc_fault(NULL, PB_RPC_INVALID, reason, "see control_message_bytes in the limits");
    c->closing = true;
    c->in_start = c->in_end = c->in_seen = 0;
    if (text)
        queue_answer(c, text, strlen(text));
}

/* --- events --- */

static void watch_when(struct ev_loop *loop, ev_io *io, bool wanted)
{
    if (wanted && !ev_is_active(io))
        ev_io_start(loop, io);
    else if (!wanted && ev_is_active(io))
        ev_io_stop(loop, io);
}

void pb_connection_settle(struct pb_connection *c)
{
    struct ev_loop *loop = c->server->loop;
    bool room = c->in_end - c->in_start <= c->server->max_message;

    if (may_handle(c) && !room && !find_newline(c))
        refuse_oversized(c);
    if (!c->reply && !out_pending(c) && (c->closing || (c->ended && !find_newline(c))))
        c->doomed = true;
    if (c->doomed) {
        pb_connection_free(c);
        return;
    }
    if (pb_connection_has_message(c))
        pb_control_want_turn(c);
    /* While an answer waits to be read, nothing is read; while a verb runs, only the end matters,
     * but what comes with it has to be kept. */
    watch_when(loop, &c->read, !c->ended && !c->closing && !out_pending(c) && room);
    watch_when(loop, &c->write, out_pending(c));
    if (out_pending(c) && !ev_is_active(&c->stall))
        ev_timer_again(loop, &c->stall);
    else if (!out_pending(c))
        ev_timer_stop(loop, &c->stall);
}

static void compact(struct pb_connection *c)
{
    memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
    c->in_end -= c->in_start;
    c->in_start = 0;
}

/* Has it closed both directions? Then nobody waits for an answer. */
static bool has_hung_up(const struct pb_connection *c)
{
    struct pollfd look = { .fd = c->fd };

    return poll(&look, 1, 0) == 1 && (look.revents & POLLHUP);
}

/* Descriptors that come along are closed by the kernel, because nobody asks for them. */
static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct pb_connection *c = io->data;
    size_t capacity = c->server->max_message + 1;
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
        c->ended = true; /* it may still wait for answers, if only its sending side is closed */
    else if (n < 0 && errno != EAGAIN)
        c->doomed = true;
    if (c->ended && !find_newline(c) && has_hung_up(c))
        c->doomed = true;
    pb_connection_settle(c);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct pb_connection *c = io->data;

    (void)loop;
    (void)events;
    flush(c);
    pb_connection_settle(c);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    pb_connection_settle(timer->data);
}

static void on_stall(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_connection *c = timer->data;

    (void)loop;
    (void)events;
    pb_control_tell(c, "does not read its answer and is dropped");
    c->server->use.dropped++;
    c->doomed = true;
    pb_connection_settle(c);
}

/* --- life --- */

struct pb_connection *pb_connection_new(struct pb_control *server, int fd, uid_t uid)
{
    struct pb_connection *c = calloc(1, sizeof(*c));

    if (c)
        c->in = malloc(server->max_message + 1);
    if (!c || !c->in) {
        free(c);
        (void)close(fd);
        return NULL;
    }
    c->server = server;
    c->fd = fd;
    c->uid = uid;
    ev_io_init(&c->read, on_readable, fd, EV_READ);
    ev_io_init(&c->write, on_writable, fd, EV_WRITE);
    ev_timer_init(&c->pause, on_pause_over, 0., 0.);
    ev_timer_init(&c->stall, on_stall, 0., server->options.stall_s);
    c->read.data = c->write.data = c->pause.data = c->stall.data = c;
    TAILQ_INSERT_TAIL(&server->clients, c, link);
    if (++server->use.clients > server->use.clients_most)
        server->use.clients_most = server->use.clients;
    return c;
}

void pb_connection_free(struct pb_connection *c)
{
    struct pb_control *server = c->server;

    ev_io_stop(server->loop, &c->read);
    ev_io_stop(server->loop, &c->write);
    ev_timer_stop(server->loop, &c->stall);
    ev_timer_stop(server->loop, &c->pause);
    if (c->reply)
        c->reply->client = NULL;
    if (c->ready)
        TAILQ_REMOVE(&server->ready, c, ready_link);
    TAILQ_REMOVE(&server->clients, c, link);
    server->use.clients--;
    out_done(c);
    (void)close(c->fd);
    free(c->in);
    free(c);
}

/* --- answers --- */

uid_t pb_reply_uid(const struct pb_reply *reply)
{
    return reply->uid;
}

bool pb_reply_is_wanted(const struct pb_reply *reply)
{
    return reply->client && !reply->server->quiet && !has_hung_up(reply->client);
}

void pb_reply_drop(struct pb_reply *reply)
{
    if (reply->client)
        reply->client->doomed = true;
    pb_reply_send(reply, NULL, 0);
}

void pb_reply_send(struct pb_reply *reply, char *text, size_t length)
{
    struct pb_connection *c = reply->client;

    free(reply);
    if (!c) {
        free(text);
        return;
    }
    c->reply = NULL;
    if (text)
        queue_answer(c, text, length);
    if (!c->handling)
        pb_connection_settle(c);
}
