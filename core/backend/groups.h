/* SPDX-License-Identifier: MIT */
/*
 * Neighbours: other functions that share a device's reset, requester id, interrupt line or a page
 * of its memory (H12, XSA-461). They are looked at whenever the device is.
 */
#ifndef PB_BACKEND_GROUPS_H
#define PB_BACKEND_GROUPS_H

#include "backend/task.h"

/*
 * A step of attach: task->dev, for domain task->domid. Who shares the requester id or a page must
 * be ours and unowned, or with the same guest; who shares the line or the reset is warned of.
 */
enum pb_run pb_groups_check(struct pb_task *task);

#endif
