/* SPDX-License-Identifier: MIT */
#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

struct exchange {
    int fd;
    uint64_t deadline_ms;
    char *why, *next;
    size_t size;
};

static bool fail(const struct exchange *x, const char *next, const char *why)
{
    (void)snprintf(x->why, x->size, "%s", why);
    (void)snprintf(x->next, x->size, "%s", next);
    return false;
}

static bool fail_connect(const struct exchange *x, const char *path, int error)
{
    const char *next = error == EACCES || error == EPERM
                           ? "run as root or as a member of the socket's group"
                           : "start pcibackd, or name its socket with --socket";

    (void)snprintf(x->why, x->size, "no daemon answers at %s: %s", path, strerror(error));
    (void)snprintf(x->next, x->size, "%s", next);
    return false;
}

/* True when it is ready before the deadline. */
static bool wait_for(const struct exchange *x, short events)
{
    struct pollfd p = { .fd = x->fd, .events = events };
    uint64_t now;
    int n;

    do {
        now = pb_now_ms();
        if (now >= x->deadline_ms)
            return fail(x, "see `pcibackctl list` and the daemon's log; the verb goes on there",
                        "the daemon did not answer in time");
        n = poll(&p, 1, (int)(x->deadline_ms - now > INT32_MAX ? INT32_MAX : x->deadline_ms - now));
    } while (n == 0 || (n < 0 && errno == EINTR));
    return n > 0 || fail(x, "", strerror(errno));
}

static bool connect_to(struct exchange *x, const char *path, unsigned timeout_s)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval timeout = { .tv_sec = (time_t)timeout_s };

    if (strlen(path) >= sizeof(address.sun_path))
        return fail_connect(x, path, ENAMETOOLONG);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (x->fd < 0)
        return fail_connect(x, path, errno);
    /* connect waits while the daemon's backlog is full */
    (void)setsockopt(x->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(x->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return fail_connect(x, path, errno);
    return true;
}

static bool lost(const struct exchange *x)
{
    return fail(x, "see its log and `pcibackctl list`", "the daemon closed the connection");
}

static bool send_all(const struct exchange *x, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n;

        if (!wait_for(x, POLLOUT))
            return false;
        n = send(x->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return lost(x);
        text += n;
        length -= (size_t)n;
    }
    return true;
}

/* A line without its newline, to be freed. */
static char *receive_line(const struct exchange *x, size_t *ret_length)
{
    size_t length = 0, capacity = 0;
    char *text = NULL, *newline;

    for (;;) {
        ssize_t n;

        if (length == capacity) {
            char *grown;

            capacity = capacity ? capacity * 2 : 65536;
            grown = capacity <= PB_CTL_REPLY_MAX ? realloc(text, capacity) : NULL;
            if (!grown) {
                (void)fail(x, "", "the daemon's answer is too long");
                break;
            }
            text = grown;
        }
        if (!wait_for(x, POLLIN))
            break;
        n = recv(x->fd, text + length, capacity - length, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0) {
            (void)lost(x);
            break;
        }
        newline = memchr(text + length, '\n', (size_t)n);
        length += (size_t)n;
        if (newline) {
            *ret_length = (size_t)(newline - text);
            return text;
        }
    }
    free(text);
    return NULL;
}

static json_t *exchange(struct exchange *x, const char *request)
{
    struct pb_json_error error = { 0 };
    json_t *reply = NULL;
    size_t length = 0;
    char *line;

    if (!send_all(x, request, strlen(request)) || !send_all(x, "\n", 1))
        return NULL;
    line = receive_line(x, &length);
    if (line) {
        reply = pb_json_parse(line, length, "answer", &error);
        if (!reply)
            (void)fail(x, "is it another program's socket?", error.text);
    }
    free(line);
    return reply;
}

json_t *pb_ctl_ask(const char *socket, unsigned timeout_s, const char *method, json_t *params,
                   char *why, char *next, size_t size)
{
    struct exchange x = { .fd = -1, .why = why, .next = next, .size = size };
    json_t *message, *reply = NULL;
    char *text;

    x.deadline_ms = pb_now_ms() + 1000ULL * timeout_s;
    message = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method", method,
                        "params", params);
    text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (!text)
        (void)fail(&x, "", "out of memory");
    else if (connect_to(&x, socket, timeout_s))
        reply = exchange(&x, text);
    free(text);
    if (x.fd >= 0)
        (void)close(x.fd);
    if (reply && !json_object_get(reply, "result") && !json_object_get(reply, "error")) {
        (void)fail(&x, "is it another program's socket?", "the answer is not JSON-RPC");
        json_decref(reply);
        reply = NULL;
    }
    return reply;
}
