/* SPDX-License-Identifier: MIT */
#include "host/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

size_t pb_wire_request_size(const struct pb_wire_request *request)
{
    return request->plugin_count || request->slot_count ? sizeof(*request)
                                                        : offsetof(struct pb_wire_request, slot);
}

int pb_wire_receive_request(int socket_fd, struct pb_wire_request *ret)
{
    ssize_t n;

    memset(ret, 0, sizeof(*ret));
    n = recv(socket_fd, ret, sizeof(*ret), MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -EPIPE;
    return (size_t)n == pb_wire_request_size(ret) ? 1 : -EPIPE;
}

int pb_wire_send_reply(int socket_fd, const struct pb_wire_reply *reply, int fd)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)reply, .iov_len = sizeof(*reply) };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        struct cmsghdr *c;

        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    while (sendmsg(socket_fd, &msg, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int pb_wire_receive_reply(int socket_fd, struct pb_wire_reply *ret, int *ret_fd)
{
    struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    struct cmsghdr *c;
    ssize_t n;

    *ret_fd = -1;
    do {
        n = recvmsg(socket_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -EPIPE;
    if (n == 0)
        return -EPIPE;
    c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
    if ((size_t)n != sizeof(*ret)) {
        if (*ret_fd >= 0)
            (void)close(*ret_fd);
        *ret_fd = -1;
        return -EPIPE; /* not our helper any more */
    }
    return 1;
}
