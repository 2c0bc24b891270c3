/* SPDX-License-Identifier: MIT */
/*
 * What events cost, with Xen's own library over a socket that plays /dev/xen/evtchn: system calls,
 * memory, locks. The program's ioctl() and write() come before libc's, for that library too.
 */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
#include "xen/real.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <xenevtchn.h>
#include <xentoollog.h>

#include "count.h"

static int pair[2];
static unsigned ioctls, writes;

int ioctl(int fd, unsigned long command, ...)
{
    (void)command;
    if (fd == pair[0])
        ioctls++;
    return 0;
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (fd == pair[0])
        writes++;
    return syscall(SYS_write, fd, data, size);
}

xenevtchn_handle *__wrap_xenevtchn_open(struct xentoollog_logger *logger, unsigned flags);
xenevtchn_handle *__wrap_xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
    return xenevtchn_fdopen(logger, pair[0], flags);
}

/* Each port that has an event is answered and unmasked. */
static void on_ports(void *ctx, const uint32_t *ports, size_t count)
{
    struct pb_real *r = ctx;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(r->ops.port_notify(&r->xen, ports[i]), 0);
        assert_int_equal(r->ops.port_unmask(&r->xen, ports[i]), 0);
    }
}

static void one_event(struct pb_real *r)
{
    uint32_t port = 99;

    assert_int_equal(write(pair[1], &port, sizeof(port)), sizeof(port));
    ev_run(r->loop, EVRUN_NOWAIT); /* it is there */
    ev_run(r->loop, EVRUN_NOWAIT); /* before the loop sleeps */
    assert_int_equal(recv(pair[1], &port, sizeof(port), 0), sizeof(port));
}

static int setup(void **state)
{
    static struct pb_real r;

    memset(&r, 0, sizeof(r));
    *state = &r;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    r.loop = ev_loop_new(EVFLAG_AUTO);
    assert_int_equal(pb_real_evtchn_open(&r), 0);
    r.xen.ops = &r.ops;
    r.xen.events = (struct pb_xen_events){ .ports_pending = on_ports, .ctx = &r };
    one_event(&r); /* the loop gets its memory the first time */
    return 0;
}

static int teardown(void **state)
{
    struct pb_real *r = *state;

    pb_real_evtchn_close(r); /* and with it pair[0] */
    ev_loop_destroy(r->loop);
    (void)close(pair[1]);
    return 0;
}

/* Of COUNT guests at once: a read for all of them, an answer each, an unmask for all of them. */
static void cost_of(struct pb_real *r, unsigned count)
{
    uint32_t ports[64], unmasked[64];

    for (uint32_t i = 0; i < count; i++)
        ports[i] = 100 + i;
    for (unsigned turn = 0; turn < 3; turn++) {
        assert_int_equal(write(pair[1], ports, count * sizeof(ports[0])), count * sizeof(ports[0]));
        count_reset();
        ioctls = writes = 0;
        ev_run(r->loop, EVRUN_NOWAIT); /* they are there */
        ev_run(r->loop, EVRUN_NOWAIT); /* before it sleeps */
        assert_int_equal(counted.transfers, 1);
        assert_int_equal(ioctls, count);
        assert_int_equal(writes, 1);
        assert_int_equal(counted.memory, 0);
        assert_int_equal(counted.locks, 0);
        assert_int_equal(counted.clocks, 0);
        assert_int_equal(counted.lines, 0);
        assert_int_equal(recv(pair[1], unmasked, sizeof(unmasked), 0), count * sizeof(ports[0]));
        assert_memory_equal(unmasked, ports, count * sizeof(ports[0]));
    }
}

static void an_event_is_a_read_an_answer_and_an_unmask(void **state)
{
    cost_of(*state, 1);
}

static void events_of_many_are_one_read_and_one_unmask(void **state)
{
    cost_of(*state, 64);
}

static void nothing_to_do_costs_nothing(void **state)
{
    struct pb_real *r = *state;

    count_reset();
    ioctls = writes = 0;
    ev_run(r->loop, EVRUN_NOWAIT);
    assert_int_equal(counted.transfers + ioctls + writes + counted.memory, 0);
}
/* NOLINTEND(bugprone-reserved-identifier) */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_a_read_an_answer_and_an_unmask),
        TEST(events_of_many_are_one_read_and_one_unmask),
        TEST(nothing_to_do_costs_nothing),
    };

    count_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
