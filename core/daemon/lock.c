/* SPDX-License-Identifier: MIT */
#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_directory(const char *dir, char *why, size_t why_size)
{
    struct stat st;
    int fd, saved;

    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        saved = errno;
        (void)snprintf(why, why_size, "cannot create %s: %s", dir, strerror(saved));
        return -saved;
    }
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        saved = errno;
        (void)snprintf(why, why_size, "cannot open %s: %s", dir, strerror(saved));
        if (fd >= 0)
            (void)close(fd);
        return -saved;
    }
    /* What stands here decides who has a device: nobody else may plant it. */
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & S_IWOTH)) {
        (void)snprintf(why, why_size, "%s belongs to somebody else or everybody may write to it",
                       dir);
        (void)close(fd);
        return -EPERM;
    }
    return fd;
}

/* "pid 1234", as the holder wrote it. */
static void name_holder(int fd, const char *dir, char *why, size_t why_size)
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
    size_t digits = n > 0 ? strspn(pid, "0123456789") : 0;

    pid[digits] = '\0';
    (void)snprintf(why, why_size, "another daemon (pid %s) holds %s/lock", digits ? pid : "unknown",
                   dir);
}

static int hold(int fd, const char *dir, char *why, size_t why_size)
{
    int saved;

    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        saved = errno;
        if (saved != EWOULDBLOCK) {
            (void)snprintf(why, why_size, "cannot lock %s/lock: %s", dir, strerror(saved));
            return -saved;
        }
        name_holder(fd, dir, why, why_size);
        return -EBUSY;
    }
    /* The lock holds without its text, which only helps whoever finds it taken. */
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
        return 0;
    return 0;
}

int pb_lock_take(const char *dir, char *why, size_t why_size)
{
    int dir_fd = open_directory(dir, why, why_size), fd, rc;

    if (dir_fd < 0)
        return dir_fd;
    fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* Who may read it may lock it. */
    rc = fd < 0 || fchmod(fd, 0600) != 0 ? -errno : 0;
    (void)close(dir_fd);
    if (rc != 0) {
        (void)snprintf(why, why_size, "cannot open %s/lock: %s", dir, strerror(-rc));
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    rc = hold(fd, dir, why, why_size);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}
