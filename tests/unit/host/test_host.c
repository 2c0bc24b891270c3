/* SPDX-License-Identifier: MIT */
/* The daemon's side: cycles, devices in doubt, a helper that is gone or silent. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "world.h"

#define CYCLES_MAX 8
#define SLOW_US    (2 * 1000 * PB_HW_SLOW_MS)

static void hw_close(struct pb_hw *hw)
{
    world_host->ops->hw_close(world_host, hw);
}

/* A claimed device that was slow once. */
static struct pb_hw *doubtful(void)
{
    struct pb_hw *hw = world_claim();
    struct world_cycle c;

    kernel->step_us = SLOW_US;
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW); /* it was too late to do otherwise */
    assert_int_equal(c.cycle.rc, 0);
    kernel->step_us = 0;
    return hw;
}

static void later(struct world_cycle *c)
{
    assert_true(world_wait(&c->done, 10000));
}

/* --- claim --- */

static void a_claim_brings_a_descriptor_that_reads_and_writes(void **state)
{
    unsigned fds = world_fds();
    struct world_cycle c;
    struct world_job j;
    struct pb_hw *hw;

    (void)state;
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, kernel_nic), 0);
    hw = j.job.hw;
    assert_non_null(hw);
    assert_string_equal(j.job.driver_before, "e1000e");
    assert_string_equal(j.job.driver_now, "pci-stub");
    assert_int_equal(j.job.facts.irq, 21);
    assert_int_equal(world_fds(), fds + 1);
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, 0);
    assert_int_equal(c.cycle.value, 0x10d38086);
    assert_int_equal(world_write(&c, hw, 0x3c, 1, 0x5a), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, 0);
    assert_int_equal(world_read(&c, hw, 0x3c, 1), PB_HW_NOW);
    assert_int_equal(c.cycle.value, 0x5a);
    assert_int_equal(world_read(&c, hw, 0xffe, 2), PB_HW_NOW);
    assert_int_equal(c.cycle.value, 0xf0f1);
    hw_close(hw);
    assert_int_equal(world_fds(), fds);
    assert_int_equal(world_do(&j, PB_JOB_RELEASE, kernel_nic), 0);
    assert_string_equal(kernel_driver(kernel_nic), "e1000e");
}

static void a_restart_finds_what_it_remembered(void **state)
{
    struct world_job j;

    (void)state;
    hw_close(world_claim());
    assert_int_equal(world_end(), 0);
    world_open(NULL);
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, kernel_nic), 0);
    assert_string_equal(j.job.driver_before, "e1000e");
    hw_close(j.job.hw);
    assert_int_equal(world_do(&j, PB_JOB_RELEASE, kernel_nic), 0);
    assert_string_equal(kernel_driver(kernel_nic), "e1000e");
}

static void a_failed_claim_opens_nothing(void **state)
{
    unsigned fds = world_fds();
    struct world_job j;

    (void)state;
    kernel_set_config(kernel_nic, 0x0e, 1, 1);
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, kernel_nic), -EOPNOTSUPP);
    assert_null(j.job.hw);
    assert_string_not_equal(j.job.reason, "");
    assert_int_equal(world_fds(), fds);
}

static void a_claim_whose_descriptor_is_lost_fails(void **state)
{
    struct rlimit before, limit;
    struct world_job j;

    (void)state;
    if (getenv("LD_PRELOAD"))
        skip(); /* valgrind keeps limits of its own */
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = 3; /* this process has more open already */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    (void)world_do(&j, PB_JOB_CLAIM, kernel_nic);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(j.job.rc, -EMFILE);
    assert_null(j.job.hw);
    assert_string_not_equal(j.job.reason, "");
    assert_int_equal(world_do(&j, PB_JOB_RELEASE, kernel_nic), 0); /* nothing is half done */
    assert_string_equal(kernel_driver(kernel_nic), "e1000e");
}

