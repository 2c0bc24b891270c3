/* SPDX-License-Identifier: MIT */
/* The helper process: deadlines, queues, what it inherits and what outlives it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "world.h"

static const struct pb_sbdf other = { .bus = 4 };

static struct pb_sbdf nth(unsigned i)
{
    return (struct pb_sbdf){ .bus = (uint8_t)(0x10 + i) };
}

static void assert_says(const struct world_job *j, const char *part)
{
    if (!strstr(j->job.reason, part))
        fail_msg("\"%s\" does not say \"%s\"", j->job.reason, part);
}

static void make_fifo(const char *attribute)
{
    kernel_unset(kernel_nic, attribute);
    assert_int_equal(mkfifo(kernel_path(kernel_nic, attribute), 0600), 0);
}

static void a_job_in_time_is_answered(void **state)
{
    struct world_job j;

    (void)state;
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    assert_int_equal(j.job.facts.device, 0x10d3);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, other), -ENODEV);
    assert_says(&j, "not in the machine");
}

static void a_job_past_its_deadline_is_ETIMEDOUT_and_others_are_served(void **state)
{
    struct world_job stuck, j;

    (void)state;
    kernel_add_device(other, PB_CONFIG_SIZE_PCIE);
    make_fifo("reset"); /* nobody reads: open() waits */
    world_submit(&stuck, PB_JOB_RESET, kernel_nic, 400);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, other), 0);
    assert_int_equal(world_do(&j, PB_JOB_RESET, other), 0);
    assert_false(stuck.done);
    assert_true(world_wait(&stuck.done, 5000));
    assert_int_equal(stuck.job.rc, -ETIMEDOUT);
    assert_says(&stuck, "not done within 400 ms");
    assert_in_range(stuck.took_ms, 400, 1400);

    /* Its child died: the device is served again. */
    kernel_unset(kernel_nic, "reset");
    kernel_set(kernel_nic, "reset", "");
    assert_int_equal(world_do(&j, PB_JOB_RESET, kernel_nic), 0);
}

static void a_child_that_does_not_die_is_abandoned_until_it_ends(void **state)
{
    struct world_job stuck, j;
    unsigned fds;

    (void)state;
    kernel_add_device(other, PB_CONFIG_SIZE_PCIE);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    fds = world_fds();
    kernel->unkillable = true;
    atomic_store(&kernel->hold, true);
    world_submit(&stuck, PB_JOB_RESET, kernel_nic, 200);
    assert_true(world_wait(&stuck.done, 5000));
    assert_int_equal(stuck.job.rc, -ETIMEDOUT);
    assert_says(&stuck, "stuck in the kernel");
    assert_in_range(stuck.took_ms, 1200, 3000);
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, kernel_nic), -EBUSY);
    assert_says(&j, "stuck in the kernel");
    assert_int_equal(world_do(&j, PB_JOB_PROBE, other), 0);

    atomic_store(&kernel->hold, false); /* it ends, and its answer comes too late */
    assert_true(world_watch(&kernel->resetting, 0, 5000));
    world_run(200);
    assert_int_equal(stuck.job.rc, -ETIMEDOUT);
    assert_int_equal(world_do(&j, PB_JOB_RESET, kernel_nic), 0);
    assert_int_equal(world_fds(), fds);
}

static void a_child_that_is_killed_is_EIO(void **state)
{
    struct world_job j;

    (void)state;
    atomic_store(&kernel->hold, true);
    world_submit(&j, PB_JOB_RESET, kernel_nic, 20000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    assert_int_equal(kill(world_child_of(world_helper), SIGKILL), 0);
    assert_true(world_wait(&j.done, 5000));
    assert_int_equal(j.job.rc, -EIO);
    assert_says(&j, "status 0x9");
}

static void jobs_of_one_device_go_one_after_the_other(void **state)
{
    struct world_job jobs[12];

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(jobs); i++)
        world_submit(&jobs[i], i % 3 == 2 ? PB_JOB_PROBE : PB_JOB_RESET, kernel_nic, 20000);
    assert_true(world_wait(&jobs[PB_ARRAY_SIZE(jobs) - 1].done, 20000));
    for (unsigned i = 0; i < PB_ARRAY_SIZE(jobs); i++) {
        assert_int_equal(jobs[i].job.rc, 0);
        assert_int_equal(jobs[i].turn, i + 1);
    }
    assert_int_equal(kernel->most_resetting, 1);
}

static void more_devices_than_children_are_all_served(void **state)
{
    static struct world_job jobs[40];
    unsigned done = 0;

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(jobs); i++)
        kernel_add_device(nth(i), PB_CONFIG_SIZE_PCI);
    atomic_store(&kernel->hold, true);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(jobs); i++)
        world_submit(&jobs[i], PB_JOB_RESET, nth(i), 30000);
    assert_true(world_watch(&kernel->resetting, 16, 10000));
    world_run(100);
    assert_int_equal(kernel->most_resetting, 16);
    atomic_store(&kernel->hold, false);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(jobs); i++) {
        assert_true(world_wait(&jobs[i].done, 20000));
        assert_int_equal(jobs[i].job.rc, 0);
        done++;
    }
    assert_int_equal(done, PB_ARRAY_SIZE(jobs));
    assert_true(kernel->most_resetting <= 16);
}

