/* SPDX-License-Identifier: MIT */
/*
 * /libxl/pci/BDF/domid, by which libxl knows that a device is taken. It is no lock: a failing
 * `xl pci-attach` deletes our node, and the next one would then hand the device to a second guest.
 * It is watched while a guest has the device, and written again at once (H4).
 */
#ifndef PB_BACKEND_RESERVE_H
#define PB_BACKEND_RESERVE_H

#include "backend/task.h"

struct pb_device;

enum pb_run pb_reserve(struct pb_task *task);
/* Also without a guest; nothing to do when it is not reserved. */
enum pb_run pb_unreserve(struct pb_task *task);
/* An earlier process has reserved it, or may have: watched from now on, and ours to remove. */
void pb_reserve_adopt(struct pb_device *dev);
/* The daemon ends: the node stays, the watch goes. */
void pb_reserve_abandon(struct pb_device *dev);

#endif