static void H19_a_cycle_beyond_what_the_descriptor_sees_is_EPERM(void **state)
{
    struct pb_hw *hw = world_claim();
    struct world_cycle c;

    (void)state;
    assert_int_equal(truncate(kernel_path(kernel_nic, "config"), 64), 0);
    assert_int_equal(world_read(&c, hw, 0x40, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, -EPERM);
    hw_close(hw);
}

/* --- devices in doubt --- */

/* A tick of the clock may end in the fastest access: alone it says nothing. */
static void one_tick_is_not_slow_however_long_it_is(void **state)
{
    struct world_cycle c;
    struct pb_hw *hw;

    (void)state;
    assert_int_equal(world_end(), 0);
    kernel->tick_us = 1000 * PB_HW_SLOW_MS;
    world_open(NULL);
    hw = world_claim();
    kernel->step_us = kernel->tick_us;
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    kernel->step_us = 2 * kernel->tick_us;
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    kernel->step_us = 0;
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
    later(&c);
    hw_close(hw);
}

static void a_slow_device_is_served_aside_until_it_is_fast_three_times(void **state)
{
    struct pb_hw *hw = doubtful();
    struct world_cycle c;

    (void)state;
    kernel->helper_step_us = SLOW_US;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
        later(&c);
        assert_int_equal(c.cycle.rc, 0);
        assert_int_equal(c.cycle.value, 0x10d38086);
    }
    for (unsigned i = 0; i < 2; i++) {
        kernel->helper_step_us = 0;
        assert_int_equal(world_write(&c, hw, 0x3c, 1, i), PB_HW_LATER);
        later(&c);
        assert_int_equal(world_read(&c, hw, 0x3c, 1), PB_HW_LATER);
        later(&c);
        assert_int_equal(c.cycle.value, i);
        kernel->helper_step_us = SLOW_US; /* not three in a row */
        assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
        later(&c);
    }
    kernel->helper_step_us = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
        later(&c);
    }
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, 0);
    hw_close(hw);
}

static void a_failing_access_is_no_fast_one(void **state)
{
    struct pb_hw *hw = doubtful();
    struct world_cycle c;

    (void)state;
    kernel_add_device(kernel_nic, 64);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(world_read(&c, hw, 0x40, 4), PB_HW_LATER);
        later(&c);
        assert_int_equal(c.cycle.rc, -EPERM);
    }
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
    later(&c);
    assert_int_equal(c.cycle.rc, 0);
    hw_close(hw);
}

static void later_cycles_complete_in_order_and_a_full_queue_is_EBUSY(void **state)
{
    struct world_cycle cycles[CYCLES_MAX], c;
    struct pb_hw *hw = doubtful();

    (void)state;
    atomic_store(&kernel->hold, true);
    for (unsigned i = 0; i < CYCLES_MAX; i++)
        assert_int_equal(i % 2 ? world_read(&cycles[i], hw, 0x3c, 1)
                               : world_write(&cycles[i], hw, 0x3c, 1, i),
                         PB_HW_LATER);
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, -EBUSY);
    world_run(100);
    assert_false(cycles[0].done);
    atomic_store(&kernel->hold, false);
    later(&cycles[CYCLES_MAX - 1]);
    for (unsigned i = 0; i < CYCLES_MAX; i++) {
        assert_int_equal(cycles[i].cycle.rc, 0);
        assert_int_equal(cycles[i].cycle.value, i % 2 ? i - 1 : i);
        assert_int_equal(cycles[i].turn, i == 0 ? cycles[0].turn : cycles[i - 1].turn + 1);
    }
    hw_close(hw);
}

static void one_device_in_doubt_does_not_slow_another(void **state)
{
    static const struct pb_sbdf other = { .bus = 4 };
    struct pb_hw *hw = doubtful();
    struct world_cycle waits, c;
    struct world_job j;

    (void)state;
    kernel_add_device(other, PB_CONFIG_SIZE_PCIE);
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, other), 0);
    atomic_store(&kernel->hold, true);
    assert_int_equal(world_read(&waits, hw, 0, 4), PB_HW_LATER);
    assert_int_equal(world_read(&c, j.job.hw, 0, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, 0);
    assert_false(waits.done);
    hw_close(j.job.hw);
    atomic_store(&kernel->hold, false);
    later(&waits);
    hw_close(hw);
}

