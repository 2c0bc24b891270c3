/* SPDX-License-Identifier: MIT */
#include "sim_life.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_command.h"
#include "sim_host.h"
#include "sim_kernel.h"
#include "sim_world.h"

#define UNPLANNED_MAX 100u /* a daemon that dies at each start is not started for ever */

static volatile sig_atomic_t stopping;
static volatile pid_t child;
static struct sim_world *the_world;
static bool is_child;

/* In the parent */

static void pass_on(int number)
{
    if (number != SIGHUP)
        stopping = 1;
    if (child > 0)
        (void)kill(child, number == SIGHUP ? SIGHUP : SIGTERM);
}

/* In a child */

static void on_kill(int number)
{
    (void)number;
    the_world->ended = true;
    if (sim_in_world)
        sim_kill_waits = true;
    else
        sim_kill_now();
}

bool sim_life_child(void)
{
    return is_child;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };

    (void)sigaction(number, &action, NULL);
}

void sim_life_die(struct sim_world *w, bool done)
{
    w->dying = true;
    w->ended = true;
    if (done)
        sim_store_flush(w);
    sim_kill_now();
}

/* What happens while nobody is there. */
static void meanwhile(struct sim_world *w)
{
    json_t *commands = w->meanwhile;

    w->meanwhile = NULL;
    for (size_t i = 0; i < json_array_size(commands); i++)
        sim_command_act(w, json_array_get(commands, i));
    json_decref(commands);
}

/* What is left of a daemon's is taken away, whether it has closed it or not. */
static void bury(struct sim_world *w)
{
    w->loop = NULL;
    sim_server_restore();
    sim_timers_park(w, true);
    sim_store_forget(w);
    sim_port_unbind_all(w);
    sim_page_unmap_all(w);
    sim_host_forget(w);
    sim_kernel_forget(w);
    memset(&w->xen, 0, sizeof(w->xen));
    memset(&w->host, 0, sizeof(w->host));
    w->xen_open = w->host_open = false;
    w->dying = false;
    w->log.dying[0] = '\0';
    w->lives++;
    meanwhile(w);
}

static int child_run(int keeper, int (*run)(void *ctx), void *ctx)
{
    is_child = true;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    handle(SIGTERM, SIG_DFL);
    handle(SIGINT, SIG_DFL);
    handle(SIGHUP, SIG_IGN);
    handle(SIGUSR2, on_kill);
    sim_server_keeper(keeper);
    sim_in_world = false;
    return run(ctx);
}

/* Until it has ended; the connections that it accepts are ours too. */
static int await(int keeper, pid_t pid)
{
    struct pollfd fds[2] = { { .fd = keeper, .events = POLLIN }, { .events = POLLIN } };
    int status = 0;

    fds[1].fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fds[1].fd < 0)
        abort();
    do {
        (void)poll(fds, 2, -1);
        if (fds[0].revents & POLLIN)
            sim_server_keep(keeper);
        if (fds[0].revents & POLLHUP && !(fds[0].revents & POLLIN))
            fds[0].fd = -1;
    } while (!(fds[1].revents & POLLIN));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    sim_server_keep(keeper);
    (void)close(fds[1].fd);
    return status;
}

/* One life; its wait status. -1: it is the child that returns, with its exit status in *RET. */
static int live(int (*run)(void *ctx), void *ctx, int *ret)
{
    int pair[2], status;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        (void)close(pair[0]);
        *ret = child_run(pair[1], run, ctx);
        return -1;
    }
    (void)close(pair[1]);
    child = pid;
    if (stopping)
        (void)kill(pid, SIGTERM);
    status = await(pair[0], pid);
    child = 0;
    (void)close(pair[0]);
    return status;
}

/* Is there another life after this one? */
static bool goes_on(struct sim_world *w, int status, unsigned *unplanned)
{
    bool planned = w->ended;

    w->ended = false;
    if (stopping)
        return false;
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0;
    if (planned) {
        w->planned++;
        return true;
    }
    (void)fprintf(stderr, "sim: unplanned death of the daemon: %s\n", strsignal(WTERMSIG(status)));
    return ++*unplanned < UNPLANNED_MAX;
}

int sim_life_supervise(struct sim_world *w, int (*run)(void *ctx), void *ctx)
{
    unsigned unplanned = 0;
    int status, ret = 0;

    the_world = w;
    handle(SIGTERM, pass_on);
    handle(SIGINT, pass_on);
    handle(SIGHUP, pass_on);
    do {
        status = live(run, ctx, &ret);
        if (status < 0)
            return ret;
        sim_in_world = true;
        bury(w);
    } while (goes_on(w, status, &unplanned));
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    return stopping && WTERMSIG(status) == SIGTERM ? 0 : 3;
}
