/* SPDX-License-Identifier: MIT */
#include "host/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "pci/layout.h"
#include "pci/regs.h"

void pb_sysfs_init(struct pb_sysfs *fs, const char *root, struct pb_sbdf sbdf)
{
    fs->root = root;
    (void)pb_sbdf_format(sbdf, fs->address);
    (void)snprintf(fs->device, sizeof(fs->device), "%s/bus/pci/devices/%s", root, fs->address);
}

bool pb_sysfs_present(const struct pb_sysfs *fs)
{
    struct stat st;

    return stat(fs->device, &st) == 0;
}

static int read_path(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        n = -errno;
    (void)close(fd);
    if (n < 0)
        return (int)n;
    while (n > 0 && buf[n - 1] == '\n')
        n--;
    buf[n] = '\0';
    return 0;
}

static int write_path(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t length = strlen(value);
    ssize_t n;
    int rc = 0;

    if (fd < 0)
        return -errno;
    n = write(fd, value, length);
    if (n < 0)
        rc = -errno;
    else if ((size_t)n != length)
        rc = -EIO;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

int pb_sysfs_read(const struct pb_sysfs *fs, const char *attribute, char *buf, size_t size)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", fs->device, attribute);
    return read_path(path, buf, size);
}

int pb_sysfs_write(const struct pb_sysfs *fs, const char *attribute, const char *value)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", fs->device, attribute);
    return write_path(path, value);
}

int pb_sysfs_write_bus(const struct pb_sysfs *fs, const char *path, const char *value)
{
    char full[256];

    (void)snprintf(full, sizeof(full), "%s/bus/pci/%s", fs->root, path);
    return write_path(full, value);
}

bool pb_sysfs_lockdown(const struct pb_sysfs *fs, char *mode, size_t size)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/kernel/security/lockdown", fs->root);
    return read_path(path, mode, size) == 0 && mode[0] && !strstr(mode, "[none]");
}

bool pb_sysfs_has_driver(const struct pb_sysfs *fs, const char *driver)
{
    char path[256];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", fs->root, driver);
    return stat(path, &st) == 0;
}

void pb_sysfs_driver(const struct pb_sysfs *fs, char driver[PB_DRIVER_NAME])
{
    char path[256], target[256];
    const char *name;
    ssize_t n;

    driver[0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/driver", fs->device);
    n = readlink(path, target, sizeof(target) - 1);
    if (n <= 0)
        return;
    target[n] = '\0';
    name = strrchr(target, '/');
    name = name ? name + 1 : target;
    if (strlen(name) < PB_DRIVER_NAME)
        memcpy(driver, name, strlen(name) + 1);
    else
        memcpy(driver, "?", 2); /* no module has so long a name: never equal to a wanted one */
}

static uint32_t number(const struct pb_sysfs *fs, const char *attribute, uint32_t max, int *rc)
{
    char text[32], *end;
    unsigned long value;
    int r = pb_sysfs_read(fs, attribute, text, sizeof(text));

    if (r) {
        *rc = r;
        return 0;
    }
    errno = 0;
    value = strtoul(text, &end, 0);
    if (errno || *end || end == text || value > max)
        *rc = -EPROTO;
    return (uint32_t)value;
}

int pb_sysfs_ids(const struct pb_sysfs *fs, uint16_t *ret_vendor, uint16_t *ret_device)
{
    int rc = 0;

    *ret_vendor = (uint16_t)number(fs, "vendor", UINT16_MAX, &rc);
    *ret_device = (uint16_t)number(fs, "device", UINT16_MAX, &rc);
    return rc;
}

/* Lines "0xSTART 0xEND 0xFLAGS": six BARs, then the ROM, then what we do not need. */
static int read_resources(const struct pb_sysfs *fs, struct pb_facts *facts)
{
    char text[2048], *line, *save = NULL;
    int rc = pb_sysfs_read(fs, "resource", text, sizeof(text));
    unsigned i = 0;

    if (rc)
        return rc;
    for (line = strtok_r(text, "\n", &save); line && i < PB_PCI_RESOURCES;
         line = strtok_r(NULL, "\n", &save), i++) {
        unsigned long long start, end, flags;

        if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) != 3)
            return -EPROTO;
        facts->resource[i] = (struct pb_resource){ .start = start, .end = end, .flags = flags };
    }
    return i >= PB_PCI_BARS ? 0 : -EPROTO;
}