static void an_access_that_never_ends_is_ETIMEDOUT(void **state)
{
    struct pb_hw *hw = doubtful();
    struct world_cycle first, second;

    (void)state;
    atomic_store(&kernel->hold, true);
    assert_int_equal(world_read(&first, hw, 0, 4), PB_HW_LATER);
    later(&first); /* its child is killed */
    assert_int_equal(first.cycle.rc, -ETIMEDOUT);
    atomic_store(&kernel->hold, false);
    assert_int_equal(world_read(&second, hw, 0, 4), PB_HW_LATER);
    later(&second);
    assert_int_equal(second.cycle.rc, 0);
    hw_close(hw);
}

static void hw_close_cancels_pending_cycles_before_it_returns(void **state)
{
    struct pb_hw *hw = doubtful();
    struct world_cycle c[3];
    unsigned fds = world_fds();

    (void)state;
    atomic_store(&kernel->hold, true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_read(&c[i], hw, 0, 4), PB_HW_LATER);
    world_run(50);
    hw_close(hw);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(c[i].done);
        assert_int_equal(c[i].cycle.rc, -ECANCELED);
    }
    assert_int_equal(c[2].turn, c[0].turn + 2);
    assert_int_equal(world_fds(), fds - 1);
    atomic_store(&kernel->hold, false); /* the answer is nobody's now */
    world_run(200);
    hw = world_claim();
    assert_int_equal(world_read(&c[0], hw, 0, 4), PB_HW_NOW); /* no doubt is left */
    hw_close(hw);
}

static struct world_cycle again;

static void try_again(struct pb_hw_cycle *cycle, void *ctx)
{
    *(enum pb_hw_when *)ctx = world_read(&again, cycle->hw, 0, 4);
}

static void what_is_submitted_while_closing_is_cancelled_at_once(void **state)
{
    enum pb_hw_when when = PB_HW_LATER;
    struct pb_hw *hw = doubtful();
    struct pb_hw_cycle cycle = { .hw = hw, .size = 4, .done = try_again, .ctx = &when };

    (void)state;
    assert_int_equal(world_host->ops->cycle_submit(world_host, &cycle), PB_HW_LATER);
    hw_close(hw);
    assert_int_equal(cycle.rc, -ECANCELED);
    assert_int_equal(when, PB_HW_NOW);
    assert_int_equal(again.cycle.rc, -ECANCELED);
}

static void close_it(struct pb_hw_cycle *cycle, void *ctx)
{
    hw_close(cycle->hw);
    *(bool *)ctx = true;
}

static void a_callback_may_close_its_device(void **state)
{
    struct pb_hw *hw = doubtful();
    bool closed = false;
    struct pb_hw_cycle cycle = { .hw = hw, .size = 4, .done = close_it, .ctx = &closed };
    struct world_cycle c;

    (void)state;
    assert_int_equal(world_host->ops->cycle_submit(world_host, &cycle), PB_HW_LATER);
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
    assert_true(world_wait(&closed, 10000));
    assert_int_equal(cycle.rc, 0);
    assert_true(c.done);
    assert_int_equal(c.cycle.rc, -ECANCELED);
}

static void what_a_callback_submits_waits_behind_the_others(void **state)
{
    enum pb_hw_when when = PB_HW_NOW;
    struct pb_hw *hw = doubtful();
    struct pb_hw_cycle cycle = { .hw = hw, .size = 4, .done = try_again, .ctx = &when };
    struct world_cycle c;

    (void)state;
    assert_int_equal(world_host->ops->cycle_submit(world_host, &cycle), PB_HW_LATER);
    assert_int_equal(world_write(&c, hw, 0x3c, 1, 7), PB_HW_LATER);
    later(&c);
    assert_int_equal(when, PB_HW_LATER);
    later(&again);
    assert_int_equal(again.turn, c.turn + 1);
    assert_int_equal(again.cycle.value, 0x10d38086);
    hw_close(hw);
}

/* --- a helper that is gone --- */

static void kill_helper(void)
{
    assert_int_equal(kill(world_helper, SIGKILL), 0);
}

