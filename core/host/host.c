/* SPDX-License-Identifier: MIT */
/* The daemon's side: cycles on open devices, and jobs for the helper. */
#include "host/host.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "host/arguments.h"
#include "host/uevent.h"
#include "host/wire.h"

#define HELPER_FD     3
#define GRACE_MS      5000 /* beyond a job's deadline: then the helper itself does not answer */
#define CYCLES_MAX    8    /* waiting on one device: an access, scripts, a stop */
#define ACCESS_MS     2000
#define TICK_S        0.25
#define FAST_IN_A_ROW 3

struct pb_hw {
    TAILQ_ENTRY(pb_hw) link;
    struct pb_sbdf sbdf;
    struct pb_ratelimit slow_lines; /* a guest can make its device slow */
    int fd;
    bool doubtful;
    unsigned fast;
    bool closing;
    uint64_t in_flight; /* id of the access that the helper carries out, 0 none */
    uint64_t due_ms;    /* of the first that waits */
    unsigned count;
    struct pb_hw_cycle *waiting[CYCLES_MAX]; /* [0] is the one in flight, or to be sent */
};

TAILQ_HEAD(job_list, pb_job);
TAILQ_HEAD(hw_list, pb_hw);

struct host {
    struct pb_host base;
    struct ev_loop *loop;
    int fd;
    pid_t helper;
    int pidfd; /* -1: the kernel is older than 5.3 */
    bool dead;
    uint64_t next_id;
    uint64_t tick_ns; /* how coarse the clock is that accesses are measured by */
    ev_io io, end;
    ev_timer tick;
    struct job_list jobs; /* in the order in which they were submitted */
    struct hw_list hws;
    struct pb_uevents *uevents; /* NULL: there are none on this host */
};

static struct host *host_of(struct pb_host *h)
{
    return PB_CONTAINER_OF(h, struct host, base);
}

/* --- jobs --- */

static void complete(struct host *h, struct pb_job *job, int rc, const char *reason)
{
    TAILQ_REMOVE(&h->jobs, job, link);
    job->rc = rc;
    if (reason)
        (void)snprintf(job->reason, sizeof(job->reason), "%s", reason);
    job->done(job, job->ctx);
}

