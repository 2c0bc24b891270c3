/* SPDX-License-Identifier: MIT */
/* Steps of giving a device back to the host, shared by release and by a claim that failed. */
#ifndef PB_BACKEND_RELEASE_H
#define PB_BACKEND_RELEASE_H

#include "backend/task.h"

/* Xen's preparation of MSI-X ends; nothing to do when there was none. */
enum pb_run pb_release_unprepare(struct pb_task *task);
/* The former override and driver come back, and the device is `present`. */
enum pb_run pb_release_give_back(struct pb_task *task);

#endif
