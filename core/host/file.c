/* SPDX-License-Identifier: MIT */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool path_of(char path[PATH_MAX], const char *dir, const char *name)
{
    return (size_t)snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static int write_all(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    size_t length = strlen(text);
    int rc = 0;

    if (fd < 0)
        return -errno;
    errno = 0;
    /* The mode is as said whatever the umask is, and whoever left the file there. */
    if (fchmod(fd, mode) != 0 || write(fd, text, length) != (ssize_t)length)
        rc = errno ? -errno : -EIO;
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

/* A new name is on the disk only when its directory is. */
static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = fsync(fd) != 0 ? -errno : 0;
    (void)close(fd);
    return rc;
}

int pb_file_replace(const char *dir, const char *name, const char *temporary, const char *text,
                    mode_t mode)
{
    char path[PATH_MAX], tmp[PATH_MAX];
    int rc;

    if (!path_of(path, dir, name) || !path_of(tmp, dir, temporary))
        return -ENAMETOOLONG;
    rc = write_all(tmp, text, mode);
    if (rc == 0 && rename(tmp, path) != 0)
        rc = -errno;
    if (rc)
        (void)unlink(tmp);
    return rc ? rc : sync_directory(dir);
}

int pb_file_remove(const char *dir, const char *name)
{
    char path[PATH_MAX];

    if (!path_of(path, dir, name))
        return -ENAMETOOLONG;
    if (unlink(path) != 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    return sync_directory(dir);
}

int pb_file_read(const char *path, char *text, size_t size)
{
    /* whoever put a pipe there does not make us wait */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, size - 1);
    (void)close(fd);
    if (n <= 0)
        return -EPROTO;
    text[n] = '\0';
    return 0;
}