int pb_sysfs_image(const struct pb_sysfs *fs, struct pb_facts *facts)
{
    char path[256];
    size_t n = 0;
    ssize_t r;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/config", fs->device);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (n < sizeof(facts->config) &&
           (r = pread(fd, facts->config + n, sizeof(facts->config) - n, (off_t)n)) != 0) {
        if (r < 0) {
            int rc = -errno;

            (void)close(fd);
            return rc;
        }
        n += (size_t)r;
    }
    (void)close(fd);
    /* 64 bytes are all that is shown without CAP_SYS_ADMIN: not enough to decide anything (H19). */
    if (n < PB_CONFIG_SIZE_PCI)
        return -EPERM;
    facts->config_size = n >= PB_CONFIG_SIZE_PCIE ? PB_CONFIG_SIZE_PCIE : PB_CONFIG_SIZE_PCI;
    return 0;
}

int pb_sysfs_facts(const struct pb_sysfs *fs, struct pb_facts *ret)
{
    char path[256];
    struct stat st;
    int rc = 0;

    memset(ret, 0, sizeof(*ret));
    if (!pb_sysfs_present(fs))
        return -ENODEV;
    if (!pb_sbdf_parse(fs->address, &ret->sbdf))
        return -EINVAL;
    rc = pb_sysfs_ids(fs, &ret->vendor, &ret->device);
    ret->subsystem_vendor = (uint16_t)number(fs, "subsystem_vendor", UINT16_MAX, &rc);
    ret->subsystem_device = (uint16_t)number(fs, "subsystem_device", UINT16_MAX, &rc);
    ret->class_code = number(fs, "class", 0xffffff, &rc);
    ret->revision = (uint8_t)number(fs, "revision", UINT8_MAX, &rc);
    ret->irq = number(fs, "irq", UINT32_MAX, &rc);
    if (rc)
        return rc;
    /* A device that cannot be reset has no such attribute. */
    if (pb_sysfs_read(fs, "reset_method", ret->reset_methods, sizeof(ret->reset_methods)) != 0)
        ret->reset_methods[0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/physfn", fs->device);
    ret->virtual_function = lstat(path, &st) == 0;
    rc = read_resources(fs, ret);
    if (rc)
        return rc;
    return pb_sysfs_image(fs, ret);
}

#define EXP_FLAGS         2
#define EXP_FLAGS_SLOT    0x0100u
#define EXP_SLOT_CAP      0x14
#define EXP_SLOT_HOT_PLUG 0x00000040u

/* Does the port with this configuration space have a slot that cards may be pulled from? */
static bool hot_plug_slot(const uint8_t *config, size_t size)
{
    unsigned at = config[PCI_CAPABILITIES] & 0xfcu;

    for (int i = 0; i < PB_CAPS_MAX && at >= 0x40 && at + EXP_SLOT_CAP + 4 <= size; i++) {
        if (config[at] == PCI_CAP_EXP)
            return (pb_le16(config + at + EXP_FLAGS) & EXP_FLAGS_SLOT) &&
                   (pb_le32(config + at + EXP_SLOT_CAP) & EXP_SLOT_HOT_PLUG);
        at = config[at + 1] & 0xfcu;
    }
    return false;
}

/* In sysfs a device's real path leads through the ports above it. */
bool pb_sysfs_pluggable(const struct pb_sysfs *fs, char port[PB_SBDF_TEXT])
{
    char path[PATH_MAX], *slash;
    uint8_t config[PB_CONFIG_SIZE_PCI];
    struct pb_sbdf sbdf;

    if (!realpath(fs->device, path))
        return false;
    while ((slash = strrchr(path, '/'))) {
        ssize_t n;
        int fd;

        *slash = '\0';
        slash = strrchr(path, '/');
        if (!slash || !pb_sbdf_parse(slash + 1, &sbdf))
            return false; /* the host bridge, or no PCI device at all */
        (void)pb_sbdf_format(sbdf, port);
        slash = path + strlen(path);
        if ((size_t)(slash - path) + sizeof("/config") > sizeof(path))
            return false;
        memcpy(slash, "/config", sizeof("/config"));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        *slash = '\0';
        if (fd < 0)
            return false;
        n = pread(fd, config, sizeof(config), 0);
        (void)close(fd);
        if (n == (ssize_t)sizeof(config) && hot_plug_slot(config, sizeof(config)))
            return true;
    }
    return false;
}
