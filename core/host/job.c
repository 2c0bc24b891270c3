/* SPDX-License-Identifier: MIT */
#include "host/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/job_reset.h"
#include "host/work.h"

#define SETTLE_MAX_MS 600000

int pb_work_fail(struct pb_work *work, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(work->reply->reason, sizeof(work->reply->reason), fmt, ap);
    va_end(ap);
    return rc;
}

int pb_work_next(struct pb_work *work, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(work->reply->next, sizeof(work->reply->next), fmt, ap);
    va_end(ap);
    return rc;
}

void pb_job_pause(unsigned ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static int cycle(struct pb_work *work)
{
    const struct pb_wire_request *r = work->request;
    char path[256];
    uint8_t bytes[4] = { 0 };
    uint64_t began;
    ssize_t n;
    int fd, rc;

    (void)snprintf(path, sizeof(path), "%s/config", work->fs.device);
    fd = open(path, (r->write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        return pb_work_fail(work, -errno, "config: %s", strerror(errno));
    pb_le_put(bytes, r->size, r->value);
    began = pb_now_ns();
    n = r->write ? pwrite(fd, bytes, r->size, r->offset) : pread(fd, bytes, r->size, r->offset);
    rc = n == (ssize_t)r->size ? 0 : n < 0 ? -errno : -EPERM;
    work->reply->took_us = (uint32_t)((pb_now_ns() - began) / 1000);
    work->reply->value = pb_le_get(bytes, r->size);
    (void)close(fd);
    return rc;
}

/* LENGTH bytes at TEXT hold a whole string of letters, digits, '_' and EXTRA. */
static bool plain(const char *text, size_t length, char extra)
{
    const char *end = memchr(text, '\0', length);

    for (const char *p = text; end && p < end; p++) {
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
            *p != '_' && *p != extra)
            return false;
    }
    return end != NULL;
}

/* The daemon gave its privileges up and we did not: its names become paths, its sizes lengths. */
static bool sane(const struct pb_wire_request *r)
{
    if (r->kind == PB_WIRE_ACCESS)
        return (r->size == 1 || r->size == 2 || r->size == 4) && r->offset % r->size == 0 &&
               r->offset + r->size <= (int)PB_CONFIG_SIZE_PCIE;
    if (!plain(r->driver, sizeof(r->driver), '-') || !plain(r->method, sizeof(r->method), ' '))
        return false;
    if (r->kind == PB_JOB_LIST
            ? r->slot_count != 1
            : r->slot_count > (r->kind == PB_JOB_SAVE_SLOTS ? PB_SLOTS_SAVED_MAX : 0))
        return false;
    if (r->kind != PB_JOB_RESET)
        return (r->kind != PB_JOB_CLAIM || r->driver[0]) && r->plugin_count == 0;
    return r->plugin_count <= PB_JOB_PLUGINS && r->settle_ms <= SETTLE_MAX_MS &&
           (r->image_size == 0 || r->image_size == PB_CONFIG_SIZE_PCI ||
            r->image_size == PB_CONFIG_SIZE_PCIE);
}

void pb_job_run(const struct pb_wire_request *request, const struct pb_host_options *options,
                struct pb_wire_reply *ret, int *ret_fd)
{
    struct pb_work work = { .request = request, .options = options, .reply = ret, .fd = ret_fd };

    memset(ret, 0, sizeof(*ret));
    ret->id = request->id;
    *ret_fd = -1;
    if (!sane(request)) {
        ret->rc = pb_work_fail(&work, -EINVAL, "the helper refuses what the daemon asks");
        return;
    }
    pb_sysfs_init(&work.fs, options->sysfs, request->sbdf);
    switch (request->kind) {
    case PB_JOB_PROBE:
        ret->rc = pb_work_probe(&work);
        break;
    case PB_JOB_CLAIM:
        ret->rc = pb_work_claim(&work);
        break;
    case PB_JOB_OPEN:
    case PB_JOB_ADOPT:
        ret->rc = pb_work_open(&work);
        break;
    case PB_JOB_RELEASE:
        ret->rc = pb_work_release(&work);
        break;
    case PB_JOB_RESET:
        ret->rc = pb_job_reset(request, &work.fs, ret);
        break;
    case PB_JOB_REMEMBERED:
        ret->rc = pb_work_list_remembered(&work);
        break;
    case PB_JOB_LIST:
        ret->rc = pb_work_list(&work);
        break;
    case PB_JOB_KERNEL_STAYS_AWAY:
        ret->rc = pb_work_kernel_stays_away(&work);
        break;
    case PB_JOB_SAVE_SLOTS:
        ret->rc = pb_work_save_slots(&work);
        break;
    case PB_WIRE_ACCESS:
        ret->rc = cycle(&work);
        break;
    default:
        ret->rc = pb_work_fail(&work, -EINVAL, "unknown job");
        break;
    }
}
