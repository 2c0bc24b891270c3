/* SPDX-License-Identifier: MIT */
/*
 * What the helper may still do, the relay to xenstored, and what a helper finds of one before it.
 * As root only: nobody else has anything to give up.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/confine.h"
#include "host/relay.h"
#include "host/running.h"
#include "world.h"

#define KEEPS ((1ULL << 16) | (1ULL << 21)) /* CAP_SYS_MODULE, CAP_SYS_ADMIN */

static int store = -1; /* the fake xenstored's */

/* It listens for relays once it takes jobs. */
static int setup(void **state)
{
    struct world_job j;
    int rc = world_setup(state);

    (void)signal(SIGPIPE, SIG_IGN);
    return rc ? rc : world_do(&j, PB_JOB_PROBE, kernel_nic);
}

/* --- what a process has --- */

/* A number in /proc/PID/status, in BASE. */
static unsigned long long status_of(pid_t pid, const char *key, int base)
{
    char path[64], line[256];
    unsigned long long value = ~0ULL;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            value = strtoull(line + strlen(key) + 1, NULL, base);
    }
    (void)fclose(f);
    return value;
}

static void T20_the_helper_has_two_capabilities_and_a_filter(void **state)
{
    (void)state;
    assert_int_equal(geteuid(), 0);
    assert_true(status_of(world_helper, "CapEff", 16) == KEEPS);
    assert_true(status_of(world_helper, "CapPrm", 16) == KEEPS);
    assert_true(status_of(world_helper, "CapBnd", 16) == KEEPS);
    assert_true(status_of(world_helper, "CapInh", 16) == 0);
    assert_true(status_of(world_helper, "CapAmb", 16) == 0);
    assert_int_equal(status_of(world_helper, "NoNewPrivs", 10), 1);
    assert_int_equal(status_of(world_helper, "Seccomp", 10), 2);
}

/* How a child ends that confines itself and calls CALL. */
static int end_of(int (*confine)(void), void (*call)(void))
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (confine() != 0)
            _exit(90);
        call();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void become_another(void)
{
    (void)!setuid(1);
}

static void change_root(void)
{
    (void)!chroot("/");
}

/* Unknown to the helper, not deadly: as if the kernel had none. */
static void ask_the_network(void)
{
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != ENOSYS)
        _exit(91);
}

static void run_a_program(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("/bin/true", "true", (char *)NULL);
        _exit(92);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        _exit(93);
}

