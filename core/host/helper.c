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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/arguments.h"
#include "host/confine.h"
#include "host/job.h"
#include "host/relay.h"
#include "host/running.h"
#include "host/wire.h"

#define CHILDREN_MAX  PB_HELPER_CHILDREN /* at work at once */
#define PLACES        256 /* with those that are stuck, and those of an earlier helper */
#define KILL_GRACE_MS 1000
#define REQUESTS_MAX  PB_HELPER_REQUESTS
#define LOOK_MS       50 /* whether an earlier helper's child has ended: it is not our child */

enum child_state {
    FREE,
    RUNNING,
    KILLED,    /* its deadline is over */
    ABANDONED, /* and it does not die */
    EARLIER    /* of a helper before us: its device waits for its end */
};

struct child {
    enum child_state state;
    struct pb_running process; /* started: only of EARLIER */
    uint64_t id, due_ms;
    uint32_t deadline_ms;
};

struct waiting {
    TAILQ_ENTRY(waiting) link;
    uint64_t due_ms;
    struct pb_wire_request request;
};

TAILQ_HEAD(waiting_list, waiting);

struct helper {
    int socket_fd;
    struct pb_host_options options;
    struct child child[PLACES];
    unsigned running; /* RUNNING and KILLED */
    unsigned earlier;
    struct waiting_list queue;
    unsigned queued;
    struct pb_relay relay;
};

static void answer(struct helper *h, uint64_t id, int rc, const char *reason)
{
    struct pb_wire_reply reply = { .id = id, .rc = rc };

    (void)snprintf(reply.reason, sizeof(reply.reason), "%s", reason);
    /* A daemon that is gone shows as EOF in the loop. */
    (void)pb_wire_send_reply(h->socket_fd, &reply, -1);
}

static struct child *child_of_device(struct helper *h, struct pb_sbdf sbdf)
{
    for (unsigned i = 0; i < PLACES; i++) {
        if (h->child[i].state != FREE && pb_sbdf_equal(h->child[i].process.sbdf, sbdf))
            return &h->child[i];
    }
    return NULL;
}

static struct child *free_place(struct helper *h)
{
    for (unsigned i = 0; i < PLACES; i++) {
        if (h->child[i].state == FREE)
            return &h->child[i];
    }
    return NULL;
}

/* --- jobs --- */