/* Its end is noticed at once where the kernel has pidfds, else with the end of its last child. */
static bool have_pidfd(void)
{
    int fd = pidfd_open(getpid(), 0);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static void jobs_of_a_killed_helper_are_EPIPE(void **state)
{
    struct world_job jobs[3], j;

    (void)state;
    if (!have_pidfd())
        skip();
    atomic_store(&kernel->hold, true);
    for (unsigned i = 0; i < 3; i++)
        world_submit(&jobs[i], PB_JOB_RESET, kernel_nic, 20000);
    assert_true(world_watch(&kernel->resetting, 1, 5000));
    kill_helper(); /* its child lives, and holds the socket */
    assert_true(world_wait(&jobs[2].done, 3000));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(jobs[i].job.rc, -EPIPE);
        assert_int_equal(jobs[i].turn, i + 1);
        assert_non_null(strstr(jobs[i].job.reason, "helper"));
    }
    world_submit(&j, PB_JOB_PROBE, kernel_nic, 20000); /* asserts: not inside */
    assert_true(world_wait(&j.done, 1000));
    assert_int_equal(j.job.rc, -EPIPE);
    atomic_store(&kernel->hold, false);
    assert_true(world_watch(&kernel->resetting, 0, 5000)); /* the child went on */
}

static void cycles_of_a_killed_helper_are_EPIPE(void **state)
{
    struct world_cycle c[3], late;
    struct pb_hw *hw;

    (void)state;
    if (!have_pidfd())
        skip();
    hw = doubtful();
    atomic_store(&kernel->hold, true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_read(&c[i], hw, 0, 4), PB_HW_LATER);
    kill_helper();
    later(&c[2]);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(c[i].cycle.rc, -EPIPE);
    assert_int_equal(c[2].turn, c[0].turn + 2);
    assert_int_equal(world_read(&late, hw, 0, 4), PB_HW_NOW);
    assert_int_equal(late.cycle.rc, -EPIPE);
    hw_close(hw);
}

static void a_device_without_doubt_goes_on_without_a_helper(void **state)
{
    struct pb_hw *hw = world_claim();
    struct world_cycle c;
    struct world_job j;

    (void)state;
    kill_helper();
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), -EPIPE);
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.rc, 0);
    hw_close(hw);
}

static void callbacks_may_close_devices_when_the_helper_is_gone(void **state)
{
    static const struct pb_sbdf other = { .bus = 4 };
    bool closed[2] = { false, false };
    struct pb_hw_cycle cycles[2];
    struct pb_hw *hw;
    struct world_job j;

    (void)state;
    if (!have_pidfd())
        skip();
    hw = doubtful();
    kernel_add_device(other, PB_CONFIG_SIZE_PCIE);
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, other), 0);
    kernel->step_us = SLOW_US;
    cycles[1] = (struct pb_hw_cycle){ .hw = j.job.hw, .size = 4, .done = close_it, .ctx = closed };
    assert_int_equal(world_host->ops->cycle_submit(world_host, &cycles[1]), PB_HW_NOW);
    kernel->step_us = 0;
    atomic_store(&kernel->hold, true);
    cycles[0] = (struct pb_hw_cycle){ .hw = hw, .size = 4, .done = close_it, .ctx = closed };
    cycles[1].ctx = &closed[1];
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(world_host->ops->cycle_submit(world_host, &cycles[i]), PB_HW_LATER);
    kill_helper();
    assert_true(world_wait(&closed[0], 5000));
    assert_true(world_wait(&closed[1], 5000));
    assert_int_equal(cycles[0].rc, -EPIPE);
    assert_int_equal(cycles[1].rc, -EPIPE);
}

static unsigned retries;

static void retry(struct pb_job *job, void *ctx)
{
    (void)ctx;
    retries++;
    world_host->ops->job_submit(world_host, job);
}

static void a_job_submitted_again_and_again_leaves_others_their_turn(void **state)
{
    static struct pb_job job = { .kind = PB_JOB_PROBE, .deadline_ms = 1000, .done = retry };
    struct world_job j;

    (void)state;
    retries = 0;
    kill_helper();
    world_host->ops->job_submit(world_host, &job);
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), -EPIPE);
    assert_true(retries > 0);
}

