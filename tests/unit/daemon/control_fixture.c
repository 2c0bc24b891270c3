/* SPDX-License-Identifier: MIT */
#include "control_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

static int open_with_stall(void **state, double stall_s)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pb_control_options options = {
        .group = "root", .limits = &f->verbs.limits, .stall_s = stall_s, .message = pb_verbs_message
    };
    struct pb_policy policy;
    char why[300];

    pb_policy_init(&policy);
    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    strcpy(f->dir, "/tmp/pb-control-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chmod(f->dir, 0755), 0);
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    f->loop = ev_loop_new(EVFLAG_AUTO);
    f->reply = malloc(REPLY_MAX);
    assert_int_equal(pb_backend_new(f->loop, NULL, NULL, NULL, NULL, &f->backend), 0);
    f->verbs = (struct pb_verbs){ .backend = f->backend, .limits = policy.limits };
    f->verbs.limits.control_clients = CLIENTS_MAX;
    f->verbs.limits.control_message_bytes = MESSAGE_MAX;
    options.path = f->path;
    options.ctx = &f->verbs;
    assert_int_equal(pb_control_open(f->loop, &options, &f->control, why, sizeof(why)), 0);
    f->verbs.control = f->control;
    *state = f;
    return 0;
}

int control_setup(void **state)
{
    return open_with_stall(state, PB_CONTROL_STALL_S);
}

int control_setup_impatient(void **state)
{
    return open_with_stall(state, 0.5);
}

int control_teardown(void **state)
{
    struct fixture *f = *state;

    pb_control_quiesce(f->control);
    pb_backend_free(f->backend);
    pb_control_close(f->control);
    assert_int_equal(access(f->path, F_OK), -1);
    ev_loop_destroy(f->loop);
    rmdir(f->dir);
    free(f->reply);
    free(f);
    return 0;
}

int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void turn(struct fixture *f)
{
    ev_run(f->loop, EVRUN_NOWAIT);
}

/* Some turns of the loop: whatever can happen without anybody's doing has happened then. */
void settle(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        turn(f);
}

int new_client(struct fixture *f)
{
    int fd = connect_to(f->path);

    assert_true(fd >= 0);
    settle(f);
    return fd;
}

void send_bytes(int fd, const char *text, size_t length)
{
    assert_int_equal(send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT), length);
}

void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

/* The next line, which stays in f->reply; NULL: the connection was closed. */
const char *receive(struct fixture *f, int fd)
{
    uint64_t end = pb_now_ms() + PATIENCE_MS;
    size_t n = 0;

    while (pb_now_ms() < end) {
        char *newline;
        ssize_t r;

        turn(f);
        assert_true(n + 1 < REPLY_MAX);
        r = recv(fd, f->reply + n, REPLY_MAX - n - 1, MSG_DONTWAIT | MSG_PEEK);
        if (r == 0)
            return NULL;
        if (r < 0 && (errno == ECONNRESET || errno == EPIPE))
            return NULL;
        if (r < 0)
            continue;
        newline = memchr(f->reply + n, '\n', (size_t)r);
        if (newline) /* what comes behind it is the next one's */
            r = newline + 1 - (f->reply + n);
        assert_int_equal(recv(fd, f->reply + n, (size_t)r, MSG_DONTWAIT), r);
        n += (size_t)r;
        if (newline) {
            *newline = '\0';
            return f->reply;
        }
    }
    fail_msg("no answer after %d ms; so far: %.*s", PATIENCE_MS, (int)n, f->reply);
    return NULL;
}

bool nothing_arrives(struct fixture *f, int fd)
{
    char byte;

    settle(f);
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

void assert_has(const char *text, const char *part)
{
    assert_non_null(text);
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in %s", part, text);
}

const char *ask(struct fixture *f, int fd, const char *method, const char *params)
{
    char request[512];

    snprintf(request, sizeof(request),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", method, params);
    send_text(fd, request);
    return receive(f, fd);
}

void needs_root(void)
{
    if (geteuid() != 0)
        skip();
}
