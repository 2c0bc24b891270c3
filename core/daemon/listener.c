/* SPDX-License-Identifier: MIT */
#include "daemon/listener.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define BACKLOG 64

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* 0 when PATH is free now. */
static int clear_path(const struct sockaddr_un *address, char *why, size_t why_size)
{
    const char *path = address->sun_path;
    struct stat st;
    int fd, rc;

    if (lstat(path, &st) != 0)
        return 0; /* absent, or bind will say what is wrong */
    if (!S_ISSOCK(st.st_mode)) {
        (void)snprintf(why, why_size, "%s is there and is not a socket", path);
        return -EEXIST;
    }
    /* The lock says that no other daemon of this state directory runs; one of another might. */
    fd = new_socket();
    if (fd < 0)
        return fd;
    rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;
    (void)close(fd);
    if (rc == 0 || rc == -EAGAIN) {
        (void)snprintf(why, why_size, "another program listens at %s", path);
        return -EADDRINUSE;
    }
    (void)unlink(path);
    return 0;
}

/* The socket is created for nobody and opened to its group when all is set. */
static int bind_closed(int fd, const struct sockaddr_un *address)
{
    mode_t before = umask(0777);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;

    (void)umask(before);
    return rc;
}

static int open_to_group(const char *path, const char *name)
{
    const struct group *group = getgrnam(name);
    bool shared = true;

    if (!group) {
        pb_warn("control: there is no group \"%s\": only root may use %s", name, path);
        shared = false;
    } else if (chown(path, (uid_t)-1, group->gr_gid) != 0) {
        pb_warn("control: cannot give %s to group \"%s\": %s", path, name, strerror(errno));
        shared = false;
    }
    return chmod(path, shared ? 0660 : 0600) == 0 ? 0 : -errno;
}

int pb_listener_open(const char *path, const char *group, char *why, size_t why_size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    bool bound = false;
    int fd, rc;

    why[0] = '\0';
    fd = new_socket();
    if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
        rc = fd < 0 ? fd : -ENAMETOOLONG;
    } else {
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        rc = clear_path(&address, why, why_size);
    }
    if (rc == 0) {
        rc = bind_closed(fd, &address);
        bound = rc == 0;
    }
    if (rc == 0)
        rc = open_to_group(path, group);
    if (rc == 0)
        rc = listen(fd, BACKLOG) == 0 ? 0 : -errno;
    if (rc == 0)
        return fd;

    if (!why[0])
        (void)snprintf(why, why_size, "cannot listen at %s: %s", path, strerror(-rc));
    if (bound)
        (void)unlink(path);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}
