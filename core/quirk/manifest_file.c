/* SPDX-License-Identifier: MIT */
#include "quirk/manifest_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_null_link(const char *path)
{
    static const char null[] = "/dev/null";
    char target[sizeof(null) + 1];
    ssize_t n = readlink(path, target, sizeof(target));

    return n == (ssize_t)strlen(null) && memcmp(target, null, strlen(null)) == 0;
}

/* Why the file cannot be used; NULL: it can. */
static const char *objection(int fd, bool any_owner, struct stat *ret)
{
    if (fstat(fd, ret) != 0)
        return strerror(errno);
    if (!S_ISREG(ret->st_mode))
        return "not a regular file";
    if (ret->st_size > (off_t)PB_MANIFEST_MAX)
        return "is larger than 1 MiB";
    return pb_json_mistrust(ret, any_owner);
}

/* SIZE bytes, or fewer at the file's end; -1 with errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
    size_t n = 0;

    while (n < size) {
        ssize_t r = read(fd, buf + n, size - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    return (ssize_t)n;
}

static bool load(int fd, const char *path, bool any_owner, struct pb_manifest **ret,
                 struct pb_json_error *error)
{
    const char *why;
    struct stat st;
    ssize_t length;
    char *text;

    why = objection(fd, any_owner, &st);
    if (why) {
        pb_json_error_set(error, "%s: %s", path, why);
        return false;
    }
    if (st.st_size == 0)
        return true;
    text = malloc((size_t)st.st_size);
    length = text ? read_all(fd, text, (size_t)st.st_size) : -1;
    if (length < 0)
        pb_json_error_set(error, "%s: %s", path, strerror(text ? errno : ENOMEM));
    else
        *ret = pb_manifest_parse(text, (size_t)length, path, error);
    free(text);
    return *ret != NULL;
}

bool pb_manifest_load(const char *path, bool any_owner, struct pb_manifest **ret,
                      struct pb_json_error *error)
{
    bool done;
    int fd;

    *ret = NULL;
    if (is_null_link(path))
        return true;
    /* A link may point to what others may change; O_NONBLOCK: opening a FIFO must not hang. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (any_owner ? 0 : O_NOFOLLOW));
    if (fd < 0) {
        pb_json_error_set(error, "%s: %s", path,
                          errno == ELOOP ? "is a link, and not to /dev/null" : strerror(errno));
        return false;
    }
    done = load(fd, path, any_owner, ret, error);
    (void)close(fd);
    return done;
}
