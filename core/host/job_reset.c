/* SPDX-License-Identifier: MIT */
#include "host/job_reset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/job.h"
#include "pci/caps.h"
#include "pci/regs.h"

/* How plugins reach the device. */
struct carrier {
    const struct pb_sysfs *fs;
    struct pb_facts facts; /* as the kernel tells now, with the image of claim */
    int config;
    struct {
        uint8_t *at;
        size_t length;
    } map[PB_PCI_BARS];
    struct pb_reset_io io;
    struct pb_reset_hooks *hooks; /* NULL: no plugins take part */
};

__attribute__((format(printf, 3, 4))) static int fail(struct pb_wire_reply *reply, int rc,
                                                      const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reply->reason, sizeof(reply->reason), fmt, ap);
    va_end(ap);
    return rc;
}

/* --- the device, for plugins --- */

static int config_read(void *ctx, unsigned offset, unsigned size, uint32_t *ret_value)
{
    const struct carrier *c = ctx;
    uint8_t bytes[4];
    ssize_t n = pread(c->config, bytes, size, (off_t)offset);

    if (n != (ssize_t)size)
        return n < 0 ? -errno : -EIO;
    *ret_value = pb_le_get(bytes, size);
    return 0;
}

static int config_write(void *ctx, unsigned offset, unsigned size, uint32_t value)
{
    const struct carrier *c = ctx;
    uint8_t bytes[4];
    ssize_t n;

    pb_le_put(bytes, size, value);
    n = pwrite(c->config, bytes, size, (off_t)offset);
    return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

/* The kernel maps whole pages: a small BAR begins somewhere in the first one. */
static void *bar_map(void *ctx, unsigned bar, size_t *ret_length)
{
    struct carrier *c = ctx;
    size_t skip = c->facts.resource[bar].start % (size_t)sysconf(_SC_PAGESIZE);
    char path[256];
    struct stat st;
    void *at;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/resource%u", c->fs->device, bar);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0 || st.st_size <= 0) {
        (void)close(fd);
        errno = ENXIO;
        return NULL;
    }
    at = mmap(NULL, (size_t)st.st_size + skip, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at == MAP_FAILED)
        return NULL;
    c->map[bar].at = at;
    c->map[bar].length = (size_t)st.st_size + skip;
    *ret_length = (size_t)st.st_size;
    return c->map[bar].at + skip;
}

static void finish(struct carrier *c)
{
    pb_reset_hooks_close(c->hooks);
    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        if (c->map[i].at)
            (void)munmap(c->map[i].at, c->map[i].length);
    }
    if (c->config >= 0)
        (void)close(c->config);
}

static int start(struct carrier *c, const struct pb_wire_request *r, struct pb_wire_reply *reply)
{
    char path[256];
    int rc;

    if (r->plugin_count == 0)
        return 0;
    rc = pb_sysfs_facts(c->fs, &c->facts);
    if (rc)
        return fail(reply, rc, "its attributes cannot be read: %s", strerror(-rc));
    if (r->image_size && r->image_size <= c->facts.config_size)
        memcpy(c->facts.config, r->image, r->image_size);
    (void)snprintf(path, sizeof(path), "%s/config", c->fs->device);
    c->config = open(path, O_RDWR | O_CLOEXEC);
    if (c->config < 0)
        return fail(reply, -errno, "its config file cannot be opened: %s", strerror(errno));
    c->io = (struct pb_reset_io){
        .config_read = config_read, .config_write = config_write, .bar_map = bar_map, .ctx = c
    };
    /* The daemon has looked at the files' owners; it has no privileges, and we have. */
    return pb_reset_hooks_open(r->plugin, r->plugin_count, false, &c->facts, &c->io, &c->hooks,
                               reply->reason, sizeof(reply->reason));
}

/* --- the reset --- */

