/* SPDX-License-Identifier: MIT */
/*
 * The helper process: one child a job, each with a deadline. A child that does not even die of
 * SIGKILL is stuck in the kernel; it is abandoned, and its device is busy until it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/arguments.h"
#include "host/confine.h"
#include "host/job.h"
#include "host/relay.h"
#include "host/wire.h"

#define CHILDREN_MAX  16
#define KILL_GRACE_MS 1000
#define REQUESTS_MAX  4096

enum child_state { RUNNING, KILLED, ABANDONED };

struct child {
    TAILQ_ENTRY(child) link;
    pid_t pid;
    enum child_state state;
    uint64_t due_ms;
    struct pb_wire_request request;
};

struct waiting {
    TAILQ_ENTRY(waiting) link;
    uint64_t due_ms;
    struct pb_wire_request request;
};

TAILQ_HEAD(child_list, child);
TAILQ_HEAD(waiting_list, waiting);

struct helper {
    int socket_fd;
    struct pb_host_options options;
    struct child_list children;
    unsigned running; /* not abandoned */
    struct waiting_list queue;
    unsigned queued;
    struct pb_relay relay;
};

static void answer(struct helper *h, const struct pb_wire_request *request, int rc,
                   const char *reason)
{
    struct pb_wire_reply reply = { .id = request->id, .rc = rc };

    (void)snprintf(reply.reason, sizeof(reply.reason), "%s", reason);
    /* A daemon that is gone shows as EOF in the loop. */
    (void)pb_wire_send_reply(h->socket_fd, &reply, -1);
}

static struct child *child_of_device(struct helper *h, struct pb_sbdf sbdf)
{
    struct child *c;

    TAILQ_FOREACH (c, &h->children, link) {
        if (pb_sbdf_equal(c->request.sbdf, sbdf))
            return c;
    }
    return NULL;
}

static void run_child(struct helper *h, const struct pb_wire_request *request)
{
    struct pb_wire_reply reply;
    sigset_t none;
    int fd;

    /* It ignores the terminal's signals as we do: ^C must not leave a device half claimed. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    pb_job_run(request, &h->options, &reply, &fd);
    _exit(pb_wire_send_reply(h->socket_fd, &reply, fd) == 0 ? 0 : 1);
}

static void start(struct helper *h, const struct pb_wire_request *request, uint64_t due_ms)
{
    struct child *c = calloc(1, sizeof(*c));
    pid_t pid = c ? fork() : -1;

    if (pid == 0)
        run_child(h, request);
    if (pid < 0) {
        free(c);
        answer(h, request, -EAGAIN, "the helper cannot start a child");
        return;
    }
    c->pid = pid;
    c->request = *request;
    c->due_ms = due_ms;
    TAILQ_INSERT_HEAD(&h->children, c, link);
    h->running++;
}

/* Starts what can be started, or is too late to be: one job a device, CHILDREN_MAX at once. */
static void start_waiting(struct helper *h)
{
    struct waiting *w = TAILQ_FIRST(&h->queue), *next;
    uint64_t now = pb_now_ms();

    for (; w; w = next) {
        struct child *busy = child_of_device(h, w->request.sbdf);

        next = TAILQ_NEXT(w, link);
        if (busy && busy->state == ABANDONED)
            answer(h, &w->request, -EBUSY, "an earlier job of this device is stuck in the kernel");
        else if (now >= w->due_ms)
            answer(h, &w->request, -ETIMEDOUT, "not begun in time: earlier jobs take long");
        else if (!busy && h->running < CHILDREN_MAX)
            start(h, &w->request, w->due_ms);
        else
            continue;
        TAILQ_REMOVE(&h->queue, w, link);
        h->queued--;
        free(w);
    }
}

/* False at the end of the socket. */
static bool receive(struct helper *h)
{
    struct waiting *w = calloc(1, sizeof(*w));
    int rc;

    if (!w)
        return true; /* stays in the socket until there is memory */
    rc = pb_wire_receive_request(h->socket_fd, &w->request);
    if (rc != 1) {
        free(w);
        return rc == 0;
    }
    /* From here, not from its start: the daemon's patience does not know of our queue. */
    w->due_ms = pb_now_ms() + w->request.deadline_ms;
    TAILQ_INSERT_TAIL(&h->queue, w, link);
    h->queued++;
    return true;
}

static void child_ended(struct helper *h, struct child *c, int status)
{
    char reason[96];

    if (c->state == RUNNING && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        (void)snprintf(reason, sizeof(reason), "the helper's child ended with status 0x%x", status);
        answer(h, &c->request, -EIO, reason);
    } else if (c->state == KILLED) {
        (void)snprintf(reason, sizeof(reason), "not done within %u ms", c->request.deadline_ms);
        answer(h, &c->request, -ETIMEDOUT, reason);
    }
    if (c->state != ABANDONED)
        h->running--;
    TAILQ_REMOVE(&h->children, c, link);
    free(c);
}

static void reap(struct helper *h, int signal_fd)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c;

        if (pb_relay_ended(&h->relay, pid))
            continue;
        TAILQ_FOREACH (c, &h->children, link) {
            if (c->pid == pid) {
                child_ended(h, c, status);
                break;
            }
        }
    }
}

