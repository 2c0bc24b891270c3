/* SPDX-License-Identifier: MIT */
/*
 * A client of the control socket, over a backend without a machine. Every line that comes back is
 * an answer, there is at most one for each line that was sent, the socket is closed when all is
 * answered, and who is not root changes nothing.
 *
 * The first byte: whether the client is root, and in what pieces it sends.
 */
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon/reload.h"
#include "daemon/verbs.h"
#include "fake_backend.h"
#include "fuzz.h"

#define MESSAGE_MAX 4096
#define OUTPUT_MAX  (4u << 20)

struct daemon {
    char dir[32], path[64];
    struct ev_loop *loop;
    struct pb_backend *backend;
    struct pb_verbs verbs;
};

static uid_t client_uid;

/* In place of the C library's: who the client is. */
int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    int rc = (int)syscall(SYS_getsockopt, fd, level, name, value, length);

    if (rc == 0 && level == SOL_SOCKET && name == SO_PEERCRED)
        ((struct ucred *)value)->uid = client_uid;
    return rc;
}

static void remove_socket(struct daemon *d)
{
    pb_control_quiesce(d->verbs.control);
    pb_reloader_free(d->verbs.reloader);
    pb_backend_free(d->backend);
    pb_control_close(d->verbs.control);
    ev_loop_destroy(d->loop);
    (void)rmdir(d->dir);
}

static void start(struct daemon *d)
{
    struct pb_control_options options = {
        .group = "root", .limits = &d->verbs.limits, .message = pb_verbs_message, .ctx = &d->verbs
    };
    struct pb_reloader_options reload = {
        .source = { .config_path = "/nonexistent/none.json", .any_owner = true }, .verbs = &d->verbs
    };
    struct pb_json_error error = { 0 };
    struct pb_policy policy;
    char why[300];

    pb_policy_init(&policy);
    policy.limits.control_message_bytes = MESSAGE_MAX;
    /* who is not root must not wait for a second here */
    policy.limits.control_requests_per_s = policy.limits.control_readers_requests_per_s = 1000000;
    (void)snprintf(d->dir, sizeof(d->dir), "/tmp/pb-fuzz-XXXXXX");
    PB_ASSERT(mkdtemp(d->dir));
    (void)snprintf(d->path, sizeof(d->path), "%s/socket", d->dir);
    options.path = d->path;
    d->loop = ev_loop_new(EVFLAG_AUTO);
    PB_ASSERT(pb_backend_new(d->loop, NULL, NULL, NULL, NULL, &d->backend) == 0);
    d->verbs = (struct pb_verbs){ .backend = d->backend,
                                  .limits = policy.limits,
                                  .started_ms = pb_now_ms() };
    reload.loop = d->loop;
    d->verbs.reloader =
        pb_reloader_new(&reload, pb_config_load(reload.source.config_path, false, true, &error));
    PB_ASSERT(d->verbs.reloader);
    PB_ASSERT(pb_control_open(d->loop, &options, &d->verbs.control, why, sizeof(why)) == 0);
}

static int connect_to(const struct daemon *d)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", d->path);
    PB_ASSERT(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static unsigned lines_in(const char *text, size_t length)
{
    unsigned lines = 0;

    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return lines;
}

static void check_answer(const char *line, size_t length)
{
    json_t *answer = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

    PB_ASSERT(json_is_object(answer));
    PB_ASSERT(strcmp(json_string_value(json_object_get(answer, "jsonrpc")), "2.0") == 0);
    PB_ASSERT(json_object_get(answer, "id"));
    PB_ASSERT(!json_object_get(answer, "result") != !json_object_get(answer, "error"));
    json_decref(answer);
}

static void check_answers(const char *output, size_t length, unsigned lines_sent)
{
    PB_ASSERT(lines_in(output, length) <= lines_sent);
    while (length > 0) {
        const char *end = memchr(output, '\n', length);

        PB_ASSERT(end);
        check_answer(output, (size_t)(end - output));
        length -= (size_t)(end - output) + 1;
        output = end + 1;
    }
}

static void tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ONE);
}

/* The daemon's turn: at once, or after a while when nothing happens. */
static void turn(struct daemon *d, bool wait)
{
    ev_timer timer;

    if (!wait) {
        (void)ev_run(d->loop, EVRUN_NOWAIT);
        return;
    }
    ev_timer_init(&timer, tick, 0.002, 0.);
    ev_timer_start(d->loop, &timer);
    (void)ev_run(d->loop, EVRUN_ONCE);
    ev_timer_stop(d->loop, &timer);
    fake_backend_complete(d->backend);
}

struct client {
    int fd;
    bool ended; /* the daemon has closed */
    char *output;
    size_t length;
};

static void receive(struct client *c)
{
    ssize_t n;

    while (!c->ended && c->length < OUTPUT_MAX &&
           (n = recv(c->fd, c->output + c->length, OUTPUT_MAX - c->length, 0)) != -1) {
        c->length += (size_t)n;
        c->ended = n == 0;
    }
    if (!c->ended && errno != EAGAIN)
        c->ended = true; /* reset: it was closed with bytes of ours unread */
}

static void talk(struct daemon *d, struct client *c, const uint8_t *data, size_t size, size_t piece)
{
    uint64_t begun = pb_now_ms();
    bool shut = false;

    while (!c->ended) {
        ssize_t n = size ? send(c->fd, data, size < piece ? size : piece, MSG_NOSIGNAL) : 0;

        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN) {
            size = 0; /* it has closed */
        }
        if (size == 0 && !shut) {
            (void)shutdown(c->fd, SHUT_WR);
            shut = true;
        }
        turn(d, shut);
        receive(c);
        PB_ASSERT(pb_now_ms() - begun < 15000 && "a client waits for ever");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct daemon daemon;
    static char output[OUTPUT_MAX];
    struct client c = { .output = output };
    const struct fake_calls *calls;
    unsigned before;

    if (size == 0)
        return 0;
    start(&daemon);
    calls = fake_backend_calls(daemon.backend);
    before = calls->count;
    client_uid = data[0] & 1 ? 1000 : 0;
    c.fd = connect_to(&daemon);
    talk(&daemon, &c, data + 1, size - 1, data[0] >> 1 ? data[0] >> 1 : SIZE_MAX);
    /* an unfinished line may be answered, too: it is too long */
    check_answers(output, c.length, lines_in((const char *)data + 1, size - 1) + 1);
    PB_ASSERT(client_uid == 0 || calls->count == before);
    (void)close(c.fd);
    turn(&daemon, false);
    PB_ASSERT(pb_control_use(daemon.verbs.control)->clients == 0);
    remove_socket(&daemon);
    return 0;
}
