/* SPDX-License-Identifier: MIT */
/* Replies and their descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/wire.h"

static int fds[2];
static struct pb_wire_reply reply, got;

static int setup(void **state)
{
    (void)state;
    memset(&reply, 0, sizeof(reply));
    reply.id = 7;
    reply.rc = -EIO;
    memset(reply.facts.config, 0xa5, sizeof(reply.facts.config));
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

static int teardown(void **state)
{
    (void)state;
    (void)close(fds[0]);
    if (fds[1] >= 0)
        (void)close(fds[1]);
    return 0;
}

static unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static void a_reply_arrives_whole(void **state)
{
    int fd = 99;

    (void)state;
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), 0);
    assert_int_equal(pb_wire_send_reply(fds[1], &reply, -1), 0);
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), 1);
    assert_memory_equal(&got, &reply, sizeof(got));
    assert_int_equal(fd, -1);
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), 0);
}

static void a_descriptor_arrives_closed_on_exec(void **state)
{
    int pipes[2], fd;
    char c = 'x';

    (void)state;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(pb_wire_send_reply(fds[1], &reply, pipes[1]), 0);
    (void)close(pipes[1]);
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), 1);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fd, &c, 1), 1);
    (void)close(fd);
    assert_int_equal(read(pipes[0], &c, 1), 1);
    assert_int_equal(read(pipes[0], &c, 1), 0);
    (void)close(pipes[0]);
}

static void without_room_the_descriptor_is_dropped_and_the_reply_is_not(void **state)
{
    struct rlimit before, limit;
    int fd;

    (void)state;
    if (getenv("LD_PRELOAD"))
        skip(); /* valgrind keeps limits of its own */
    assert_int_equal(pb_wire_send_reply(fds[1], &reply, fds[1]), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(got.id, 7);
    assert_int_equal(fd, -1);
}

static void a_message_of_another_size_ends_it_and_its_descriptor(void **state)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte = 0;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    unsigned before = open_fds();
    int fd;

    (void)state;
    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fds[1], sizeof(int));
    assert_int_equal(sendmsg(fds[1], &msg, 0), 1);
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), -EPIPE);
    assert_int_equal(fd, -1);
    assert_int_equal(open_fds(), before);
}

static void a_request_arrives_whole_with_and_without_plugins(void **state)
{
    static struct pb_wire_request request = { .id = 9, .kind = PB_JOB_RESET, .settle_ms = 250 };
    static struct pb_wire_request arrived;
    size_t small = pb_wire_request_size(&request);

    (void)state;
    assert_int_equal(pb_wire_receive_request(fds[0], &arrived), 0);
    assert_int_equal(send(fds[1], &request, small, 0), small);
    assert_int_equal(pb_wire_receive_request(fds[0], &arrived), 1);
    assert_memory_equal(&arrived, &request, sizeof(request)); /* the rest is zero */
    request.plugin_count = 1;
    request.plugin[0].path[0] = '/';
    request.image_size = 256;
    memset(request.image, 0x5a, sizeof(request.image));
    assert_true(pb_wire_request_size(&request) > small);
    assert_int_equal(send(fds[1], &request, sizeof(request), 0), sizeof(request));
    assert_int_equal(pb_wire_receive_request(fds[0], &arrived), 1);
    assert_memory_equal(&arrived, &request, sizeof(request));
    /* One that is not as long as it says. */
    assert_int_equal(send(fds[1], &request, small, 0), small);
    assert_int_equal(pb_wire_receive_request(fds[0], &arrived), -EPIPE);
    request.plugin_count = 0;
    assert_int_equal(send(fds[1], &request, sizeof(request), 0), sizeof(request));
    assert_int_equal(pb_wire_receive_request(fds[0], &arrived), -EPIPE);
    assert_int_equal(send(fds[1], &request, 8, 0), 8);
    assert_int_equal(pb_wire_receive_request(fds[0], &arrived), -EPIPE);
}

static void an_end_that_is_gone_shows(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(pb_wire_send_reply(fds[1], &reply, -1), 0);
    (void)close(fds[1]);
    fds[1] = -1;
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), 1); /* what it said is not lost */
    assert_int_equal(pb_wire_receive_reply(fds[0], &got, &fd), -EPIPE);
    assert_int_equal(pb_wire_send_reply(fds[0], &reply, -1), -EPIPE); /* and no SIGPIPE */
    {
        struct pb_wire_request request;

        assert_int_equal(pb_wire_receive_request(fds[0], &request), -EPIPE);
    }
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(a_reply_arrives_whole),
        RULE(a_descriptor_arrives_closed_on_exec),
        RULE(without_room_the_descriptor_is_dropped_and_the_reply_is_not),
        RULE(a_message_of_another_size_ends_it_and_its_descriptor),
        RULE(a_request_arrives_whole_with_and_without_plugins),
        RULE(an_end_that_is_gone_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
