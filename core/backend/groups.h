/* SPDX-License-Identifier: MIT */
/*
 * Neighbours: other functions that share a device's reset, requester id, interrupt line or a page
 * of its memory (H12, XSA-461). They are looked at whenever the device is.
 */
#ifndef PB_BACKEND_GROUPS_H
#define PB_BACKEND_GROUPS_H

#include "backend/policy.h"
#include "backend/taint.h"
#include "backend/task.h"

struct pb_device;
struct pb_backend;

/*
 * A step of attach: task->dev, for domain task->domid. Who shares the requester id or a page must
 * be ours and unowned, or with the same guest; who shares the line or the reset is warned of.
 */
enum pb_run pb_groups_check(struct pb_task *task);
/* The same for the host's own driver: not while a guest has who shares the requester id. */
enum pb_run pb_groups_check_release(struct pb_task *task);
/* One line of what DEV shares with whom, if it does. */
void pb_groups_tell(const struct pb_device *dev);

/*
 * The neighbour that a reset of DEV's whole bus would hit although it is not ours alone; NULL:
 * none.
 */
const struct pb_neighbour *pb_groups_reset_victim(const struct pb_device *dev);
/* Is N ours and no guest's? */
bool pb_groups_is_idle(const struct pb_backend *b, const struct pb_neighbour *n);
#define PB_HOLDER_TEXT (PB_NAME_MAX + PB_TAINT_TEXT + 20)
/* "domain 5 (netvm) has it", "driver ahci has it", "nobody has claimed it" */
const char *pb_groups_holder(const struct pb_backend *b, const struct pb_neighbour *n, char *buf,
                             size_t size);

#endif
