/* SPDX-License-Identifier: MIT */
#include "host/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "host/confine.h"
#include "host/host.h"

struct way {
    int from, to;
    size_t at, end; /* what is read and not written yet */
    char bytes[16384];
};

int pb_relay_open(struct pb_relay *relay, const char *dir, const char *store, uid_t uid)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int n, rc = 0;

    *relay = (struct pb_relay){ .fd = -1, .store = store, .uid = uid, .daemon = getppid() };
    if (!store[0] || !dir[0])
        return 0;
    n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" PB_HOST_RELAY, dir);
    if (n < 0 || (size_t)n >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    relay->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (relay->fd < 0)
        return -errno;
    (void)unlink(address.sun_path);
    /* Anybody finds it; who it is for is asked of each connection. */
    if (bind(relay->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(address.sun_path, 0666) != 0 || listen(relay->fd, PB_RELAYS_MAX) != 0)
        rc = -errno;
    if (rc) {
        (void)close(relay->fd);
        relay->fd = -1;
    }
    return rc;
}

static bool may_use(const struct pb_relay *relay, int client)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || (peer.uid == relay->uid && peer.pid == relay->daemon));
}

void pb_relay_accept(struct pb_relay *relay, int *ret_child)
{
    int client = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    pid_t pid = -1;

    *ret_child = -1;
    if (client < 0)
        return;
    if (may_use(relay, client) && relay->count < PB_RELAYS_MAX)
        pid = fork();
    if (pid == 0) {
        *ret_child = client;
        return;
    }
    if (pid > 0)
        relay->child[relay->count++] = pid;
    (void)close(client);
}

bool pb_relay_ended(struct pb_relay *relay, pid_t pid)
{
    for (unsigned i = 0; i < relay->count; i++) {
        if (relay->child[i] == pid) {
            relay->child[i] = relay->child[--relay->count];
            return true;
        }
    }
    return false;
}

/* --- the child --- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* False at the end of either. */
static bool move(struct way *w)
{
    ssize_t n;

    if (w->at == w->end) {
        n = recv(w->from, w->bytes, sizeof(w->bytes), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        w->at = 0;
        w->end = n > 0 ? (size_t)n : 0;
    }
    if (w->at < w->end) {
        n = send(w->to, w->bytes + w->at, w->end - w->at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        w->at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

int pb_relay_main(const struct pb_relay *relay, int client)
{
    static struct way there, back;
    struct pollfd fds[2];
    int store = connect_to(relay->store);

    if (store < 0 || pb_confine_relay() != 0)
        return 1;
    there = (struct way){ .from = client, .to = store };
    back = (struct way){ .from = store, .to = client };
    do {
        bool out = there.at < there.end, in = back.at < back.end;

        fds[0].fd = client;
        fds[0].events = (short)((out ? 0 : POLLIN) | (in ? POLLOUT : 0));
        fds[1].fd = store;
        fds[1].events = (short)((in ? 0 : POLLIN) | (out ? POLLOUT : 0));
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return 1;
    } while (move(&there) && move(&back));
    return 0;
}