static void a_helper_that_cannot_be_executed_is_noticed_at_once(void **state)
{
    struct pb_host_options options = kernel_options;
    unsigned fds;

    (void)state;
    (void)world_end();
    fds = world_fds();
    options.self = "/nonexistent/pcibackd";
    assert_int_equal(pb_host_open(world_loop, &options, &world_host), -ENOENT);
    options.self = "/etc/passwd";
    assert_int_equal(pb_host_open(world_loop, &options, &world_host), -EACCES);
    world_host = NULL;
    assert_int_equal(world_fds(), fds);
    assert_int_equal(world_child_of(getpid()), 0);
}

static void on_gone(void *ctx)
{
    ++*(unsigned *)ctx;
}

/* The daemon ends then: a job that failed for it would be undone, and its device given up. */
static void who_is_told_that_the_helper_is_gone_gets_no_answers_for_it(void **state)
{
    struct world_job before, after;
    struct pb_hw *hw = doubtful();
    struct world_cycle c;
    unsigned gone = 0;

    (void)state;
    world_host->gone = on_gone;
    world_host->gone_ctx = &gone;
    atomic_store(&kernel->hold, true);
    assert_int_equal(world_read(&c, hw, 0, 4), PB_HW_LATER);
    world_submit(&before, PB_JOB_RESET, kernel_nic, 20000);
    world_run(100);
    kill_helper();
    world_run(300);
    assert_int_equal(gone, 1);
    world_submit(&after, PB_JOB_PROBE, kernel_nic, 20000);
    world_run(300);
    assert_false(before.done);
    assert_false(after.done);
    assert_false(c.done);
    assert_int_equal(gone, 1);
    atomic_store(&kernel->hold, false);
    hw_close(hw);
    assert_true(c.done); /* its owner closes the device */
}

static void what_was_answered_before_the_helper_died_counts(void **state)
{
    struct world_job j;

    (void)state;
    world_submit(&j, PB_JOB_RESET, kernel_nic, 20000);
    assert_true(world_watch(&kernel->most_resetting, 1, 5000));
    assert_true(world_watch(&kernel->resetting, 0, 5000));
    for (int i = 0; i < 500 && world_child_of(world_helper) != 0; i++)
        (void)usleep(10000);
    kill_helper();
    (void)waitpid(world_helper, NULL, 0);
    assert_true(world_wait(&j.done, 5000));
    assert_int_equal(j.job.rc, 0);
}

/* --- a helper that is silent --- */

static void a_late_reply_is_dropped_and_its_descriptor_closed(void **state)
{
    unsigned fds = world_fds();
    struct world_job j;

    (void)state;
    assert_int_equal(kill(world_helper, SIGSTOP), 0);
    world_submit(&j, PB_JOB_CLAIM, kernel_nic, 20000);
    world_run(300);
    assert_false(j.done);
    kernel->jump_ms = 26000;
    assert_true(world_wait(&j.done, 2000));
    assert_int_equal(j.job.rc, -ETIMEDOUT);
    assert_non_null(strstr(j.job.reason, "does not answer"));
    assert_int_equal(kill(world_helper, SIGCONT), 0);
    for (int i = 0; i < 200 && strcmp(kernel_driver(kernel_nic), "pci-stub") != 0; i++)
        world_run(10);
    assert_string_equal(kernel_driver(kernel_nic), "pci-stub");
    assert_int_equal(world_do(&j, PB_JOB_PROBE, kernel_nic), 0); /* waits behind the late one */
    assert_int_equal(world_fds(), fds);
    assert_int_equal(world_do(&j, PB_JOB_RELEASE, kernel_nic), 0);
}

