/* SPDX-License-Identifier: MIT */
/*
 * The way back to xenstored. Its socket is root's alone, libxenstore connects by path only, and the
 * daemon is nobody by the time at which xenstored comes back. So the helper listens at a path that
 * the daemon may use, and a child of it for each connection passes the bytes.
 */
#ifndef PB_HOST_RELAY_H
#define PB_HOST_RELAY_H

#include <stdbool.h>
#include <sys/types.h>

#define PB_RELAYS_MAX 4u

struct pb_relay {
    int fd; /* listens; -1: there is no relay */
    const char *store;
    uid_t uid;
    pid_t daemon; /* the one process of that user that is served: others may be nobody, too */
    unsigned count;
    pid_t child[PB_RELAYS_MAX];
};

/* DIR/PB_HOST_RELAY is made anew. 0 or negative errno. */
int pb_relay_open(struct pb_relay *relay, const char *dir, const char *store, uid_t uid);
/* One that waits. In the child of a connection *ret_child is its descriptor, else -1. */
void pb_relay_accept(struct pb_relay *relay, int *ret_child);
/* The child's whole life; every other descriptor of the helper is closed. Returns its status. */
int pb_relay_main(const struct pb_relay *relay, int client);
/* True: it was one of ours. */
bool pb_relay_ended(struct pb_relay *relay, pid_t pid);

#endif