static int send_request(struct host *h, const struct pb_wire_request *request)
{
    if (h->dead)
        return -EPIPE;
    if (send(h->fd, request, pb_wire_request_size(request), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return -errno;
    return 0;
}

/* Runs while anything waits for the helper; at once when there is none to wait for. */
static void start_tick(struct host *h)
{
    if ((ev_is_active(&h->tick) && !h->dead) || (h->dead && h->base.gone))
        return;
    ev_timer_stop(h->loop, &h->tick);
    ev_timer_set(&h->tick, h->dead ? 0. : TICK_S, TICK_S);
    ev_timer_start(h->loop, &h->tick);
}

static void submit_to_helper(struct host *h, struct pb_job *job)
{
    struct pb_wire_request request = { .id = job->id,
                                       .kind = (uint32_t)job->kind,
                                       .deadline_ms = job->deadline_ms,
                                       .force = job->force,
                                       .sbdf = job->sbdf,
                                       .settle_ms = job->settle_ms,
                                       .plugin_count = job->plugin_count,
                                       .domid = job->domid };
    int rc;

    memcpy(request.driver, job->driver, sizeof(request.driver));
    memcpy(request.method, job->method, sizeof(request.method));
    if (job->plugin_count) {
        memcpy(request.plugin, job->plugin, sizeof(request.plugin));
        if (job->claimed) {
            request.image_size = job->claimed->config_size;
            memcpy(request.image, job->claimed->config, sizeof(request.image));
        }
    }
    if (job->kind == PB_JOB_SAVE_SLOTS || job->kind == PB_JOB_LIST) {
        PB_ASSERT(job->slot_count <= PB_SLOTS_SAVED_MAX);
        request.slot_count = (uint32_t)job->slot_count;
        if (job->slot_count)
            memcpy(request.slot, job->slots, job->slot_count * sizeof(*job->slots));
    }
    rc = send_request(h, &request);
    /* EAGAIN: the socket is full; the tick tries again until the job's time is over. */
    job->sent = rc == 0;
    if (rc == -EPIPE || rc == -ECONNRESET)
        h->dead = true;
}

static void job_submit(struct pb_host *base, struct pb_job *job)
{
    struct host *h = host_of(base);
    const struct pb_job *before = TAILQ_LAST(&h->jobs, job_list);

    job->id = ++h->next_id;
    job->due_ms = pb_now_ms() + job->deadline_ms + GRACE_MS;
    job->hw = NULL;
    job->reason[0] = '\0';
    job->next[0] = '\0';
    job->sent = false;
    TAILQ_INSERT_TAIL(&h->jobs, job, link);
    /* Not past one that the socket had no room for: jobs of a device keep their order. */
    if (!before || before->sent)
        submit_to_helper(h, job);
    start_tick(h);
}

/* Those up to LAST: what a callback submits meanwhile has its own turn. */
static void end_jobs(struct host *h, uint64_t last, uint64_t now)
{
    struct pb_job *job = TAILQ_FIRST(&h->jobs);

    while (job && job->id <= last) {
        if (h->dead) {
            complete(h, job, -EPIPE, "the helper process is gone: restart pcibackd");
        } else if (now >= job->due_ms) {
            complete(h, job, -ETIMEDOUT, "the helper process does not answer");
        } else {
            job = TAILQ_NEXT(job, link);
            continue;
        }
        job = TAILQ_FIRST(&h->jobs); /* the callback may have changed the list */
    }
}

static void send_jobs(struct host *h)
{
    struct pb_job *job;

    TAILQ_FOREACH (job, &h->jobs, link) {
        if (!job->sent)
            submit_to_helper(h, job);
        if (!job->sent)
            return;
    }
}

/* --- cycles --- */

static int do_cycle(const struct pb_hw *hw, struct pb_hw_cycle *c)
{
    uint8_t bytes[4];
    ssize_t n;

    if (c->write) {
        pb_le_put(bytes, c->size, c->value);
        n = pwrite(hw->fd, bytes, c->size, c->offset);
    } else {
        n = pread(hw->fd, bytes, c->size, c->offset);
        if (n == (ssize_t)c->size)
            c->value = pb_le_get(bytes, c->size);
    }
    if (n == (ssize_t)c->size)
        return 0;
    /* 0: beyond what this descriptor may see (H19) */
    return n < 0 ? -errno : -EPERM;
}

static void pop_cycle(struct pb_hw *hw)
{
    hw->count--;
    memmove(hw->waiting, hw->waiting + 1, hw->count * sizeof(struct pb_hw_cycle *));
}

static int send_access(struct host *h, struct pb_hw *hw, const struct pb_hw_cycle *c)
{
    struct pb_wire_request request = { .id = ++h->next_id,
                                       .kind = PB_WIRE_ACCESS,
                                       .deadline_ms = ACCESS_MS,
                                       .sbdf = hw->sbdf,
                                       .write = c->write,
                                       .size = c->size,
                                       .offset = c->offset,
                                       .value = c->value };
    int rc = send_request(h, &request);

    if (rc == 0)
        hw->in_flight = request.id;
    return rc;
}

/* The next one that waits. What cannot be sent now waits for the tick, or for the helper's end. */
static void start_access(struct host *h, struct pb_hw *hw)
{
    if (hw->count == 0 || hw->in_flight)
        return;
    hw->due_ms = pb_now_ms() + ACCESS_MS + GRACE_MS;
    (void)send_access(h, hw, hw->waiting[0]);
    start_tick(h);
}

static struct pb_hw *first_waiting(struct host *h, uint64_t due_ms)
{
    struct pb_hw *hw;

    TAILQ_FOREACH (hw, &h->hws, link) {
        if (hw->count > 0 && hw->due_ms <= due_ms)
            return hw;
    }
    return NULL;
}

/* The first ones, where they were due by DUE_MS; all of them without a helper. */
static void end_cycles(struct host *h, uint64_t due_ms, int rc)
{
    struct pb_hw *hw;

    while ((hw = first_waiting(h, due_ms)) != NULL) {
        struct pb_hw_cycle *c = hw->waiting[0];

        hw->in_flight = 0;
        pop_cycle(hw);
        if (!h->dead)
            start_access(h, hw); /* a new one, with a time of its own */
        c->rc = rc;
        c->done(c, c->ctx); /* may close the device */
    }
}

static void doubt(struct pb_hw *hw, uint64_t took_ms)
{
    unsigned suppressed;

    hw->doubtful = true;
    hw->fast = 0;
    if (pb_ratelimit_allow(&hw->slow_lines, pb_now_ms(), 3, 60000, &suppressed))
        pb_notice("%04x:%02x:%02x.%x: an access took about %llu ms; served aside until it is fast "
                  "again%s",
                  hw->sbdf.segment, hw->sbdf.bus, (unsigned)PB_DEVFN_DEV(hw->sbdf.devfn),
                  PB_DEVFN_FN(hw->sbdf.devfn), (unsigned long long)took_ms,
                  pb_ratelimit_note(suppressed));
}

/* By the coarse clock, which counts ticks: one of them may pass in the fastest access. */
static bool is_slow(const struct host *h, uint64_t took_ns)
{
    return took_ns >= PB_HW_SLOW_MS * UINT64_C(1000000) && took_ns > h->tick_ns;
}

static enum pb_hw_when cycle_submit(struct pb_host *base, struct pb_hw_cycle *c)
{
    struct host *h = host_of(base);
    struct pb_hw *hw = c->hw;
    uint64_t began, took;

    if (!hw->doubtful) {
        began = pb_coarse_ns();
        c->rc = do_cycle(hw, c);
        took = pb_coarse_ns() - began;
        if (is_slow(h, took))
            doubt(hw, took / 1000000);
        return PB_HW_NOW;
    }
    c->rc = hw->closing ? -ECANCELED : h->dead ? -EPIPE : hw->count == CYCLES_MAX ? -EBUSY : 0;
    if (c->rc)
        return PB_HW_NOW;
    hw->waiting[hw->count++] = c;
    if (hw->count == 1)
        start_access(h, hw);
    return PB_HW_LATER;
}

static void access_done(struct host *h, struct pb_hw *hw, const struct pb_wire_reply *reply)
{
    struct pb_hw_cycle *c = hw->waiting[0];

    hw->in_flight = 0;
    pop_cycle(hw);
    if (reply->rc == 0 && reply->took_us < PB_HW_SLOW_MS * 1000)
        hw->fast++;
    else
        hw->fast = 0;
    if (hw->fast >= FAST_IN_A_ROW && hw->count == 0)
        hw->doubtful = false;
    c->rc = reply->rc;
    if (!c->write)
        c->value = reply->value;
    start_access(h, hw);
    c->done(c, c->ctx);
}

static void hw_close(struct pb_host *base, struct pb_hw *hw)
{
    struct host *h = host_of(base);

    hw->closing = true;
    while (hw->count > 0) {
        struct pb_hw_cycle *c = hw->waiting[0];

        pop_cycle(hw);
        c->rc = -ECANCELED;
        c->done(c, c->ctx);
    }
    TAILQ_REMOVE(&h->hws, hw, link);
    (void)close(hw->fd);
    free(hw);
}

static void tick_cb(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct host *h = timer->data;
    uint64_t now = pb_now_ms();
    struct pb_hw *hw;

    (void)loop;
    (void)events;
    end_jobs(h, h->next_id, now);
    end_cycles(h, now, -ETIMEDOUT);
    if (!h->dead) {
        send_jobs(h);
        TAILQ_FOREACH (hw, &h->hws, link) {
            if (hw->count > 0 && !hw->in_flight)
                (void)send_access(h, hw, hw->waiting[0]);
        }
    }
    if (TAILQ_EMPTY(&h->jobs) && !first_waiting(h, UINT64_MAX))
        ev_timer_stop(h->loop, &h->tick);
}

/* --- replies --- */

static struct pb_hw *new_hw(struct host *h, struct pb_sbdf sbdf, int fd)
{
    struct pb_hw *hw = calloc(1, sizeof(*hw));

    if (!hw)
        return NULL;
    hw->sbdf = sbdf;
    hw->fd = fd;
    TAILQ_INSERT_TAIL(&h->hws, hw, link);
    return hw;
}

static void job_reply(struct host *h, struct pb_job *job, const struct pb_wire_reply *reply, int fd)
{
    int rc = reply->rc;

    memcpy(job->reason, reply->reason, sizeof(job->reason));
    memcpy(job->next, reply->next, sizeof(job->next));
    memcpy(job->driver_before, reply->driver_before, sizeof(job->driver_before));
    job->host_command = reply->host_command;
    memcpy(job->driver_now, reply->driver_now, sizeof(job->driver_now));
    job->facts = reply->facts;
    job->surroundings = reply->surroundings;
    job->listed_count = reply->listed_count < PB_LISTED_MAX ? reply->listed_count : PB_LISTED_MAX;
    memcpy(job->listed, reply->listed, sizeof(job->listed));
    if (fd >= 0 && rc == 0) {
        job->hw = new_hw(h, job->sbdf, fd);
        if (!job->hw)
            rc = -ENOMEM;
    }
    if (fd >= 0 && !job->hw)
        (void)close(fd);
    /* The kernel drops a descriptor for which the receiver has no room. */
    if (fd < 0 && rc == 0 && pb_job_opens(job->kind))
        rc = -EMFILE;
    complete(h, job, rc, rc == reply->rc ? NULL : strerror(-rc));
}

static void take_reply(struct host *h, const struct pb_wire_reply *reply, int fd)
{
    struct pb_job *job;
    struct pb_hw *hw;

    TAILQ_FOREACH (job, &h->jobs, link) {
        if (job->id == reply->id) {
            job_reply(h, job, reply, fd);
            return;
        }
    }
    if (fd >= 0)
        (void)close(fd); /* of a job that was given up */
    TAILQ_FOREACH (hw, &h->hws, link) {
        if (hw->in_flight == reply->id && hw->count > 0) {
            access_done(h, hw, reply);
            return;
        }
    }
}

static void helper_gone(struct host *h)
{
    if (h->base.gone) {
        ev_io_stop(h->loop, &h->io);
        ev_io_stop(h->loop, &h->end);
        ev_timer_stop(h->loop, &h->tick);
        h->dead = true;
        h->base.gone(h->base.gone_ctx);
        return;
    }
    pb_err(
        "the helper process is gone: devices that guests have go on, nothing else works; restart "
        "pcibackd");
    h->dead = true;
    ev_io_stop(h->loop, &h->io);
    ev_io_stop(h->loop, &h->end);
    end_cycles(h, UINT64_MAX, -EPIPE);
    start_tick(h);
}

/* At most MAX. 1: there may be more; 0: none; -EPIPE. */
static int take_replies(struct host *h, int max)
{
    struct pb_wire_reply reply;
    int fd, rc = 1;

    for (int i = 0; i < max && rc == 1; i++) {
        rc = pb_wire_receive_reply(h->fd, &reply, &fd);
        if (rc == 1)
            take_reply(h, &reply, fd);
    }
    return rc;
}

static void io_cb(struct ev_loop *loop, ev_io *io, int events)
{
    struct host *h = io->data;

    (void)loop;
    (void)events;
    /* A bounded number at once: others have their turn too. */
    if (take_replies(h, 16) < 0)
        helper_gone(h);
}

/* A child that outlives the helper holds its end of the socket: EOF alone would not tell. */
static void end_cb(struct ev_loop *loop, ev_io *end, int events)
{
    struct host *h = end->data;

    (void)loop;
    (void)events;
    (void)take_replies(h, INT_MAX); /* what it still said */
    helper_gone(h);
}

/* --- life --- */

static void host_close(struct pb_host *base)
{
    struct host *h = host_of(base);

    pb_uevents_close(h->uevents);
    ev_io_stop(h->loop, &h->io);
    ev_io_stop(h->loop, &h->end);
    ev_timer_stop(h->loop, &h->tick);
    if (h->pidfd >= 0)
        (void)close(h->pidfd);
    (void)close(h->fd); /* EOF ends the helper */
    free(h);
}

static const struct pb_host_ops ops = {
    .close = host_close,
    .cycle_submit = cycle_submit,
    .hw_close = hw_close,
    .job_submit = job_submit,
};

/* After fork: exactly our end of the socket survives, as HELPER_FD (H5); REPORT tells a failure. */
static void exec_helper(const char *self, char **argv, int fd, int report)
{
    int error, other = fcntl(report, F_DUPFD_CLOEXEC, HELPER_FD + 2);

    if (other >= 0 && fd != HELPER_FD && dup2(fd, HELPER_FD) < 0)
        other = -1;
    if (other >= 0) {
        (void)fcntl(HELPER_FD, F_SETFD, 0);
        (void)close_range(HELPER_FD + 1, (unsigned)other - 1, 0);
        (void)close_range((unsigned)other + 1, ~0U, 0);
        (void)execv(self, argv);
    }
    error = errno;
    (void)!write(other >= 0 ? other : report, &error, sizeof(error));
    _exit(127);
}

/* Returns the helper's pid when it runs its program; negative errno. */
static pid_t start_helper(const struct pb_host_options *options, int fd)
{
    char number[8];
    char **argv;
    int report[2], error = 0;
    pid_t pid;
    ssize_t n;

    (void)snprintf(number, sizeof(number), "%d", HELPER_FD);
    argv = pb_arguments_make(options, number);
    if (!argv)
        return -ENOMEM;
    if (pipe2(report, O_CLOEXEC) != 0) {
        free(argv);
        return -errno;
    }
    pid = fork();
    if (pid == 0)
        exec_helper(options->self, argv, fd, report[1]);
    if (pid < 0)
        error = errno;
    free(argv);
    (void)close(report[1]);
    do
        n = pid < 0 ? 0 : read(report[0], &error, sizeof(error)); /* EOF: the exec worked */
    while (n < 0 && errno == EINTR);
    (void)close(report[0]);
    if (pid > 0 && error)
        (void)waitpid(pid, NULL, 0);
    return error ? -error : pid;
}

int pb_host_open(struct ev_loop *loop, const struct pb_host_options *options, struct pb_host **ret)
{
    struct host *h = calloc(1, sizeof(*h));
    int fds[2], rc;

    if (!h)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        rc = -errno;
        free(h);
        return rc;
    }
    h->helper = start_helper(options, fds[1]);
    (void)close(fds[1]);
    if (h->helper < 0) {
        rc = h->helper;
        (void)close(fds[0]);
        free(h);
        return rc;
    }
    h->base.ops = &ops;
    h->loop = loop;
    h->tick_ns = pb_tick_ns();
    h->fd = fds[0];
    TAILQ_INIT(&h->jobs);
    TAILQ_INIT(&h->hws);
    ev_io_init(&h->io, io_cb, h->fd, EV_READ);
    h->io.data = h;
    ev_io_start(loop, &h->io);
    h->pidfd = pidfd_open(h->helper, 0);
    ev_io_init(&h->end, end_cb, h->pidfd, EV_READ);
    h->end.data = h;
    if (h->pidfd >= 0)
        ev_io_start(loop, &h->end);
    ev_timer_init(&h->tick, tick_cb, 0., 0.);
    h->tick.data = h;
    rc = pb_uevents_open(loop, &h->base, &h->uevents);
    if (rc)
        pb_warn("the kernel's events cannot be received: %s; devices that come, go or change their "
                "driver are not noticed",
                strerror(-rc));
    *ret = &h->base;
    return 0;
}
