/* SPDX-License-Identifier: MIT */
/*
 * A device's driver, changed while others may change it too. What somebody else undoes is tried
 * again a few times.
 */
#ifndef PB_HOST_BIND_H
#define PB_HOST_BIND_H

#include "host/sysfs.h"

#define PB_BIND_TRIES 3

/* Somebody else gave the device to another driver meanwhile: `driver` of the device says which. */
#define PB_BIND_STOLEN (-EAGAIN)

/* No driver has it afterwards, or -ENODEV: the device is gone; other negative errno. */
int pb_bind_unbind(const struct pb_sysfs *fs);
/*
 * DRIVER has it afterwards. It must be its override or know its ids, and no driver may have it.
 * PB_BIND_STOLEN, or other negative errno.
 */
int pb_bind_to(const struct pb_sysfs *fs, const char *driver);
/* Whichever driver the kernel chooses, if any, has it afterwards. */
int pb_bind_any(const struct pb_sysfs *fs);
/* The module that has a stub driver: of one that is not known, the driver's own name. */
const char *pb_bind_module(const char *driver);
/* One whose only use is to keep other drivers away. */
bool pb_bind_is_stub(const char *driver);
/* Loads the module of a known stub driver. */
void pb_bind_load_module(const char *driver);
int pb_bind_enable_count(const struct pb_sysfs *fs);

#endif