static void open_a_file(void)
{
    (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void T20_a_forbidden_call_ends_the_child(void **state)
{
    (void)state;
    assert_int_equal(WTERMSIG(end_of(pb_confine_helper, become_another)), SIGSYS);
    assert_int_equal(WTERMSIG(end_of(pb_confine_helper, change_root)), SIGSYS);
    assert_int_equal(end_of(pb_confine_helper, ask_the_network), 0);
    assert_int_equal(end_of(pb_confine_helper, run_a_program), 0);
    assert_int_equal(end_of(pb_confine_helper, open_a_file), 0);
    assert_int_equal(WTERMSIG(end_of(pb_confine_relay, open_a_file)), SIGSYS);
    assert_int_equal(WTERMSIG(end_of(pb_confine_relay, run_a_program)), SIGSYS);
}

/* --- the relay --- */

static int listen_as_store(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", kernel_store);
    (void)unlink(kernel_store);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(chmod(kernel_store, 0600), 0); /* as xenstored's: root's alone */
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int try_relay(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/" PB_HOST_RELAY, kernel_run);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static int connect_to_relay(void)
{
    int fd = try_relay();

    assert_true(fd >= 0);
    return fd;
}

static bool readable(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, ms) == 1;
}

static int accept_as_store(void)
{
    assert_true(readable(store, 5000));
    return accept4(store, NULL, NULL, SOCK_CLOEXEC);
}

static void assert_end(int fd)
{
    char byte;

    assert_true(readable(fd, 5000));
    assert_true(read(fd, &byte, 1) <= 0);
}

static void the_relay_passes_bytes_both_ways_and_ends_with_either(void **state)
{
    char text[16] = "";
    int client, server;

    (void)state;
    store = listen_as_store();
    for (int i = 0; i < 2; i++) {
        client = connect_to_relay();
        server = accept_as_store();
        assert_int_equal(write(client, "request", 7), 7);
        assert_true(readable(server, 5000));
        assert_int_equal(read(server, text, sizeof(text)), 7);
        assert_memory_equal(text, "request", 7);
        assert_int_equal(write(server, "reply", 5), 5);
        assert_true(readable(client, 5000));
        assert_int_equal(read(client, text, sizeof(text)), 5);
        assert_memory_equal(text, "reply", 5);
        (void)close(i == 0 ? client : server);
        assert_end(i == 0 ? server : client);
        (void)close(i == 0 ? server : client);
    }
    (void)close(store);
}

/* Both ends write at once and neither reads for a while: nothing is lost, nothing hangs. */
static void the_relay_holds_back_who_is_too_fast(void **state)
{
    enum { BYTES = 1 << 20 };
    static char block[4096];
    size_t sent[2] = { 0, 0 }, got[2] = { 0, 0 };
    int end[2];

    (void)state;
    store = listen_as_store();
    end[0] = connect_to_relay();
    end[1] = accept_as_store();
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(end[i], F_SETFL, O_NONBLOCK), 0);
    for (int turn = 0; got[0] + got[1] < 2 * BYTES; turn++) {
        assert_true(turn < 100000);
        for (int i = 0; i < 2; i++) {
            size_t left = BYTES - sent[i] < sizeof(block) ? BYTES - sent[i] : sizeof(block);
            ssize_t n = left ? write(end[i], block, left) : 0;

            sent[i] += n > 0 ? (size_t)n : 0;
            n = turn > 200 ? read(end[i], block, sizeof(block)) : 0;
            got[i] += n > 0 ? (size_t)n : 0;
        }
        if (turn > 200)
            (void)usleep(10);
    }
    assert_int_equal(got[0], BYTES);
    assert_int_equal(got[1], BYTES);
    for (int i = 0; i < 2; i++)
        (void)close(end[i]);
    (void)close(store);
}

/* A connection as UID that the relay serves. */
static bool served(uid_t uid)
{
    int status = -1;
    pid_t pid;

    assert_int_equal(chmod(kernel_dir, 0755) | chmod(kernel_run, 0755), 0);
    pid = fork();
    if (pid == 0) {
        struct pollfd p = { .events = POLLIN };

        if (setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0)
            _exit(2);
        p.fd = try_relay();
        /* it ends at once, or stays */
        _exit(p.fd < 0 ? 3 : poll(&p, 1, 500) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

/* Its user may be nobody, as other programs are; that it is served is a test of the daemon's. */
static void T20_only_the_daemons_process_may_use_the_relay(void **state)
{
    (void)state;
    store = listen_as_store();
    assert_true(served(0));
    (void)close(accept_as_store());
    assert_false(served(KERNEL_UID));
    assert_false(served(12345));
    assert_false(readable(store, 100));
    (void)close(store);
}

static void T20_a_relay_has_no_capability(void **state)
{
    int client, server;
    pid_t child;

    (void)state;
    store = listen_as_store();
    client = connect_to_relay();
    server = accept_as_store();
    for (int i = 0; i < 500; i++) {
        child = world_child_of(world_helper);
        if (child > 0 && status_of(child, "CapEff", 16) == 0)
            break;
        (void)usleep(10000);
    }
    assert_true(status_of(child, "CapEff", 16) == 0);
    assert_true(status_of(child, "CapPrm", 16) == 0);
    (void)close(client);
    (void)close(server);
    (void)close(store);
}

static void without_xenstored_the_relay_ends_and_listens_on(void **state)
{
    int client, server;

    (void)state;
    (void)unlink(kernel_store);
    client = connect_to_relay();
    assert_end(client);
    (void)close(client);
    store = listen_as_store();
    client = connect_to_relay();
    server = accept_as_store();
    (void)close(server);
    assert_end(client);
    (void)close(client);
    (void)close(store);
}

static void more_relays_than_there_may_be_are_turned_away(void **state)
{
    int client[PB_RELAYS_MAX], server[PB_RELAYS_MAX], more;

    (void)state;
    store = listen_as_store();
    for (unsigned i = 0; i < PB_RELAYS_MAX; i++) {
        client[i] = connect_to_relay();
        server[i] = accept_as_store();
    }
    more = connect_to_relay();
    assert_end(more);
    (void)close(more);
    for (unsigned i = 0; i < PB_RELAYS_MAX; i++) {
        (void)close(client[i]);
        assert_end(server[i]);
        (void)close(server[i]);
    }
    world_run(200); /* their ends are noticed */
    more = connect_to_relay();
    (void)close(accept_as_store());
    assert_end(more);
    (void)close(more);
    (void)close(store);
}

/* --- an earlier helper --- */

static bool is_noted(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/jobs/0000:03:00.0", kernel_run);
    return access(path, F_OK) == 0;
}

static void H6_a_job_waits_for_the_child_of_an_earlier_helper(void **state)
{
    static const enum pb_job_kind kinds[] = { PB_JOB_ADOPT, PB_JOB_PROBE };
    struct world_job stuck, j[PB_ARRAY_SIZE(kinds)], other;
    struct pb_sbdf free_one = { .bus = 4 };

    (void)state;
    kernel_add_device(free_one, PB_CONFIG_SIZE_PCIE);
    atomic_store(&kernel->hold, true);
    world_submit(&stuck, PB_JOB_RESET, kernel_nic, 60000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    assert_true(is_noted());
    assert_int_equal(kill(world_helper, SIGKILL), 0);
    (void)waitpid(world_helper, NULL, 0);
    world_run(50); /* its jobs fail: nobody else here takes over */
    world_close();

    world_open(NULL);
    assert_int_equal(world_do(&other, PB_JOB_PROBE, free_one), 0);
    for (size_t i = 0; i < PB_ARRAY_SIZE(kinds); i++)
        world_submit(&j[i], kinds[i], kernel_nic, 20000);
    world_run(300);
    for (size_t i = 0; i < PB_ARRAY_SIZE(kinds); i++)
        assert_false(j[i].done);
    assert_int_equal(atomic_load(&kernel->resetting), 1);
    atomic_store(&kernel->hold, false);
    for (size_t i = 0; i < PB_ARRAY_SIZE(kinds); i++) {
        assert_true(world_wait(&j[i].done, 10000));
        assert_int_equal(j[i].job.rc, 0);
        assert_int_equal(atomic_load(&kernel->resetting), 0);
        if (j[i].job.hw)
            world_host->ops->hw_close(world_host, j[i].job.hw);
    }
    assert_false(is_noted());
}

static void H6_one_that_does_not_end_is_told_when_the_time_is_over(void **state)
{
    struct world_job stuck, j;

    (void)state;
    atomic_store(&kernel->hold, true);
    world_submit(&stuck, PB_JOB_RESET, kernel_nic, 60000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    assert_int_equal(kill(world_helper, SIGKILL), 0);
    (void)waitpid(world_helper, NULL, 0);
    world_run(50);
    world_close();
    world_open(NULL);
    world_submit(&j, PB_JOB_ADOPT, kernel_nic, 300);
    assert_true(world_wait(&j.done, 5000));
    assert_int_equal(j.job.rc, -ETIMEDOUT);
    assert_non_null(strstr(j.job.reason, "earlier pcibackd"));
    atomic_store(&kernel->hold, false);
    assert_true(world_watch(&kernel->resetting, 0, 5000));
}

/* The pid is somebody else's by now, or of another boot of the host. */
static void a_note_of_what_has_ended_delays_nobody(void **state)
{
    struct pb_running found[4];
    struct world_job j;
    char text[128];

    (void)state;
    (void)world_end();
    kernel_put("run/jobs/0000:03:00.0", "1 1 " KERNEL_BOOT_ID "\n");
    kernel_put("run/jobs/0000:04:00.0", "rubbish");
    kernel_put("run/jobs/0000:05:00.0", "");
    assert_int_equal(pb_running_find(&kernel_options, 4, found), 0);
    assert_false(is_noted());
    assert_int_equal(pb_running_begin(&kernel_options, kernel_nic), 0);
    assert_int_equal(pb_running_find(&kernel_options, 4, found), 1);
    assert_int_equal(found[0].pid, getpid());
    assert_true(pb_sbdf_equal(found[0].sbdf, kernel_nic));
    (void)snprintf(text, sizeof(text), "%ld %llu another-boot\n", (long)getpid(),
                   (unsigned long long)found[0].started);
    kernel_put("run/jobs/0000:03:00.0", text);
    assert_int_equal(pb_running_find(&kernel_options, 4, found), 0);
    world_open(NULL);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
}

/* What the daemon asked and died after is for the next one to ask: it may have another mind. */
static void H5_what_waits_is_not_begun_when_the_daemon_has_gone(void **state)
{
    struct world_job first, second;

    (void)state;
    atomic_store(&kernel->hold, true);
    world_submit(&first, PB_JOB_RESET, kernel_nic, 60000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    assert_int_equal(kill(world_helper, SIGSTOP), 0);
    world_submit(&second, PB_JOB_RESET, kernel_nic, 60000); /* in the socket only */
    world_close();
    assert_int_equal(kill(world_helper, SIGCONT), 0);
    assert_int_equal(world_end(), 0);
    atomic_store(&kernel->hold, false);
    assert_true(world_watch(&kernel->resetting, 0, 5000));
    world_run(300);
    assert_int_equal(atomic_load(&kernel->most_resetting), 1);
    kernel_assert_log("devices/0000:03:00.0/reset=1", NULL);
}

/* --- many at once --- */

static void a_hundred_devices_are_adopted_at_once(void **state)
{
    enum { COUNT = 100 };
    static struct world_job j[COUNT];
    uint64_t began;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        kernel_add_device((struct pb_sbdf){ .bus = (uint8_t)(0x20 + i) }, PB_CONFIG_SIZE_PCIE);
    began = pb_now_ns();
    for (unsigned i = 0; i < COUNT; i++)
        world_submit(&j[i], PB_JOB_ADOPT, (struct pb_sbdf){ .bus = (uint8_t)(0x20 + i) }, 20000);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(world_wait(&j[i].done, 20000));
    print_message("%d devices adopted in %.1f ms\n", COUNT, (double)(pb_now_ns() - began) / 1e6);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(j[i].job.rc, 0);
        assert_int_equal(j[i].turn, i + 2); /* in the order in which they were asked for */
        world_host->ops->hw_close(world_host, j[i].job.hw);
    }
}

int main(int argc, char **argv)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        RULE(T20_the_helper_has_two_capabilities_and_a_filter),
        RULE(T20_a_forbidden_call_ends_the_child),
        RULE(the_relay_passes_bytes_both_ways_and_ends_with_either),
        RULE(the_relay_holds_back_who_is_too_fast),
        RULE(T20_only_the_daemons_process_may_use_the_relay),
        RULE(T20_a_relay_has_no_capability),
        RULE(without_xenstored_the_relay_ends_and_listens_on),
        RULE(more_relays_than_there_may_be_are_turned_away),
        RULE(H6_a_job_waits_for_the_child_of_an_earlier_helper),
        RULE(H6_one_that_does_not_end_is_told_when_the_time_is_over),
        RULE(a_note_of_what_has_ended_delays_nobody),
        RULE(H5_what_waits_is_not_begun_when_the_daemon_has_gone),
        RULE(a_hundred_devices_are_adopted_at_once),
    };
    int status;

    if (kernel_is_helper(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
