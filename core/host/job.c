/* SPDX-License-Identifier: MIT */
#include "host/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/job_reset.h"
#include "host/remember.h"

#define BIND_TRIES    20 /* of 50 ms: drivers_probe may be asynchronous */
#define SETTLE_MAX_MS 600000

struct job {
    const struct pb_wire_request *request;
    const char *lib_dir;
    struct pb_sysfs fs;
    struct pb_wire_reply *reply;
    int *fd;
};

__attribute__((format(printf, 3, 4))) static int fail(struct job *job, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(job->reply->reason, sizeof(job->reply->reason), fmt, ap);
    va_end(ap);
    return rc;
}

void pb_job_pause(unsigned ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* --- binding --- */

static int enable_count(const struct pb_sysfs *fs)
{
    char text[16];

    return pb_sysfs_read(fs, "enable", text, sizeof(text)) == 0 ? atoi(text) : 0;
}

static int unbind(struct job *job)
{
    char driver[PB_DRIVER_NAME], path[96];
    int rc;

    pb_sysfs_driver(&job->fs, driver);
    if (!driver[0])
        return 0;
    (void)snprintf(path, sizeof(path), "drivers/%s/unbind", driver);
    rc = pb_sysfs_write_bus(&job->fs, path, job->fs.address);
    for (int i = 0; rc == 0 && i < BIND_TRIES; i++) {
        pb_sysfs_driver(&job->fs, driver);
        if (!driver[0])
            return 0;
        pb_job_pause(50);
    }
    return rc ? rc : -EBUSY;
}

static int wait_for_driver(struct job *job, const char *wanted)
{
    char driver[PB_DRIVER_NAME];

    for (int i = 0; i < BIND_TRIES; i++) {
        pb_sysfs_driver(&job->fs, driver);
        if (strcmp(driver, wanted) == 0)
            return 0;
        pb_job_pause(50);
    }
    return -ENODEV;
}

static int bind(struct job *job, const char *wanted)
{
    char path[96];
    int rc = pb_sysfs_write_bus(&job->fs, "drivers_probe", job->fs.address);

    if (rc == 0 && wait_for_driver(job, wanted) == 0)
        return 0;
    /* A driver without our id in its table answers to its own bind file, thanks to the override. */
    (void)snprintf(path, sizeof(path), "drivers/%s/bind", wanted);
    rc = pb_sysfs_write_bus(&job->fs, path, job->fs.address);
    return rc ? rc : wait_for_driver(job, wanted);
}

/* Loads the module of a stub driver that is not there yet. */
static void load_module(const char *driver)
{
    static const struct {
        const char *driver;
        const char *module;
    } modules[] = {
        { "pci-stub", "pci-stub" },
        { "vfio-pci", "vfio-pci" },
        { "pciback", "xen-pciback" },
    };
    const char *module = NULL;
    pid_t pid;

    for (unsigned i = 0; i < PB_ARRAY_SIZE(modules); i++) {
        if (strcmp(driver, modules[i].driver) == 0)
            module = modules[i].module;
    }
    pid = module ? fork() : -1;
    if (pid == 0) {
        (void)execl("/sbin/modprobe", "modprobe", "-q", module, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
}

/* --- what the device was before --- */

/* *ret_held: taken by an earlier run, so that a guest may have it. */
static int remember(struct job *job, struct pb_remembered *ret, bool *ret_held)
{
    const char *wanted = job->request->driver;
    char driver[PB_DRIVER_NAME];
    int rc = pb_remember_load(job->lib_dir, job->fs.address, ret);

    pb_sysfs_driver(&job->fs, driver);
    *ret_held = rc == 0 && strcmp(driver, strcmp(wanted, "none") == 0 ? "" : wanted) == 0;
    if (rc == 0)
        return 0; /* what was before the earlier run counts */
    if (rc != -ENOENT)
        return fail(job, rc, "%s/devices/%s is not readable as ours: %s", job->lib_dir,
                    job->fs.address, strerror(-rc));
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->driver, driver, sizeof(ret->driver));
    if (pb_sysfs_read(&job->fs, "driver_override", ret->override, sizeof(ret->override)) != 0 ||
        strcmp(ret->override, "(null)") == 0)
        ret->override[0] = '\0';
    if (pb_sysfs_read(&job->fs, "power/control", ret->power, sizeof(ret->power)) != 0)
        ret->power[0] = '\0';
    /* Bound drivers enable for themselves; only a driverless device's count is somebody's wish. */
    ret->enabled = !ret->driver[0] && enable_count(&job->fs) > 0;
    rc = pb_remember_store(job->lib_dir, job->fs.address, ret);
    if (rc)
        return fail(job, rc, "%s/devices/%s cannot be written: %s", job->lib_dir, job->fs.address,
                    strerror(-rc));
    return 0;
}

static int give_back(struct job *job, const struct pb_remembered *was)
{
    char driver[PB_DRIVER_NAME];
    int rc = 0;

    pb_sysfs_driver(&job->fs, driver);
    if (driver[0] && strcmp(driver, was->driver) != 0) {
        rc = unbind(job);
        if (rc)
            return fail(job, rc, "it cannot be unbound from %s: %s", driver, strerror(-rc));
        driver[0] = '\0';
    }
    if (!driver[0] && !was->enabled && enable_count(&job->fs) > 0)
        (void)pb_sysfs_write(&job->fs, "enable", "0");
    rc = pb_sysfs_write(&job->fs, "driver_override", was->override[0] ? was->override : "\n");
    if (rc)
        return fail(job, rc, "driver_override cannot be restored: %s", strerror(-rc));
    if (was->power[0])
        (void)pb_sysfs_write(&job->fs, "power/control", was->power);
    if (was->driver[0] && strcmp(driver, was->driver) != 0) {
        if (!pb_sysfs_has_driver(&job->fs, was->driver))
            return fail(job, -ENOENT, "its driver %s is not loaded any more", was->driver);
        rc = bind(job, was->driver);
        if (rc)
            return fail(job, rc, "its driver %s does not take it back: %s", was->driver,
                        strerror(-rc));
    }
    rc = pb_remember_forget(job->lib_dir, job->fs.address);
    return rc ? fail(job, rc, "%s/devices/%s cannot be removed: %s", job->lib_dir, job->fs.address,
                     strerror(-rc))
              : 0;
}

/* --- claim --- */

static int refuse_bridges(struct job *job)
{
    uint8_t header = job->reply->facts.config[0x0e] & 0x7f;

    if (header != 0 || job->reply->facts.class_code >> 16 == 0x06)
        return fail(job, -EOPNOTSUPP, "bridges cannot be assigned (class %06x, header type %u)",
                    job->reply->facts.class_code, header);
    return 0;
}

/*
 * Removing an assigned device with MSI from the machine crashes the hypervisor once its guest ends
 * (H1). A guest may be able to take a link down by itself; a virtual function goes with its
 * physical function's driver, which only xen-pciback's mark keeps from that.
 */
static int refuse_pluggable(struct job *job)
{
    char port[PB_SBDF_TEXT];

    if (job->request->force)
        return 0;
    if (job->reply->facts.virtual_function && strcmp(job->request->driver, "pciback") != 0)
        return fail(job, -EACCES,
                    "its physical function's driver can remove it: without detaching it first that "
                    "crashes the host (the stub driver pciback prevents it)");
    if (!pb_sysfs_pluggable(&job->fs, port))
        return 0;
    return fail(job, -EACCES,
                "it can be pulled out of port %s: without detaching it first that crashes the host",
                port);
}

/*
 * The kernel routes an interrupt line when a device is enabled, and enables only what no driver
 * has: so between two drivers, and `irq` is right only afterwards.
 */
static int route_and_read(struct job *job)
{
    int rc;

    if (enable_count(&job->fs) == 0) {
        rc = unbind(job);
        if (rc)
            return fail(job, rc, "its driver does not let go: %s", strerror(-rc));
        rc = pb_sysfs_write(&job->fs, "enable", "1");
        if (rc)
            return fail(job, rc, "it cannot be enabled: %s", strerror(-rc));
    }
    /* Suspended, it would answer nothing; its own power states are the guest's business. */
    (void)pb_sysfs_write(&job->fs, "power/control", "on");
    rc = pb_sysfs_facts(&job->fs, &job->reply->facts);
    return rc ? fail(job, rc, "its attributes cannot be read: %s", strerror(-rc)) : 0;
}

static int bind_stub(struct job *job)
{
    const char *wanted = job->request->driver;
    char driver[PB_DRIVER_NAME];
    bool none = strcmp(wanted, "none") == 0;
    int rc;

    if (!none && !pb_sysfs_has_driver(&job->fs, wanted))
        load_module(wanted);
    if (!none && !pb_sysfs_has_driver(&job->fs, wanted))
        return fail(job, -ENOENT, "driver %s is not loaded: modprobe it", wanted);
    rc = pb_sysfs_write(&job->fs, "driver_override", wanted);
    if (rc)
        return fail(job, rc, "driver_override cannot be written: %s", strerror(-rc));
    pb_sysfs_driver(&job->fs, driver);
    if (strcmp(driver, wanted) != 0) {
        rc = unbind(job);
        if (rc)
            return fail(job, rc, "driver %s does not let go: %s", driver, strerror(-rc));
    }
    rc = route_and_read(job);
    pb_sysfs_driver(&job->fs, driver);
    if (rc || none || strcmp(driver, wanted) == 0)
        return rc;
    rc = bind(job, wanted);
    return rc ? fail(job, rc, "driver %s does not take it: %s", wanted, strerror(-rc)) : 0;
}

/* Under lockdown the kernel opens config for writing, and then refuses each write. */
static int refuse_lockdown(struct job *job)
{
    char mode[64];

    if (pb_sysfs_lockdown(&job->fs, mode, sizeof(mode)))
        return fail(job, -EPERM, "the kernel is locked down (%s) and forbids configuration writes",
                    mode);
    return 0;
}

static int open_config(struct job *job)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/config", job->fs.device);
    *job->fd = open(path, O_RDWR | O_CLOEXEC);
    if (*job->fd >= 0)
        return 0;
    if (errno == EPERM)
        return fail(job, -EPERM, "the kernel is locked down and forbids configuration writes");
    return fail(job, -errno, "its config file cannot be opened: %s", strerror(errno));
}

static int claim(struct job *job)
{
    struct pb_remembered was;
    char first[sizeof(job->reply->reason)];
    bool held;
    int rc = pb_sysfs_facts(&job->fs, &job->reply->facts);

    if (rc)
        return fail(job, rc,
                    rc == -ENODEV ? "it is not in the machine" : "its attributes cannot be read");
    rc = refuse_bridges(job);
    if (rc == 0)
        rc = refuse_pluggable(job);
    if (rc == 0)
        rc = refuse_lockdown(job);
    if (rc)
        return rc;
    rc = remember(job, &was, &held);
    if (rc)
        return rc;
    memcpy(job->reply->driver_before, was.driver, sizeof(was.driver));
    rc = bind_stub(job);
    if (rc == 0)
        rc = open_config(job);
    /* What a guest may have is not for its former driver, whatever fails. */
    if (rc && !held) {
        memcpy(first, job->reply->reason, sizeof(first));
        (void)give_back(job, &was); /* the first failure is the one to tell */
        memcpy(job->reply->reason, first, sizeof(first));
    }
    pb_sysfs_driver(&job->fs, job->reply->driver_now);
    return rc;
}

/* --- the others --- */

static int probe(struct job *job)
{
    int rc = pb_sysfs_facts(&job->fs, &job->reply->facts);

    pb_sysfs_driver(&job->fs, job->reply->driver_before);
    pb_sysfs_driver(&job->fs, job->reply->driver_now);
    if (rc == -ENODEV)
        return fail(job, rc, "it is not in the machine");
    return rc ? fail(job, rc, "its attributes cannot be read: %s", strerror(-rc)) : 0;
}

static int release(struct job *job)
{
    struct pb_remembered was;
    int rc;

    if (!pb_sysfs_present(&job->fs)) {
        (void)pb_remember_forget(job->lib_dir, job->fs.address);
        return fail(job, -ENODEV, "it is not in the machine any more");
    }
    rc = pb_remember_load(job->lib_dir, job->fs.address, &was);
    if (rc == 0)
        rc = give_back(job, &was);
    else if (rc == -ENOENT)
        rc = 0; /* nothing was taken */
    else
        rc = fail(job, rc, "%s/devices/%s is not readable as ours: %s", job->lib_dir,
                  job->fs.address, strerror(-rc));
    pb_sysfs_driver(&job->fs, job->reply->driver_now);
    return rc;
}

static int cycle(struct job *job)
{
    const struct pb_wire_request *r = job->request;
    char path[256];
    uint8_t bytes[4] = { 0 };
    uint64_t began;
    ssize_t n;
    int fd, rc;

    (void)snprintf(path, sizeof(path), "%s/config", job->fs.device);
    fd = open(path, (r->write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        return fail(job, -errno, "config: %s", strerror(errno));
    pb_le_put(bytes, r->size, r->value);
    began = pb_now_ns();
    n = r->write ? pwrite(fd, bytes, r->size, r->offset) : pread(fd, bytes, r->size, r->offset);
    rc = n == (ssize_t)r->size ? 0 : n < 0 ? -errno : -EPERM;
    job->reply->took_us = (uint32_t)((pb_now_ns() - began) / 1000);
    job->reply->value = pb_le_get(bytes, r->size);
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
    if (r->slot_count > (r->kind == PB_JOB_SAVE_SLOTS ? PB_SLOTS_SAVED_MAX : 0))
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
    struct job job = {
        .request = request, .lib_dir = options->lib_dir, .reply = ret, .fd = ret_fd
    };

    memset(ret, 0, sizeof(*ret));
    ret->id = request->id;
    *ret_fd = -1;
    if (!sane(request)) {
        ret->rc = fail(&job, -EINVAL, "the helper refuses what the daemon asks");
        return;
    }
    pb_sysfs_init(&job.fs, options->sysfs, request->sbdf);
    switch (request->kind) {
    case PB_JOB_PROBE:
        ret->rc = probe(&job);
        break;
    case PB_JOB_CLAIM:
        ret->rc = claim(&job);
        break;
    case PB_JOB_RELEASE:
        ret->rc = release(&job);
        break;
    case PB_JOB_RESET:
        ret->rc = pb_job_reset(request, &job.fs, ret);
        break;
    case PB_WIRE_ACCESS:
        ret->rc = cycle(&job);
        break;
    case PB_JOB_OPEN:
    case PB_JOB_REMEMBERED:
    case PB_JOB_KERNEL_STAYS_AWAY:
    case PB_JOB_SAVE_SLOTS:
    default:
        ret->rc = fail(&job, -EINVAL, "unknown job");
        break;
    }
}
