/* SPDX-License-Identifier: MIT */
/* Attributes of a PCI device in sysfs. Runs in children of the helper only: anything here may
 * block. */
#ifndef PB_HOST_SYSFS_H
#define PB_HOST_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/host.h"

struct pb_sysfs {
    const char *root; /* "/sys" */
    char device[160]; /* ROOT/bus/pci/devices/BDF */
    char address[PB_SBDF_TEXT];
};

void pb_sysfs_init(struct pb_sysfs *fs, const char *root, struct pb_sbdf sbdf);
bool pb_sysfs_present(const struct pb_sysfs *fs);
/* Without the newline; -ENOENT …; longer values are cut. */
int pb_sysfs_read(const struct pb_sysfs *fs, const char *attribute, char *buf, size_t size);
int pb_sysfs_write(const struct pb_sysfs *fs, const char *attribute, const char *value);
/* ROOT/bus/pci/PATH, for example "drivers_probe" or "drivers/e1000e/unbind". */
int pb_sysfs_write_bus(const struct pb_sysfs *fs, const char *path, const char *value);
/* Vendor and device, of the function that is there now. */
int pb_sysfs_ids(const struct pb_sysfs *fs, uint16_t *ret_vendor, uint16_t *ret_device);
bool pb_sysfs_has_driver(const struct pb_sysfs *fs, const char *driver);
/* The bound driver, "" when none. */
void pb_sysfs_driver(const struct pb_sysfs *fs, char driver[PB_DRIVER_NAME]);
/* Everything in struct pb_facts. 0 or negative errno; -ENODEV when there is no such device. */
int pb_sysfs_facts(const struct pb_sysfs *fs, struct pb_facts *ret);
/*
 * The address of the nearest port above the device from which it may be pulled (PCIe slot with the
 * Hot-Plug Capable bit, PCIe 5.0 7.5.3.9), in PORT; false when there is none.
 */
bool pb_sysfs_pluggable(const struct pb_sysfs *fs, char port[PB_SBDF_TEXT]);
/* Whether the kernel is locked down, and how: what its file says, e.g. "none [integrity] ...". */
bool pb_sysfs_lockdown(const struct pb_sysfs *fs, char *mode, size_t size);
/* Only the configuration image, anew. */
int pb_sysfs_image(const struct pb_sysfs *fs, struct pb_facts *facts);

#endif