static void a_job_that_waits_past_its_deadline_is_never_begun(void **state)
{
    struct world_job first, second;

    (void)state;
    atomic_store(&kernel->hold, true);
    world_submit(&first, PB_JOB_RESET, kernel_nic, 20000);
    world_submit(&second, PB_JOB_CLAIM, kernel_nic, 300);
    assert_true(world_wait(&second.done, 5000));
    assert_int_equal(second.job.rc, -ETIMEDOUT);
    assert_says(&second, "not begun");
    assert_in_range(second.took_ms, 300, 1300);
    atomic_store(&kernel->hold, false);
    assert_true(world_wait(&first.done, 5000));
    assert_int_equal(first.job.rc, 0);
    world_run(200);
    kernel_assert_log("devices/0000:03:00.0/reset=1", NULL);
}

static void H5_helper_holds_no_descriptor_of_the_parent(void **state)
{
    char marker[96], path[300], target[256];
    const struct dirent *entry;
    int high, low, ends[2], relays = 0;
    struct world_job j;
    DIR *dir;

    (void)state;
    (void)world_end();
    (void)snprintf(marker, sizeof(marker), "%s/marker", kernel_dir);
    low = open(marker, O_RDWR | O_CREAT, 0600); /* NOLINT: without CLOEXEC, that is the test */
    high = fcntl(low, F_DUPFD, 500);
    assert_true(low >= 0 && high >= 500);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); /* NOLINT: so is this */
    world_open(NULL);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", world_helper);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        ssize_t n;

        if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "0") || !strcmp(entry->d_name, "1") ||
            !strcmp(entry->d_name, "2"))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", world_helper, entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(entry->d_name, "3") == 0)
            assert_memory_equal(target, "socket:", 7);
        else if (strncmp(target, "socket:", 7) == 0)
            relays++;
        else if (strncmp(target, kernel_run, strlen(kernel_run)) == 0)
            assert_string_equal(target + strlen(kernel_run), "/helper"); /* its lock */
        else
            assert_string_equal(target, "anon_inode:[signalfd]");
    }
    (void)closedir(dir);
    assert_int_equal(relays, 1); /* where it listens */
    (void)close(low);
    (void)close(high);
    (void)close(ends[0]);
    /* Nobody else has the other end. */
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    (void)close(ends[1]);
}

static void the_helper_ends_with_the_daemons_end(void **state)
{
    struct world_job j;

    (void)state;
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    assert_int_equal(world_end(), 0);
}

static void its_children_go_on(void **state)
{
    static struct world_job j, waiting;

    (void)state;
    atomic_store(&kernel->hold, true);
    world_submit(&j, PB_JOB_RESET, kernel_nic, 20000);
    world_submit(&waiting, PB_JOB_RESET, kernel_nic, 20000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    world_run(50);
    assert_int_equal(world_end(), 0);
    assert_int_equal(kernel->resetting, 1);
    atomic_store(&kernel->hold, false);
    assert_true(world_watch(&kernel->resetting, 0, 5000));
    assert_false(j.done);
}

static void signals_of_the_terminal_do_not_end_it(void **state)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
    struct world_job j;

    (void)state;
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(signals); i++)
        assert_int_equal(kill(world_helper, signals[i]), 0);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    assert_int_equal(world_end(), 0);
}

/* ^C reaches the whole process group: what a job began, it ends. */
static void signals_of_the_terminal_do_not_end_its_children(void **state)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct world_job j;
    pid_t child;

    (void)state;
    atomic_store(&kernel->hold, true);
    world_submit(&j, PB_JOB_RESET, kernel_nic, 20000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    child = world_child_of(world_helper);
    assert_true(child > 0);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(signals); i++)
        assert_int_equal(kill(child, signals[i]), 0);
    world_run(50);
    atomic_store(&kernel->hold, false);
    assert_true(world_wait(&j.done, 5000));
    assert_int_equal(j.job.rc, 0);
}

static void children_are_noticed_also_where_SIGCHLD_was_ignored(void **state)
{
    struct world_job j;

    (void)state;
    (void)world_end();
    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    world_open(NULL);
    for (unsigned i = 0; i < 3; i++) /* the second waits until the first was reaped */
        assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

int main(int argc, char **argv)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        RULE(a_job_in_time_is_answered),
        RULE(a_job_past_its_deadline_is_ETIMEDOUT_and_others_are_served),
        RULE(a_child_that_does_not_die_is_abandoned_until_it_ends),
        RULE(a_child_that_is_killed_is_EIO),
        RULE(jobs_of_one_device_go_one_after_the_other),
        RULE(more_devices_than_children_are_all_served),
        RULE(a_job_that_waits_past_its_deadline_is_never_begun),
        RULE(H5_helper_holds_no_descriptor_of_the_parent),
        RULE(the_helper_ends_with_the_daemons_end),
        RULE(its_children_go_on),
        RULE(signals_of_the_terminal_do_not_end_it),
        RULE(signals_of_the_terminal_do_not_end_its_children),
        RULE(children_are_noticed_also_where_SIGCHLD_was_ignored),
    };
    int status;

    if (kernel_is_helper(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
