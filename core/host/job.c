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
#include "host/bind.h"
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

/* --- the daemon gave its privileges up and we did not: nothing that it says is believed --- */

/* SIZE bytes at TEXT hold a whole string. */
static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* A stub driver, or one that the configuration named when we were started. */
static bool driver_is_known(const struct pb_host_options *options, const char *driver)
{
    if (!driver[0] || strcmp(driver, "none") == 0 || pb_bind_is_stub(driver))
        return true;
    for (size_t i = 0; i < options->driver_count; i++) {
        if (strcmp(options->drivers[i], driver) == 0)
            return !strchr(driver, '/');
    }
    return false;
}

/* The kernel's words, separated by spaces. */
static bool methods_are_known(const char *method)
{
    static const char *const words[] = { "device_specific", "acpi", "flr", "af_flr", "pm", "bus",
                                         "cxl_bus" };

    while (*method) {
        size_t n = strcspn(method, " ");
        bool known = false;

        for (unsigned i = 0; i < PB_ARRAY_SIZE(words); i++)
            known |= n == strlen(words[i]) && strncmp(method, words[i], n) == 0;
        if (!known)
            return false;
        method += n + (method[n] == ' ');
    }
    return true;
}

/* DIR/NAME.so, where DIR is one of those that we were started with. */
static bool plugin_is_known(const struct pb_host_options *options, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    for (size_t i = 0; slash && i < options->plugin_dir_count; i++) {
        if (strlen(options->plugin_dirs[i]) == n && strncmp(options->plugin_dirs[i], path, n) == 0)
            return true;
    }
    return false;
}

static bool slot_is_sane(const struct pb_slot *s)
{
    return s->device >= -1 && s->device < 32 && s->function >= -1 && s->function < 8 &&
           (s->device >= 0 || s->function < 0);
}

static bool slots_are_sane(const struct pb_wire_request *r)
{
    bool sane = r->kind == PB_JOB_LIST         ? r->slot_count == 1
                : r->kind == PB_JOB_SAVE_SLOTS ? r->slot_count <= PB_SLOTS_SAVED_MAX
                                               : r->slot_count == 0;

    for (uint32_t i = 0; sane && i < r->slot_count; i++)
        sane = slot_is_sane(&r->slot[i]);
    return sane;
}

static bool access_is_sane(const struct pb_wire_request *r)
{
    return (r->size == 1 || r->size == 2 || r->size == 4) && r->offset % r->size == 0 &&
           r->offset + r->size <= (int)PB_CONFIG_SIZE_PCIE;
}

static bool sane(const struct pb_wire_request *r)
{
    /* a bool of another value is undefined behaviour, so it is looked at as a byte */
    if (*(const uint8_t *)&r->force > 1 || *(const uint8_t *)&r->write > 1)
        return false;
    if (r->kind == PB_WIRE_ACCESS)
        return access_is_sane(r);
    if (!ends(r->driver, sizeof(r->driver)) || !ends(r->method, sizeof(r->method)) ||
        !slots_are_sane(r))
        return false;
    if (r->kind != PB_JOB_RESET)
        return (r->kind != PB_JOB_CLAIM || r->driver[0]) && r->plugin_count == 0;
    for (uint32_t i = 0; i < r->plugin_count && i < PB_JOB_PLUGINS; i++) {
        if (!ends(r->plugin[i].path, sizeof(r->plugin[i].path)) ||
            !ends(r->plugin[i].params, sizeof(r->plugin[i].params)))
            return false;
    }
    return r->plugin_count <= PB_JOB_PLUGINS && r->settle_ms <= SETTLE_MAX_MS &&
           (r->image_size == 0 || r->image_size == PB_CONFIG_SIZE_PCI ||
            r->image_size == PB_CONFIG_SIZE_PCIE);
}

/* 0, or why it is refused. */
static int check(struct pb_work *work)
{
    const struct pb_wire_request *r = work->request;

    if (!sane(r))
        return pb_work_fail(work, -EINVAL, "the helper refuses what the daemon asks");
    if (r->kind == PB_WIRE_ACCESS)
        return 0;
    if (!driver_is_known(work->options, r->driver)) {
        (void)pb_work_next(work, 0, "restart pcibackd: guests stay connected");
        return pb_work_fail(work, -EACCES,
                            "driver %s was not in the configuration when pcibackd was started",
                            r->driver);
    }
    if (r->kind == PB_JOB_RESET && !methods_are_known(r->method))
        return pb_work_fail(work, -EINVAL, "\"%s\" is not a reset method", r->method);
    for (uint32_t i = 0; i < r->plugin_count; i++) {
        if (plugin_is_known(work->options, r->plugin[i].path))
            continue;
        (void)pb_work_next(work, 0, "restart pcibackd: guests stay connected");
        return pb_work_fail(work, -EACCES,
                            "plugin %s is not in a directory that the configuration named when "
                            "pcibackd was started",
                            r->plugin[i].path);
    }
    return 0;
}

void pb_job_run(const struct pb_wire_request *request, const struct pb_host_options *options,
                struct pb_wire_reply *ret, int *ret_fd)
{
    struct pb_work work = { .request = request, .options = options, .reply = ret, .fd = ret_fd };

    memset(ret, 0, sizeof(*ret));
    ret->id = request->id;
    *ret_fd = -1;
    ret->rc = check(&work);
    if (ret->rc)
        return;
    pb_sysfs_init(&work.fs, options->sysfs, request->sbdf);
    switch (request->kind) {
    case PB_JOB_PROBE:
        ret->rc = pb_work_probe(&work);
        break;
    case PB_JOB_CLAIM:
        ret->rc = pb_work_claim(&work);
        break;
    case PB_JOB_OPEN:
        ret->rc = pb_work_open(&work);
        break;
    case PB_JOB_ADOPT:
        ret->rc = pb_work_adopt(&work);
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