/* False: nobody heard the answer. */
static bool carry_out(struct helper *h, const struct pb_wire_request *request)
{
    struct pb_wire_reply reply;
    bool sent;
    int fd;

    pb_job_run(request, &h->options, &reply, &fd);
    sent = pb_wire_send_reply(h->socket_fd, &reply, fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return sent;
}

/* What changes a device, and so must be over before somebody else does. */
static bool changes_device(const struct pb_wire_request *request)
{
    return request->kind == PB_JOB_CLAIM || request->kind == PB_JOB_RELEASE ||
           request->kind == PB_JOB_RESET;
}

static void run_child(struct helper *h, const struct pb_wire_request *request)
{
    sigset_t none;
    int rc = 0;

    /* It ignores the terminal's signals as we do: ^C must not leave a device half claimed. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (h->relay.fd >= 0)
        (void)close(h->relay.fd);
    if (changes_device(request))
        rc = pb_running_begin(&h->options, request->sbdf);
    if (rc)
        pb_warn("helper: %s/jobs: %s; a restart of pcibackd would not wait for this job",
                h->options.run_dir, strerror(-rc));
    rc = carry_out(h, request) ? 0 : 1;
    if (changes_device(request))
        pb_running_end(&h->options, request->sbdf);
    _exit(rc);
}

/*
 * Opening config and reading what the kernel has in memory waits for no device and no driver, so
 * that adopting many guests at a start costs no process for each.
 */
static bool needs_no_child(const struct pb_wire_request *request)
{
    return request->kind == PB_JOB_ADOPT;
}

static void start(struct helper *h, const struct pb_wire_request *request, uint64_t due_ms)
{
    struct child *c = free_place(h);
    pid_t pid = c ? fork() : -1;

    if (pid == 0)
        run_child(h, request);
    if (pid < 0) {
        answer(h, request->id, -EAGAIN, "the helper cannot start a child");
        return;
    }
    *c = (struct child){ .state = RUNNING,
                         .process = { .sbdf = request->sbdf, .pid = pid },
                         .id = request->id,
                         .due_ms = due_ms,
                         .deadline_ms = request->deadline_ms };
    h->running++;
}

/* Starts what can be started, or is too late to be: one job a device, CHILDREN_MAX at once. */
static void start_waiting(struct helper *h)
{
    struct waiting *w = TAILQ_FIRST(&h->queue), *next;
    uint64_t now = pb_now_ms();

    for (; w; w = next) {
        const struct child *busy = child_of_device(h, w->request.sbdf);

        next = TAILQ_NEXT(w, link);
        if (busy && busy->state == ABANDONED)
            answer(h, w->request.id, -EBUSY,
                   "an earlier job of this device is stuck in the kernel");
        else if (now >= w->due_ms)
            answer(h, w->request.id, -ETIMEDOUT,
                   busy && busy->state == EARLIER
                       ? "not begun in time: a job of an earlier pcibackd has not ended"
                       : "not begun in time: earlier jobs take long");
        else if (!busy && needs_no_child(&w->request))
            (void)carry_out(h, &w->request);
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

/* --- children --- */

static void child_ended(struct helper *h, struct child *c, int status)
{
    char reason[96];

    if (c->state == RUNNING && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        (void)snprintf(reason, sizeof(reason), "the helper's child ended with status 0x%x", status);
        answer(h, c->id, -EIO, reason);
    } else if (c->state == KILLED) {
        (void)snprintf(reason, sizeof(reason), "not done within %u ms", c->deadline_ms);
        answer(h, c->id, -ETIMEDOUT, reason);
    }
    if (c->state != ABANDONED)
        h->running--;
    c->state = FREE;
}

static void reap(struct helper *h, int signal_fd)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bool found = pb_relay_ended(&h->relay, pid);

        for (unsigned i = 0; !found && i < PLACES; i++) {
            struct child *c = &h->child[i];

            found = c->state != FREE && c->state != EARLIER && c->process.pid == pid;
            if (found)
                child_ended(h, c, status);
        }
    }
}

static void check_deadline(struct helper *h, struct child *c, uint64_t now)
{
    if (c->state == RUNNING && now >= c->due_ms) {
        (void)kill(c->process.pid, SIGKILL);
        c->state = KILLED;
        c->due_ms = now + KILL_GRACE_MS;
    } else if (c->state == KILLED && now >= c->due_ms) {
        c->state = ABANDONED;
        h->running--;
        answer(h, c->id, -ETIMEDOUT, "stuck in the kernel: it does not even die");
    } else if (c->state == EARLIER && !pb_running_alive(&c->process)) {
        pb_running_end(&h->options, c->process.sbdf);
        c->state = FREE;
        h->earlier--;
    }
}

static void check_deadlines(struct helper *h)
{
    uint64_t now = pb_now_ms();

    for (unsigned i = 0; i < PLACES; i++)
        check_deadline(h, &h->child[i], now);
}

static int next_timeout(const struct helper *h)
{
    uint64_t now = pb_now_ms(), first = UINT64_MAX;
    const struct waiting *w;

    for (unsigned i = 0; i < PLACES; i++) {
        const struct child *c = &h->child[i];

        if ((c->state == RUNNING || c->state == KILLED) && c->due_ms < first)
            first = c->due_ms;
    }
    TAILQ_FOREACH (w, &h->queue, link) {
        if (w->due_ms < first)
            first = w->due_ms;
    }
    if (h->earlier > 0 && h->queued > 0 && now + LOOK_MS < first)
        first = now + LOOK_MS;
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)(first - now < 60000 ? first - now : 60000);
}

static void forget(struct helper *h)
{
    struct waiting *w;

    while ((w = TAILQ_FIRST(&h->queue)) != NULL) {
        TAILQ_REMOVE(&h->queue, w, link);
        free(w);
    }
}

/* Before the first request. */
static void find_earlier(struct helper *h)
{
    static struct pb_running found[PLACES / 2];
    int rc = pb_running_lock(&h->options);

    if (rc)
        pb_warn("helper: %s: %s; another pcibackd's helper may still be at work",
                h->options.run_dir, strerror(-rc));
    h->earlier = pb_running_find(&h->options, PB_ARRAY_SIZE(found), found);
    for (unsigned i = 0; i < h->earlier; i++)
        h->child[i] = (struct child){ .state = EARLIER, .process = found[i] };
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
        /*
         * Children go on without us: what they began must not be left half done. What was asked and
         * not begun is the next daemon's to ask again.
         */
        if ((fds[0].revents & (POLLHUP | POLLERR)) || (fds[0].revents && !receive(h)))
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
    static struct helper h;
    int signal_fd;

    if (!pb_arguments_take(argc, argv, &h.options, &h.socket_fd))
        return 2;
    TAILQ_INIT(&h.queue);
    (void)umask(022);
    (void)fcntl(h.socket_fd, F_SETFD, FD_CLOEXEC); /* not modprobe's */
    signal_fd = block_signals();
    if (signal_fd < 0) {
        pb_err("helper: signalfd: %s", strerror(errno));
        return 1;
    }
    if (!confine(&h))
        return 1;
    find_earlier(&h);
    run(&h, signal_fd);
    forget(&h);
    (void)close(signal_fd);
    return 0;
}
