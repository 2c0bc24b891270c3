/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

struct ev_loop *world_loop;
struct pb_host *world_host;
pid_t world_helper;

static unsigned turns;

void world_open(const char *self)
{
    char path[256];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    struct pb_host_options options = kernel_options;

    assert_true(n > 0);
    path[n] = '\0';
    options.self = self ? self : path;
    assert_int_equal(pb_host_open(world_loop, &options, &world_host), 0);
    world_helper = world_child_of(getpid());
    assert_true(world_helper > 0);
}

void world_close(void)
{
    if (world_host)
        world_host->ops->close(world_host);
    world_host = NULL;
}

int world_end(void)
{
    int status = -1;

    world_close();
    for (int i = 0; i < 1000 && waitpid(world_helper, &status, WNOHANG) == 0; i++)
        world_run(10);
    if (status == -1) {
        (void)kill(world_helper, SIGKILL);
        (void)waitpid(world_helper, &status, 0);
    }
    world_helper = 0;
    return status;
}

int world_setup(void **state)
{
    int rc = kernel_setup(state);

    if (rc)
        return rc;
    turns = 0;
    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    world_loop = ev_loop_new(0);
    world_open(NULL);
    return 0;
}

int world_teardown(void **state)
{
    atomic_store(&kernel->hold, false);
    kernel->unkillable = false;
    if (world_helper) {
        (void)kill(world_helper, SIGCONT);
        (void)world_end();
    }
    ev_loop_destroy(world_loop);
    return kernel_teardown(state);
}

/* --- time --- */

static void timeout_cb(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    *(bool *)timer->data = true;
    ev_break(loop, EVBREAK_ONE);
}

bool world_wait(const bool *flag, unsigned ms)
{
    bool late = false;
    ev_timer timer;

    ev_now_update(world_loop);
    ev_timer_init(&timer, timeout_cb, ms / 1000., 0.);
    timer.data = &late;
    ev_timer_start(world_loop, &timer);
    while (!*flag && !late)
        ev_run(world_loop, EVRUN_ONCE);
    ev_timer_stop(world_loop, &timer);
    return *flag;
}

void world_run(unsigned ms)
{
    bool never = false;

    (void)world_wait(&never, ms);
}

bool world_watch(const atomic_uint *count, unsigned wanted, unsigned ms)
{
    static const struct timespec t = { .tv_nsec = 1000000 };

    while (atomic_load(count) != wanted && ms-- > 0)
        (void)nanosleep(&t, NULL);
    return atomic_load(count) == wanted;
}

/* --- jobs and cycles --- */

static void job_done(struct pb_job *job, void *ctx)
{
    struct world_job *j = ctx;

    (void)job;
    assert_false(j->done);
    j->done = true;
    j->turn = ++turns;
    j->took_ms = pb_now_ms() - j->began_ms;
}

void world_prepare(struct world_job *j, enum pb_job_kind kind, struct pb_sbdf sbdf,
                   unsigned deadline_ms)
{
    memset(j, 0, sizeof(*j));
    j->job.kind = kind;
    j->job.sbdf = sbdf;
    j->job.deadline_ms = deadline_ms;
    (void)snprintf(j->job.driver, sizeof(j->job.driver), "pci-stub");
    j->job.done = job_done;
    j->job.ctx = j;
    j->began_ms = pb_now_ms();
}

void world_submit(struct world_job *j, enum pb_job_kind kind, struct pb_sbdf sbdf,
                  unsigned deadline_ms)
{
    world_prepare(j, kind, sbdf, deadline_ms);
    world_host->ops->job_submit(world_host, &j->job);
    assert_false(j->done); /* never inside */
}

int world_do(struct world_job *j, enum pb_job_kind kind, struct pb_sbdf sbdf)
{
    world_submit(j, kind, sbdf, 20000);
    assert_true(world_wait(&j->done, 30000));
    return j->job.rc;
}

struct pb_hw *world_claim(void)
{
    struct world_job j;

    assert_int_equal(world_do(&j, PB_JOB_CLAIM, kernel_nic), 0);
    assert_non_null(j.job.hw);
    return j.job.hw;
}

static void cycle_done(struct pb_hw_cycle *cycle, void *ctx)
{
    struct world_cycle *c = ctx;

    (void)cycle;
    assert_false(c->done);
    c->done = true;
    c->turn = ++turns;
}

static enum pb_hw_when submit(struct world_cycle *c, const struct pb_hw_cycle *cycle)
{
    enum pb_hw_when when;

    memset(c, 0, sizeof(*c));
    c->cycle = *cycle;
    c->cycle.rc = 99;
    c->cycle.done = cycle_done;
    c->cycle.ctx = c;
    when = world_host->ops->cycle_submit(world_host, &c->cycle);
    assert_false(c->done);
    return when;
}

enum pb_hw_when world_read(struct world_cycle *c, struct pb_hw *hw, uint16_t offset, uint8_t size)
{
    struct pb_hw_cycle cycle = { .hw = hw, .offset = offset, .size = size };

    return submit(c, &cycle);
}

enum pb_hw_when world_write(struct world_cycle *c, struct pb_hw *hw, uint16_t offset, uint8_t size,
                            uint32_t value)
{
    struct pb_hw_cycle cycle = {
        .hw = hw, .write = true, .offset = offset, .size = size, .value = value
    };

    return submit(c, &cycle);
}

/* --- processes and descriptors --- */

pid_t world_child_of(pid_t parent)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    pid_t child = 0;

    assert_non_null(dir);
    while (child == 0 && (entry = readdir(dir)) != NULL) {
        char path[300], text[512];
        const char *after;
        size_t n = 0;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !(f = fopen(path, "re")))
            continue;
        n = fread(text, 1, sizeof(text) - 1, f);
        (void)fclose(f);
        text[n] = '\0';
        after = strrchr(text, ')'); /* "pid (name) state parent" */
        if (after && strlen(after) > 4 && strtol(after + 4, NULL, 10) == parent)
            child = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    (void)closedir(dir);
    return child;
}

unsigned world_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}
