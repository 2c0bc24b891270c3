/* SPDX-License-Identifier: MIT */
/*
 * The control socket: connections, lines in, lines out; it does not know what they say.
 *
 * A client's messages are handled one after the other: the next line is looked at when the answer
 * to the one before has left. So a client that does not read is not read from, and holds at most
 * one message and one answer. A client may vanish at any time, its answer then goes nowhere.
 */
#ifndef PB_DAEMON_CONTROL_H
#define PB_DAEMON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ev_loop;
struct pb_control;
/* The answer that a client waits for. It outlives the client and the socket. */
struct pb_reply;

#define PB_CONTROL_OUTPUT_MAX ((size_t)8 * 1024 * 1024) /* bytes of one answer */
#define PB_CONTROL_STALL_S    30.0                      /* default of stall_s */

struct pb_control_options {
    const char *path;  /* this and the group are looked at in pb_control_open only */
    const char *group; /* when there is no such group, root alone may connect */
    unsigned max_clients;
    size_t max_message; /* bytes of a line without its newline */
    bool held;          /* who connects waits until pb_control_serve */
    double stall_s;     /* how long a client may leave its answer unread; 0: the default */
    /*
     * One message of LENGTH bytes, not terminated. Leads to exactly one pb_reply_send, at once or
     * later.
     */
    void (*message)(void *ctx, struct pb_reply *reply, const char *text, size_t length);
    void *ctx;
};

/*
 * Replaces a socket that nobody listens to, so the lock must be held. 0, or a negative errno with a
 * sentence in WHY.
 */
int pb_control_open(struct ev_loop *loop, const struct pb_control_options *options,
                    struct pb_control **ret, char *why, size_t why_size);
/* Of one that was opened `held`: whoever connected meanwhile is served now, in order. */
void pb_control_serve(struct pb_control *control);
/* From now on no message is handled; answers still leave. */
void pb_control_quiesce(struct pb_control *control);
void pb_control_close(struct pb_control *control);
unsigned pb_control_clients(const struct pb_control *control);

/* Who asks, as the kernel says. */
uid_t pb_reply_uid(const struct pb_reply *reply);
/* Sends LENGTH bytes and a newline and frees REPLY; TEXT NULL: there is no answer. */
void pb_reply_send(struct pb_reply *reply, const char *text, size_t length);

#endif