static void cycles_without_an_answer_time_out_one_by_one(void **state)
{
    struct pb_hw *hw = doubtful();
    struct world_cycle c[2];

    (void)state;
    assert_int_equal(kill(world_helper, SIGSTOP), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(world_read(&c[i], hw, 0, 4), PB_HW_LATER);
    kernel->jump_ms = 8000;
    later(&c[0]);
    assert_int_equal(c[0].cycle.rc, -ETIMEDOUT);
    world_run(600);
    assert_false(c[1].done);
    assert_int_equal(kill(world_helper, SIGCONT), 0);
    later(&c[1]);
    assert_int_equal(c[1].cycle.rc, 0);
    hw_close(hw);
}

static void a_full_socket_keeps_all_jobs_in_order(void **state)
{
    static struct world_job jobs[700];
    const unsigned n = PB_ARRAY_SIZE(jobs);
    unsigned unsent = 0;

    (void)state;
    assert_int_equal(kill(world_helper, SIGSTOP), 0);
    for (unsigned i = 0; i < n - 1; i++) {
        world_submit(&jobs[i], PB_JOB_PROBE, kernel_nic, 100000);
        unsent += !jobs[i].job.sent;
    }
    assert_true(unsent > 0 && unsent < n - 1);
    assert_int_equal(kill(world_helper, SIGCONT), 0);
    (void)usleep(300000); /* there is room now, but not for one that came later */
    world_submit(&jobs[n - 1], PB_JOB_PROBE, kernel_nic, 100000);
    assert_true(world_wait(&jobs[n - 1].done, 60000));
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(jobs[i].job.rc, 0);
        assert_int_equal(jobs[i].turn, i + 1);
    }
}

/* --- plugins --- */

static int reset_with_plugin(const struct pb_facts *claimed)
{
    static struct world_job j;

    world_prepare(&j, PB_JOB_RESET, kernel_nic, 20000);
    j.job.plugin_count = 1;
    (void)snprintf(j.job.plugin[0].path, sizeof(j.job.plugin[0].path), PB_FIXTURE_DIR "/fake.so");
    (void)snprintf(j.job.plugin[0].params, sizeof(j.job.plugin[0].params),
                   "{\"before_reset\":\"image\"}");
    j.job.claimed = claimed;
    world_host->ops->job_submit(world_host, &j.job);
    assert_true(world_wait(&j.done, 30000));
    assert_non_null(strstr(j.job.reason, "plugin fake: before_reset"));
    return j.job.rc;
}

static void plugins_and_the_image_of_claim_reach_the_helper(void **state)
{
    static struct pb_facts claimed = { .config_size = PB_CONFIG_SIZE_PCIE };

    (void)state;
    claimed.config[0x48] = EBUSY;
    assert_int_equal(reset_with_plugin(&claimed), -EBUSY);
    assert_int_equal(reset_with_plugin(NULL), -0x48); /* as it is now */
    kernel_assert_log(NULL);
}

/* --- what later jobs carry --- */

static void surroundings_and_next_steps_come_back(void **state)
{
    static struct world_job j;

    (void)state;
    kernel_add_port(0x0102, 0x40);
    assert_int_equal(world_do(&j, PB_JOB_CLAIM, kernel_nic), -EACCES);
    assert_string_equal(j.job.surroundings.path, "0000:00:1c.0/00.0");
    assert_string_equal(j.job.surroundings.port, "0000:00:1c.0");
    assert_non_null(strstr(j.job.next, "--force"));
    world_prepare(&j, PB_JOB_CLAIM, kernel_nic, 20000);
    j.job.force = true;
    (void)snprintf(j.job.next, sizeof(j.job.next), "of another time");
    world_host->ops->job_submit(world_host, &j.job);
    assert_true(world_wait(&j.done, 30000));
    assert_int_equal(j.job.rc, 0);
    assert_string_equal(j.job.next, "");
    world_host->ops->hw_close(world_host, j.job.hw);
}

static void open_brings_a_descriptor(void **state)
{
    static struct world_job j;
    struct world_cycle c;

    (void)state;
    assert_int_equal(world_do(&j, PB_JOB_OPEN, kernel_nic), 0);
    assert_non_null(j.job.hw);
    assert_int_equal(world_read(&c, j.job.hw, 0, 4), PB_HW_NOW);
    assert_int_equal(c.cycle.value, 0x10d38086);
    world_host->ops->hw_close(world_host, j.job.hw);
    kernel_assert_log(NULL);
}

static void what_was_claimed_is_listed_for_the_next_run(void **state)
{
    static const struct pb_sbdf none;
    static struct world_job j;

    (void)state;
    hw_close(world_claim());
    (void)world_end(); /* and a new daemon */
    world_open(NULL);
    assert_int_equal(world_do(&j, PB_JOB_REMEMBERED, none), 0);
    assert_int_equal(j.job.listed_count, 1);
    assert_true(pb_sbdf_equal(j.job.listed[0], kernel_nic));
}

