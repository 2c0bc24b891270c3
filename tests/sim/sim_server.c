/* SPDX-License-Identifier: MIT */
/* The simulator's own socket. Tests are trusted: a write waits for its reader. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sim_command.h"
#include "sim_world.h"

#define LINE_MAX_BYTES (1u << 20)

struct sim_client {
    TAILQ_ENTRY(sim_client) link;
    struct sim_server *server;
    ev_io io;
    int fd; /* -1: gone, but an answer is still awaited */
    unsigned held;
    char *buf;
    size_t used;
};

TAILQ_HEAD(sim_client_list, sim_client);

struct sim_server {
    struct sim_world *w;
    ev_io io;
    int fd;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct sim_client_list clients;
};

/* Of the supervisor's: a connection that every life of the daemon inherits. */
struct kept {
    struct sim_client *client;
    int fd;
};
#define KEPT_MAX 64
static struct kept kept[KEPT_MAX];
static int keeper = -1; /* the supervisor's end; this process's, so not in the shared memory */

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* FD -1: it is closed. */
static void tell_keeper(struct sim_client *client, int fd)
{
    union control control = { .bytes = { 0 } };
    struct iovec iov = { .iov_base = (void *)&client, .iov_len = sizeof(client) };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (keeper < 0)
        return;
    if (fd >= 0) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    }
    (void)sendmsg(keeper, &message, MSG_NOSIGNAL);
}

static void keep(struct sim_client *client, int fd)
{
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        if (fd >= 0 && !kept[i].client) {
            kept[i] = (struct kept){ .client = client, .fd = fd };
            return;
        }
        if (fd < 0 && kept[i].client == client) {
            (void)close(kept[i].fd);
            kept[i].client = NULL;
            return;
        }
    }
    if (fd >= 0)
        abort();
}

void sim_server_keep(int end)
{
    struct sim_client *client;
    union control control;
    struct iovec iov = { .iov_base = (void *)&client, .iov_len = sizeof(client) };

    for (;;) {
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = control.bytes,
                                  .msg_controllen = sizeof(control.bytes) };
        struct cmsghdr *header;
        int fd = -1;

        if (recvmsg(end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(client))
            break;
        header = CMSG_FIRSTHDR(&message);
        if (header)
            memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        keep(client, fd);
    }
}

void sim_server_restore(void)
{
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        if (kept[i].client)
            kept[i].client->fd = kept[i].fd;
    }
}

void sim_server_keeper(int end)
{
    keeper = end;
}

static void client_drop(struct sim_client *client)
{
    if (client->fd >= 0) {
        if (client->server->w->loop)
            ev_io_stop(client->server->w->loop, &client->io);
        (void)close(client->fd);
        client->fd = -1;
        tell_keeper(client, -1);
    }
    if (client->held > 0)
        return;
    TAILQ_REMOVE(&client->server->clients, client, link);
    sim_free(client->buf);
    sim_free(client);
}

static void send_all(struct sim_client *client, const char *text, size_t length)
{
    while (length > 0 && client->fd >= 0) {
        ssize_t n = send(client->fd, text, length, MSG_NOSIGNAL);

        if (n >= 0) {
            text += n;
            length -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd pfd = { .fd = client->fd, .events = POLLOUT };

            (void)poll(&pfd, 1, 1000);
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void answer(struct sim_client *client, json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT);

    json_decref(message);
    if (!text)
        abort();
    send_all(client, text, strlen(text));
    send_all(client, "\n", 1);
    sim_free(text);
}

void sim_client_hold(struct sim_client *client)
{
    client->held++;
}

void sim_client_reply(struct sim_client *client, json_t *message)
{
    client->held--;
    answer(client, message);
    if (client->fd < 0)
        client_drop(client);
}

static void line(struct sim_client *client, const char *text, size_t length)
{
    struct pb_json_error error = { 0 };
    json_t *message = pb_json_parse(text, length, NULL, &error), *reply;

    if (message)
        reply = sim_command_run(client->server->w, message, client);
    else
        reply = sim_error("%s", error.text);
    json_decref(message);
    if (reply)
        answer(client, reply);
}

static void client_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct sim_client *client = PB_CONTAINER_OF(io, struct sim_client, io);
    char *end;
    ssize_t n;
    SIM_AS_WORLD;

    (void)loop;
    (void)revents;
    n = recv(client->fd, client->buf + client->used, LINE_MAX_BYTES - client->used, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_drop(client);
        return;
    }
    client->used += (size_t)n;
    while ((end = memchr(client->buf, '\n', client->used)) != NULL) {
        size_t length = (size_t)(end - client->buf);

        line(client, client->buf, length);
        client->used -= length + 1;
        memmove(client->buf, end + 1, client->used);
    }
}

static void server_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    SIM_AS_WORLD;
    struct sim_server *server = PB_CONTAINER_OF(io, struct sim_server, io);
    int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct sim_client *client;

    (void)revents;
    if (fd < 0)
        return;
    client = sim_alloc(sizeof(*client));
    client->server = server;
    client->fd = fd;
    client->buf = sim_alloc(LINE_MAX_BYTES);
    TAILQ_INSERT_TAIL(&server->clients, client, link);
    ev_io_init(&client->io, client_readable, fd, EV_READ);
    ev_io_start(loop, &client->io);
    tell_keeper(client, fd);
}

static void world_started(struct sim_world *w, void *ctx)
{
    struct sim_server *server = ctx;
    struct sim_client *client;

    ev_io_init(&server->io, server_readable, server->fd, EV_READ);
    ev_io_start(w->loop, &server->io);
    TAILQ_FOREACH (client, &server->clients, link) {
        if (client->fd < 0)
            continue;
        ev_io_init(&client->io, client_readable, client->fd, EV_READ);
        ev_io_start(w->loop, &client->io);
    }
}

static void world_stopped(struct sim_world *w, void *ctx)
{
    struct sim_server *server = ctx;
    struct sim_client *client;

    ev_io_stop(w->loop, &server->io);
    TAILQ_FOREACH (client, &server->clients, link) {
        ev_io_stop(w->loop, &client->io);
    }
}

struct sim_server *sim_server_new(struct sim_world *w, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct sim_server *server;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    server = sim_alloc(sizeof(*server));
    memcpy(address.sun_path, path, strlen(path));
    memcpy(server->path, path, strlen(path));
    TAILQ_INIT(&server->clients);
    server->w = w;
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path);
    if (server->fd < 0 ||
        bind(server->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->fd, 8) != 0) {
        if (server->fd >= 0)
            (void)close(server->fd);
        sim_free(server);
        return NULL;
    }
    w->started = world_started;
    w->stopped = world_stopped;
    w->started_ctx = server;
    return server;
}

void sim_server_free(struct sim_server *server)
{
    while (!TAILQ_EMPTY(&server->clients)) {
        TAILQ_FIRST(&server->clients)->held = 0;
        client_drop(TAILQ_FIRST(&server->clients));
    }
    (void)close(server->fd);
    (void)unlink(server->path);
    sim_free(server);
}
