/* SPDX-License-Identifier: MIT */
#include "daemon/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

int pb_notify_send(const char *state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length;
    ssize_t sent;
    int fd, saved;

    if (!path || !path[0])
        return 0;
    length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address.sun_path))
        return -EINVAL;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* abstract: the name is the bytes, without a NUL at the end */

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    saved = errno;
    (void)close(fd);
    return sent < 0 ? -saved : 1;
}

static void tell(const char *state)
{
    int rc = pb_notify_send(state);

    if (rc < 0)
        pb_warn("cannot tell the service manager %.*s: %s", (int)strcspn(state, "\n"), state,
                strerror(-rc));
}

/* The manager counts a reload as this one only if it began after it had sent the signal. */
void pb_notify_reloading(void)
{
    char state[80];

    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)(pb_now_ns() / 1000));
    tell(state);
}

void pb_notify_ready(const char *status)
{
    char state[700];

    (void)snprintf(state, sizeof(state), "READY=1\nSTATUS=%s", status);
    /* what comes from a file must not become a line of the protocol */
    for (char *p = state + sizeof("READY=1\nSTATUS=") - 1; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    tell(state);
}

void pb_notify_stopping(void)
{
    tell("STOPPING=1");
}
