/* SPDX-License-Identifier: MIT */
/*
 * The control socket: connections, lines in, lines out; it does not know what they say.
 *
 * Nobody makes the daemon wait. In each turn of the loop so many messages are handled as
 * PB_CONTROL_TURN_MESSAGES and PB_CONTROL_TURN_NS allow, one of each client after the other; an
 * answer that takes longer to compose is composed over several turns. A client's next message is
 * looked at when the answer to the one before has left, so that a client that does not read is not
 * read from, and holds at most one message and one answer. Clients other than root have so many
 * messages a second, and their unread answers so many bytes, as the limits say. A client may vanish
 * at any time, its answer then goes nowhere.
 */
#ifndef PB_DAEMON_CONTROL_H
#define PB_DAEMON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ev_loop;
struct pb_control;
struct pb_limits;
/* The answer that a client waits for. It outlives the client and the socket. */
struct pb_reply;

#define PB_CONTROL_TURN_MESSAGES 16
#define PB_CONTROL_TURN_NS       1000000
#define PB_CONTROL_STALL_S       30.0 /* default of stall_s */

struct pb_control_options {
    const char *path;  /* this and the group are looked at in pb_control_open only */
    const char *group; /* when there is no such group, root alone may connect */
    /* Outlives the socket and may change; control_message_bytes is looked at when it is opened. */
    const struct pb_limits *limits;
    bool held;      /* who connects waits until pb_control_serve */
    double stall_s; /* how long a client may leave its answer unread; 0: the default */
    /*
     * One message of LENGTH bytes, not terminated. Leads to exactly one pb_reply_send, at once or
     * later.
     */
    void (*message)(void *ctx, struct pb_reply *reply, const char *text, size_t length);
    void *ctx;
};

/* How it is used, and was used at most. Readers are all clients but root. */
struct pb_control_use {
    unsigned clients, clients_most;
    size_t unread, unread_most; /* bytes of readers' answers */
    size_t message_most, answer_most;
    uint64_t messages;
    uint64_t delayed; /* readers' messages that came too fast */
    uint64_t refused; /* connections */
    uint64_t dropped; /* clients that did not read, or made place for others */
    unsigned turn_most_us;
};

/*
 * Replaces a socket that nobody listens to, so the lock must be held. 0, or a negative errno with a
 * sentence in WHY.
 */
int pb_control_open(struct ev_loop *loop, const struct pb_control_options *options,
                    struct pb_control **ret, char *why, size_t why_size);
/* Of one that was opened `held`: whoever connected meanwhile is served now, in order. */
void pb_control_serve(struct pb_control *control);
/* From now on no message is handled, and what is composed is broken off; answers still leave. */
void pb_control_quiesce(struct pb_control *control);
void pb_control_close(struct pb_control *control);
const struct pb_control_use *pb_control_use(const struct pb_control *control);
/* Connections of the user, root aside, who has most of them. */
unsigned pb_control_most_of_one_uid(const struct pb_control *control);

/* Who asks, as the kernel says. */
uid_t pb_reply_uid(const struct pb_reply *reply);
/*
 * Sends LENGTH bytes and a newline and frees REPLY. TEXT is taken over: it is malloc's, and has
 * room for one byte more. NULL: there is no answer.
 */
void pb_reply_send(struct pb_reply *reply, char *text, size_t length);
/* Instead, without memory for the answer: the connection ends, so that nobody waits for ever. */
void pb_reply_drop(struct pb_reply *reply);
/*
 * STEP is called in this and later turns until it returns false; it has called pb_reply_send then.
 * Of readers' answers one is composed at a time.
 */
void pb_reply_compose(struct pb_reply *reply, bool (*step)(struct pb_reply *reply, void *ctx),
                      void *ctx);
/* Will anybody read it? When not, the next step has to end it. */
bool pb_reply_is_wanted(const struct pb_reply *reply);

#endif
