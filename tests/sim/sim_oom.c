/* SPDX-License-Identifier: MIT */
/*
 * The daemon's allocations, each of which may be made to fail: the linker sends them here (--wrap).
 * Those of the world never fail. jansson's come by sim_memory.c's functions.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_memory.h"

/* The names are the linker's. NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
 */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);

int __real_posix_fallocate(int fd, off_t offset, off_t length);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
int __wrap_posix_fallocate(int fd, off_t offset, off_t length);
__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **ret, const char *fmt, ...);

static void *none(void)
{
    errno = ENOMEM;
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    return sim_oom_hits() ? none() : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return sim_oom_hits() ? none() : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return sim_oom_hits() ? none() : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return sim_oom_hits() ? none() : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
    return sim_oom_hits() ? none() : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
    return sim_oom_hits() ? none() : __real_strndup(text, length);
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (sim_oom_hits()) {
        *ret = NULL;
        errno = ENOMEM;
        return -1;
    }
    va_start(ap, fmt);
    n = vasprintf(ret, fmt, ap);
    va_end(ap);
    return n;
}

/* The file system of the state directory, when a test says that it is full. */
int __wrap_posix_fallocate(int fd, off_t offset, off_t length)
{
    return sim_disk_full && !sim_in_world ? ENOSPC : __real_posix_fallocate(fd, offset, length);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