static void slots_reach_the_file(void **state)
{
    static const struct pb_sbdf none;
    static struct pb_slot slots[PB_SLOTS_SAVED_MAX];
    static struct world_job j;
    char path[128];
    struct stat st;

    (void)state;
    for (unsigned i = 0; i < PB_SLOTS_SAVED_MAX; i++)
        slots[i] = (struct pb_slot){ .bus = (uint8_t)i };
    world_prepare(&j, PB_JOB_SAVE_SLOTS, none, 20000);
    j.job.slots = slots;
    j.job.slot_count = PB_SLOTS_SAVED_MAX;
    world_host->ops->job_submit(world_host, &j.job);
    assert_true(world_wait(&j.done, 30000));
    assert_int_equal(j.job.rc, 0);
    (void)snprintf(path, sizeof(path), "%s/90-slots.json", kernel_config);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > PB_SLOTS_SAVED_MAX * (PB_SBDF_TEXT + 1));
    assert_int_equal(world_do(&j, PB_JOB_SAVE_SLOTS, none), 0);
    assert_int_equal(stat(path, &st), -1);
}

static void the_domain_is_asked_for(void **state)
{
    static const struct pb_sbdf none;
    static struct world_job j;

    (void)state;
    kernel_put("sys/bus/xen-backend/devices/pci-7-0/driver/x", "");
    world_prepare(&j, PB_JOB_KERNEL_STAYS_AWAY, none, 20000);
    j.job.domid = 7;
    world_host->ops->job_submit(world_host, &j.job);
    assert_true(world_wait(&j.done, 30000));
    assert_int_equal(j.job.rc, -EBUSY);
    assert_non_null(strstr(j.job.reason, "domain 7"));
}

int main(int argc, char **argv)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        RULE(a_claim_brings_a_descriptor_that_reads_and_writes),
        RULE(a_restart_finds_what_it_remembered),
        RULE(a_failed_claim_opens_nothing),
        RULE(a_claim_whose_descriptor_is_lost_fails),
        RULE(H19_a_cycle_beyond_what_the_descriptor_sees_is_EPERM),
        RULE(a_slow_device_is_served_aside_until_it_is_fast_three_times),
        RULE(a_failing_access_is_no_fast_one),
        RULE(later_cycles_complete_in_order_and_a_full_queue_is_EBUSY),
        RULE(one_device_in_doubt_does_not_slow_another),
        RULE(one_tick_is_not_slow_however_long_it_is),
        RULE(an_access_that_never_ends_is_ETIMEDOUT),
        RULE(hw_close_cancels_pending_cycles_before_it_returns),
        RULE(what_is_submitted_while_closing_is_cancelled_at_once),
        RULE(a_callback_may_close_its_device),
        RULE(what_a_callback_submits_waits_behind_the_others),
        RULE(jobs_of_a_killed_helper_are_EPIPE),
        RULE(cycles_of_a_killed_helper_are_EPIPE),
        RULE(a_device_without_doubt_goes_on_without_a_helper),
        RULE(callbacks_may_close_devices_when_the_helper_is_gone),
        RULE(a_job_submitted_again_and_again_leaves_others_their_turn),
        RULE(a_helper_that_cannot_be_executed_is_noticed_at_once),
        RULE(who_is_told_that_the_helper_is_gone_gets_no_answers_for_it),
        RULE(what_was_answered_before_the_helper_died_counts),
        RULE(a_late_reply_is_dropped_and_its_descriptor_closed),
        RULE(cycles_without_an_answer_time_out_one_by_one),
        RULE(a_full_socket_keeps_all_jobs_in_order),
        RULE(plugins_and_the_image_of_claim_reach_the_helper),
        RULE(surroundings_and_next_steps_come_back),
        RULE(open_brings_a_descriptor),
        RULE(what_was_claimed_is_listed_for_the_next_run),
        RULE(slots_reach_the_file),
        RULE(the_domain_is_asked_for),
    };
    int status;

    if (kernel_is_helper(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
