/* SPDX-License-Identifier: MIT */
/* The daemon's faces as a program, over a backend without a machine. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/daemon.h"
#include "fake_backend.h"

/* --- what an attacker would do, once the daemon runs --- */

static void call_socket(void)
{
    (void)!socket(AF_INET, SOCK_STREAM, 0);
}

static void call_netlink(void)
{
    (void)!socket(AF_NETLINK, SOCK_RAW, 15);
}

static void call_exec(void)
{
    (void)execl("/bin/true", "true", (char *)NULL);
}

static void call_fork(void)
{
    if (fork() == 0)
        _exit(0);
}

static void call_kill(void)
{
    (void)kill(getppid(), 0);
}

static void call_ptrace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void call_mount(void)
{
    (void)mount("none", "/tmp", "tmpfs", 0, NULL);
}

static void call_setuid(void)
{
    (void)!setuid(0);
}

static void call_ioctl(void)
{
    (void)ioctl(0, TIOCSTI, "x");
}

static void call_dumpable(void)
{
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void call_unlinkat(void)
{
    (void)unlinkat(AT_FDCWD, "/nonexistent/file", 0);
}

/* These are refused, and the process goes on: 99 would be its exit status. */
static void call_write(void)
{
    static const int flags[] = { O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC };

    for (unsigned i = 0; i < PB_ARRAY_SIZE(flags); i++) {
        errno = 0;
        if (open("/dev/null", flags[i] | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
            _exit(99);
    }
    (void)fputs("refused\n", stderr);
}

static void call_execmem(void)
{
    errno = 0;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
            MAP_FAILED ||
        errno != EACCES)
        _exit(99);
    (void)fputs("refused\n", stderr);
}

static void call_anonymous(void)
{
    (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    { "socket", call_socket },     { "netlink", call_netlink },     { "exec", call_exec },
    { "fork", call_fork },         { "kill", call_kill },           { "ptrace", call_ptrace },
    { "mount", call_mount },       { "setuid", call_setuid },       { "ioctl", call_ioctl },
    { "dumpable", call_dumpable }, { "unlinkat", call_unlinkat },   { "write", call_write },
    { "execmem", call_execmem },   { "anonymous", call_anonymous },
};

static void misbehave(void)
{
    const char *name = getenv("FAKE_FORBIDDEN");

    for (unsigned i = 0; name && i < PB_ARRAY_SIZE(calls); i++) {
        if (strcmp(name, calls[i].name) == 0)
            calls[i].call();
    }
}

static void on_helper_ends(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_host *host = timer->data;

    (void)loop;
    (void)events;
    host->gone(host->gone_ctx);
}

static void on_forbidden(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    misbehave();
}

/* As the store thread: from before the drop, and deaf to signals. */
static void *other_thread(void *arg)
{
    struct timespec t = { .tv_nsec = 300000000 };

    (void)arg;
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ; /* the library's signals, which change the uid in each thread */
    if (getenv("FAKE_FORBIDDEN_THREAD"))
        misbehave();
    for (;;)
        (void)poll(NULL, 0, 1000);
    return NULL;
}

static int start_thread(void)
{
    sigset_t all, before;
    pthread_t thread;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, NULL, other_thread, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

/* --- the platform --- */

static int open_host(struct ev_loop *loop, const struct pb_host_options *options,
                     struct pb_host **ret);
static int open_xen(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what);
static enum pb_option_use option(const char *name, const char *value);

static struct pb_platform platform = {
    .name = "pcibackd-fake",
    .extra_usage = "  --fake                  nothing\n"
                   "  --drop                  gives root up, as pcibackd does\n",
    .any_owner = true,
    .option = option,
    .open_host = open_host,
    .open_xen = open_xen,
};

static void close_host(struct pb_host *host)
{
    (void)host;
}

static void close_xen(struct pb_xen *xen)
{
    (void)xen;
}

static int open_host(struct ev_loop *loop, const struct pb_host_options *options,
                     struct pb_host **ret)
{
    static const struct pb_host_ops ops = { .close = close_host };
    static struct pb_host host = { .ops = &ops };

    static ev_timer timer, end;

    if (getenv("FAKE_FORBIDDEN") && !getenv("FAKE_FORBIDDEN_THREAD")) {
        ev_timer_init(&timer, on_forbidden, 0.2, 0.);
        ev_timer_start(loop, &timer);
    }
    if (options->self[0] != '/' || getenv("FAKE_HOST_FAILS"))
        return -EPERM;
    if (getenv("FAKE_HELPER_ENDS")) {
        ev_timer_init(&end, on_helper_ends, 0.2, 0.);
        end.data = &host;
        ev_timer_start(loop, &end);
    }
    *ret = &host;
    return 0;
}

static int open_xen(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what)
{
    static const struct pb_xen_ops ops = { .close = close_xen };
    static struct pb_xen xen = { .ops = &ops };

    (void)loop;
    *ret_what = "/dev/xen/evtchn";
    if (getenv("FAKE_XEN_FAILS"))
        return -ENOENT;
    if (platform.drops_root && start_thread() != 0)
        return -EAGAIN;
    *ret = &xen;
    return 0;
}

static enum pb_option_use option(const char *name, const char *value)
{
    if (strcmp(name, "--drop") == 0) {
        platform.drops_root = true;
        return PB_OPTION_FLAG;
    }
    if (strcmp(name, "--fake") == 0)
        return PB_OPTION_FLAG;
    if (strcmp(name, "--fake-value") == 0)
        return value ? PB_OPTION_WITH_VALUE : PB_OPTION_BAD;
    return PB_OPTION_UNKNOWN;
}

int main(int argc, char **argv)
{
    return pb_daemon_run(argc, argv, &platform);
}
