/* SPDX-License-Identifier: MIT */
#include "count.h"

#include <ev.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

struct count counted;
bool count_off;

#define COUNT(what) (void)(count_off ? 0 : counted.what++)

/* The names are the linker's. NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
 */
/* COUNTED(MEMBER, TYPE, NAME, PARAMETERS, ARGUMENTS): a function that is counted and called. */
#define COUNTED(member, type, name, parameters, arguments) \
    type __real_##name parameters;                         \
    type __wrap_##name parameters;                         \
    type __wrap_##name parameters                          \
    {                                                      \
        COUNT(member);                                     \
        return __real_##name arguments;                    \
    }

COUNTED(memory, void *, malloc, (size_t size), (size))
COUNTED(memory, void *, calloc, (size_t count, size_t size), (count, size))
COUNTED(memory, void *, realloc, (void *old, size_t size), (old, size))
COUNTED(memory, void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size))
COUNTED(memory, void *, aligned_alloc, (size_t align, size_t size), (align, size))
COUNTED(memory, int, posix_memalign, (void **ret, size_t align, size_t size), (ret, align, size))
COUNTED(memory, char *, strdup, (const char *text), (text))
COUNTED(memory, char *, strndup, (const char *text, size_t length), (text, length))
COUNTED(memory, int, vasprintf, (char **ret, const char *fmt, va_list ap), (ret, fmt, ap))

COUNTED(locks, int, pthread_mutex_lock, (pthread_mutex_t * lock), (lock))
COUNTED(locks, int, pthread_mutex_trylock, (pthread_mutex_t * lock), (lock))
COUNTED(locks, int, pthread_mutex_unlock, (pthread_mutex_t * lock), (lock))
COUNTED(locks, int, pthread_cond_signal, (pthread_cond_t * cond), (cond))

COUNTED(cycles, ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
/* What a release build calls instead. */
COUNTED(cycles, ssize_t, __pread_chk, (int fd, void *to, size_t size, off_t at, size_t room),
        (fd, to, size, at, room))
COUNTED(cycles, ssize_t, pwrite, (int fd, const void *of, size_t size, off_t at),
        (fd, of, size, at))

COUNTED(transfers, ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
COUNTED(transfers, off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence))
COUNTED(transfers, int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms))
COUNTED(transfers, ssize_t, send, (int fd, const void *of, size_t size, int flags),
        (fd, of, size, flags))
COUNTED(transfers, ssize_t, sendmsg, (int fd, const struct msghdr *of, int flags), (fd, of, flags))
COUNTED(transfers, ssize_t, recvmsg, (int fd, struct msghdr *to, int flags), (fd, to, flags))

void __real_free(void *old);
void __wrap_free(void *old);
void __wrap_free(void *old)
{
    COUNT(memory);
    __real_free(old);
}

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (clock != CLOCK_MONOTONIC_COARSE)
        COUNT(clocks);
    return __real_clock_gettime(clock, ret);
}

void __wrap_pb_log(enum pb_log_level level, const char *fmt, ...);
void __wrap_pb_log(enum pb_log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
    COUNT(lines);
}

static void *for_libev(void *old, long size)
{
    COUNT(memory);
    if (size > 0)
        return __real_realloc(old, (size_t)size);
    __real_free(old);
    return NULL;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

void count_init(void)
{
    ev_set_allocator(for_libev);
    json_set_alloc_funcs(malloc, free);
}

void count_reset(void)
{
    counted = (struct count){ 0 };
}