static int kernel_reset(const struct pb_sysfs *fs, const char *method, struct pb_wire_reply *reply)
{
    char before[64] = "";
    int rc;

    if (method[0]) {
        (void)pb_sysfs_read(fs, "reset_method", before, sizeof(before));
        rc = pb_sysfs_write(fs, "reset_method", method);
        if (rc == -ENOENT)
            return fail(reply, -ENOTTY, "it has no reset method");
        if (rc)
            return fail(reply, rc, "reset method \"%s\" is not possible: %s", method,
                        strerror(-rc));
    }
    rc = pb_sysfs_write(fs, "reset", "1");
    if (before[0])
        (void)pb_sysfs_write(fs, "reset_method", before);
    if (rc == -ENOENT)
        return fail(reply, -ENOTTY, "it has no reset method");
    /* The kernel's own ENOTTY is a device that did not come back, not a missing method. */
    if (rc)
        return fail(reply, rc == -ENOTTY ? -EIO : rc, "the kernel could not reset it: %s",
                    strerror(-rc));
    return 0;
}

/* What these mean of a job (host.h) is not what a plugin says with them. */
static int of_plugin(int rc)
{
    return rc == -ENOTTY || rc == -ETIMEDOUT ? -EIO : rc;
}

/*
 * After a reset of the kernel's these are as before it. After a plugin's own they are as at power
 * on: packets that are larger than the device takes are a fatal error, which reaches the host.
 */
static int restore_control(struct carrier *c, const struct pb_wire_request *r)
{
    static const struct {
        uint16_t offset, keep;
    } registers[] = { { PCI_EXP_DEVCTL, (uint16_t)~PCI_EXP_DEVCTL_FLR },
                      { PCI_EXP_LNKCTL, UINT16_MAX },
                      { PCI_EXP_DEVCTL2, UINT16_MAX } };
    struct pb_layout layout;
    unsigned length;

    if (r->image_size == 0 || c->facts.virtual_function || pb_layout_read(&c->facts, &layout) < 0 ||
        layout.exp == 0)
        return 0;
    length = pb_cap_length(&c->facts, false, PCI_CAP_EXP, layout.exp);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(registers); i++) {
        unsigned at = layout.exp + (unsigned)registers[i].offset;
        uint32_t now = UINT16_MAX, before = pb_le16(c->facts.config + at) & registers[i].keep;
        int rc;

        if (registers[i].offset + 2U > length || at + 2 > PB_CONFIG_SIZE_PCI)
            continue;
        rc = config_read(c, at, 2, &now);
        /* a device that does not answer is somebody else's finding */
        if (rc == 0 && now != UINT16_MAX && now != before)
            rc = config_write(c, at, 2, before);
        if (rc)
            return rc;
    }
    return 0;
}

static int reset_with(struct carrier *c, const struct pb_wire_request *r,
                      struct pb_wire_reply *reply)
{
    char text[sizeof(reply->reason)];
    bool by_plugin = false;
    int rc = 0, rc_after;

    if (c->hooks)
        rc = of_plugin(pb_reset_hooks_before(c->hooks, reply->reason, sizeof(reply->reason)));
    if (rc == 0)
        rc = kernel_reset(c->fs, r->method, reply);
    else if (rc == PCIBACKD_RESET_DONE)
        by_plugin = true;
    rc = by_plugin ? 0 : rc;
    if (rc == 0 && r->settle_ms)
        pb_job_pause(r->settle_ms);
    if (by_plugin) {
        rc = restore_control(c, r);
        if (rc)
            (void)fail(reply, rc, "its registers cannot be written: %s", strerror(-rc));
    }
    if (!c->hooks)
        return rc;
    rc_after = of_plugin(pb_reset_hooks_after(c->hooks, rc, text, sizeof(text)));
    /* The first failure is the one to tell. */
    return rc == 0 && rc_after ? fail(reply, rc_after, "%s", text) : rc;
}

int pb_job_reset(const struct pb_wire_request *request, const struct pb_sysfs *fs,
                 struct pb_wire_reply *reply)
{
    struct carrier c = { .fs = fs, .config = -1 };
    int rc;

    if (!pb_sysfs_present(fs))
        return fail(reply, -ENODEV, "it is not in the machine any more");
    rc = start(&c, request, reply);
    if (rc == 0)
        rc = reset_with(&c, request, reply);
    finish(&c);
    if (rc)
        return rc;
    rc = pb_sysfs_image(fs, &reply->facts);
    if (rc)
        return fail(reply, rc, "its registers cannot be read: %s", strerror(-rc));
    /* Revision and class, since a virtual function's ids read as all ones. */
    if (pb_le32(reply->facts.config + 8) == UINT32_MAX)
        return fail(reply, -ENODEV, "it does not answer after the reset");
    return 0;
}
