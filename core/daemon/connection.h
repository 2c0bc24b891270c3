/* SPDX-License-Identifier: MIT */
/* One client of the control socket, for control.c and connection.c only. */
#ifndef PB_DAEMON_CONNECTION_H
#define PB_DAEMON_CONNECTION_H

#include <ev.h>
#include <sys/queue.h>
#include <sys/un.h>

#include "backend/policy.h"
#include "base/ratelimit.h"
#include "daemon/control.h"

struct pb_connection {
    TAILQ_ENTRY(pb_connection) link, ready_link;
    struct pb_control *server;
    uid_t uid;
    int fd;
    ev_io read, write;
    ev_timer stall, pause;
    char *in; /* max_message + 1 bytes */
    size_t in_start, in_end;
    size_t in_seen; /* from in_start: so far there is no newline */
    char *out;
    size_t out_sent, out_length;
    uint64_t out_moved_ms;  /* when something of it was taken last */
    struct pb_reply *reply; /* the message under way */
    struct pb_ratelimit rate;
    bool ready;    /* in the queue for a turn */
    bool handling; /* its message is being handled: others only mark what they want */
    bool ended;    /* nothing more will come from it */
    bool closing;  /* to be closed when its output has left */
    bool doomed;   /* to be freed */
};
TAILQ_HEAD(pb_connection_list, pb_connection);

struct pb_reply {
    TAILQ_ENTRY(pb_reply) link;
    struct pb_control *server;
    struct pb_connection *client; /* NULL: it has vanished */
    uid_t uid;
    bool (*step)(struct pb_reply *reply, void *ctx);
    void *ctx;
};
TAILQ_HEAD(pb_reply_list, pb_reply);

struct pb_control {
    struct ev_loop *loop;
    struct pb_control_options options;
    size_t max_message;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd;
    ev_io accept;
    ev_timer pause, turn;
    struct pb_connection_list clients; /* oldest first */
    struct pb_connection_list ready;   /* have a message, in the order of their turns */
    struct pb_reply_list root_steps, reader_steps;
    struct pb_ratelimit rate, lines;
    struct pb_control_use use;
    bool quiet;
};

/* Takes FD over; NULL: out of memory, FD is closed. */
struct pb_connection *pb_connection_new(struct pb_control *server, int fd, uid_t uid);
void pb_connection_free(struct pb_connection *c);
/* Is there a message, and may it be handled now? */
bool pb_connection_has_message(struct pb_connection *c);
/* Handles one. */
void pb_connection_handle(struct pb_connection *c);
/* Ends each event of a client: frees it or watches for what it needs next. The client may be gone
 * afterwards. */
void pb_connection_settle(struct pb_connection *c);

/* control.c: C has a message, which has its turn. */
void pb_control_want_turn(struct pb_connection *c);
/* control.c: drops readers that do not read until LENGTH bytes more are allowed; false: they are
 * too many. */
bool pb_control_make_room(struct pb_connection *c, size_t length);
/* control.c: one line about C's client, unless there were many. */
void pb_control_tell(struct pb_connection *c, const char *what);

#endif
