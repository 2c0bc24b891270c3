/* SPDX-License-Identifier: MIT */
#include "host/bind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/job.h"

#define LOOKS   20 /* drivers_probe may be asynchronous */
#define LOOK_MS 50

int pb_bind_enable_count(const struct pb_sysfs *fs)
{
    char text[16];

    return pb_sysfs_read(fs, "enable", text, sizeof(text)) == 0 ? atoi(text) : 0;
}

int pb_bind_unbind(const struct pb_sysfs *fs)
{
    char driver[PB_DRIVER_NAME], path[96];
    int rc = 0;

    for (int tries = 0; tries < PB_BIND_TRIES; tries++) {
        pb_sysfs_driver(fs, driver);
        if (!driver[0])
            return pb_sysfs_present(fs) ? 0 : -ENODEV;
        (void)snprintf(path, sizeof(path), "drivers/%s/unbind", driver);
        rc = pb_sysfs_write_bus(fs, path, fs->address);
        /* ENODEV: it is not that driver's any more */
        if (rc != 0 && rc != -ENODEV)
            return rc;
        for (int i = 0; rc == 0 && i < LOOKS; i++) {
            pb_sysfs_driver(fs, driver);
            if (!driver[0])
                return 0;
            pb_job_pause(LOOK_MS);
        }
    }
    return rc ? rc : -EBUSY;
}

static int wait_for(const struct pb_sysfs *fs, const char *wanted)
{
    char driver[PB_DRIVER_NAME];

    for (int i = 0; i < LOOKS; i++) {
        pb_sysfs_driver(fs, driver);
        if (strcmp(driver, wanted) == 0)
            return 0;
        if (driver[0])
            return PB_BIND_STOLEN;
        pb_job_pause(LOOK_MS);
    }
    return -ENODEV;
}

int pb_bind_to(const struct pb_sysfs *fs, const char *wanted)
{
    char path[96];
    int rc = pb_sysfs_write_bus(fs, "drivers_probe", fs->address), seen = -ENODEV;

    if (rc == 0)
        seen = wait_for(fs, wanted);
    if (seen != -ENODEV)
        return seen;
    /* A driver without our id in its table answers to its own bind file, thanks to the override. */
    (void)snprintf(path, sizeof(path), "drivers/%s/bind", wanted);
    rc = pb_sysfs_write_bus(fs, path, fs->address);
    if (rc == -EBUSY) {
        seen = wait_for(fs, wanted); /* somebody was quicker: whoever it is */
        return seen == -ENODEV ? rc : seen;
    }
    return rc ? rc : wait_for(fs, wanted);
}

int pb_bind_any(const struct pb_sysfs *fs)
{
    char driver[PB_DRIVER_NAME];
    int rc = pb_sysfs_write_bus(fs, "drivers_probe", fs->address);

    for (int i = 0; rc == 0 && i < LOOKS; i++) {
        pb_sysfs_driver(fs, driver);
        if (driver[0])
            break;
        pb_job_pause(LOOK_MS);
    }
    return rc;
}

static const struct {
    const char *driver;
    const char *module;
} modules[] = {
    { "pci-stub", "pci-stub" },
    { "vfio-pci", "vfio-pci" },
    { "pciback", "xen-pciback" },
};

static const char *module_of(const char *driver)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(modules); i++) {
        if (strcmp(driver, modules[i].driver) == 0)
            return modules[i].module;
    }
    return NULL;
}

bool pb_bind_is_stub(const char *driver)
{
    return module_of(driver) != NULL;
}

const char *pb_bind_module(const char *driver)
{
    const char *module = module_of(driver);

    return module ? module : driver;
}

void pb_bind_load_module(const char *driver)
{
    const char *module = module_of(driver);
    pid_t pid = module ? fork() : -1;

    if (pid == 0) {
        (void)execl("/sbin/modprobe", "modprobe", "-q", module, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
}
