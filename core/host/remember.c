/* SPDX-License-Identifier: MIT */
#include "host/remember.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_HERE 320

static void path_of(char *path, const char *lib_dir, const char *address, const char *suffix)
{
    (void)snprintf(path, PATH_MAX_HERE, "%s/devices/%s%s", lib_dir, address, suffix);
}

/* False without a whole line of that KEY: then the file was cut off, or is not ours. */
static bool take_line(const char *text, const char *key, char *value, size_t size)
{
    const char *at = strstr(text, key);
    size_t n;

    if (!at)
        return false;
    at += strlen(key);
    n = strcspn(at, "\n");
    if (at[n] != '\n' || n >= size)
        return false;
    memcpy(value, at, n);
    value[n] = '\0';
    return true;
}

int pb_remember_load(const char *lib_dir, const char *address, struct pb_remembered *ret)
{
    char path[PATH_MAX_HERE], text[256], enabled[4];
    ssize_t n;
    int fd;

    path_of(path, lib_dir, address, "");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0)
        return -EPROTO;
    text[n] = '\0';
    if (strncmp(text, "driver=", 7) != 0 ||
        !take_line(text, "driver=", ret->driver, sizeof(ret->driver)) ||
        !take_line(text, "\noverride=", ret->override, sizeof(ret->override)) ||
        !take_line(text, "\npower=", ret->power, sizeof(ret->power)) ||
        !take_line(text, "\nenabled=", enabled, sizeof(enabled)))
        return -EPROTO;
    ret->enabled = enabled[0] == '1';
    return 0;
}

static int write_all(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t length = strlen(text);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, length) != (ssize_t)length)
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

int pb_remember_store(const char *lib_dir, const char *address, const struct pb_remembered *what)
{
    char dir[PATH_MAX_HERE], path[PATH_MAX_HERE], tmp[PATH_MAX_HERE], text[256];
    int rc;

    (void)snprintf(dir, sizeof(dir), "%s/devices", lib_dir);
    if ((mkdir(lib_dir, 0700) != 0 && errno != EEXIST) ||
        (mkdir(dir, 0700) != 0 && errno != EEXIST))
        return -errno;
    (void)snprintf(text, sizeof(text), "driver=%s\noverride=%s\npower=%s\nenabled=%d\n",
                   what->driver, what->override, what->power, what->enabled);
    path_of(path, lib_dir, address, "");
    path_of(tmp, lib_dir, address, ".new");
    errno = 0;
    rc = write_all(tmp, text);
    if (rc == 0 && rename(tmp, path) != 0)
        rc = -errno;
    if (rc)
        (void)unlink(tmp);
    return rc ? rc : sync_directory(dir);
}

int pb_remember_forget(const char *lib_dir, const char *address)
{
    char path[PATH_MAX_HERE];

    path_of(path, lib_dir, address, "");
    return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