static void check_deadlines(struct helper *h)
{
    uint64_t now = pb_now_ms();
    struct child *c;

    TAILQ_FOREACH (c, &h->children, link) {
        if (c->state == ABANDONED || now < c->due_ms)
            continue;
        if (c->state == RUNNING) {
            (void)kill(c->pid, SIGKILL);
            c->state = KILLED;
            c->due_ms = now + KILL_GRACE_MS;
        } else {
            c->state = ABANDONED;
            h->running--;
            answer(h, &c->request, -ETIMEDOUT, "stuck in the kernel: it does not even die");
        }
    }
}

static int next_timeout(const struct helper *h)
{
    uint64_t now = pb_now_ms(), first = UINT64_MAX;
    const struct waiting *w;
    const struct child *c;

    TAILQ_FOREACH (c, &h->children, link) {
        if (c->state != ABANDONED && c->due_ms < first)
            first = c->due_ms;
    }
    TAILQ_FOREACH (w, &h->queue, link) {
        if (w->due_ms < first)
            first = w->due_ms;
    }
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)(first - now < 60000 ? first - now : 60000);
}

static void forget(struct helper *h)
{
    struct waiting *w;
    struct child *c;

    while ((w = TAILQ_FIRST(&h->queue)) != NULL) {
        TAILQ_REMOVE(&h->queue, w, link);
        free(w);
    }
    while ((c = TAILQ_FIRST(&h->children)) != NULL) {
        TAILQ_REMOVE(&h->children, c, link);
        free(c);
    }
}

/* Signals of the terminal or the manager do not end us: the end of the socket does. */
static int block_signals(void)
{
    sigset_t mask;

    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, children would leave no status */
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* In the child it does not return. */
static void serve_relay(struct helper *h, int signal_fd)
{
    int client, status;

    pb_relay_accept(&h->relay, &client);
    if (client < 0)
        return;
    (void)close(h->socket_fd);
    (void)close(signal_fd);
    (void)close(h->relay.fd);
    status = pb_relay_main(&h->relay, client);
    _exit(status);
}

static void run(struct helper *h, int signal_fd)
{
    struct pollfd fds[] = { { .fd = h->socket_fd },
                            { .fd = signal_fd, .events = POLLIN },
                            { .fd = h->relay.fd, .events = POLLIN } };

    for (;;) {
        fds[0].events = h->queued < REQUESTS_MAX ? POLLIN : 0;
        if (poll(fds, PB_ARRAY_SIZE(fds), next_timeout(h)) < 0) {
            if (errno != EINTR)
                return;
            continue;
        }
        if (fds[1].revents)
            reap(h, signal_fd);
        check_deadlines(h);
        /* Children go on without us: what they began must not be left half done. */
        if (fds[0].revents && !receive(h))
            return;
        start_waiting(h);
        if (fds[2].revents)
            serve_relay(h, signal_fd);
    }
}

/* False: it must not run with what it has. */
static bool confine(struct helper *h)
{
    int rc = pb_relay_open(&h->relay, h->options.run_dir, h->options.store, h->options.uid);

    if (rc)
        pb_warn("%s/" PB_HOST_RELAY ": %s; restart pcibackd when xenstored has been restarted",
                h->options.run_dir, strerror(-rc));
    if (geteuid() != 0)
        return true; /* nothing to give up: a test */
    rc = pb_confine_helper();
    if (rc)
        pb_err("helper: cannot give up what it does not need: %s", strerror(-rc));
    return rc == 0;
}

int pb_helper_main(int argc, char **argv)
{
    struct helper h = { .socket_fd = -1 };
    int signal_fd;

    if (!pb_arguments_take(argc, argv, &h.options, &h.socket_fd))
        return 2;
    TAILQ_INIT(&h.children);
    TAILQ_INIT(&h.queue);
    (void)fcntl(h.socket_fd, F_SETFD, FD_CLOEXEC); /* not modprobe's */
    signal_fd = block_signals();
    if (signal_fd < 0) {
        pb_err("helper: signalfd: %s", strerror(errno));
        return 1;
    }
    if (!confine(&h))
        return 1;
    run(&h, signal_fd);
    forget(&h);
    (void)close(signal_fd);
    return 0;
}
