/* SPDX-License-Identifier: MIT */
/* The first steps of attach: which device, which guest, and may that guest have it? */
#ifndef PB_BACKEND_CHOOSE_H
#define PB_BACKEND_CHOOSE_H

#include "backend/task.h"

/* Takes the device, unless it has to be claimed first. */
enum pb_run pb_choose_device(struct pb_task *task);
/* The guest's number and name. */
enum pb_run pb_choose_guest(struct pb_task *task);
/* May it have any device? Asked before anything is claimed for it. */
enum pb_run pb_choose_look_at_guest(struct pb_task *task);
/* With --claim. */
enum pb_run pb_choose_claim(struct pb_task *task);
/* The state is as before the verb. An assignment tries again, and would take it back and forth. */
enum pb_run pb_choose_unclaim(struct pb_task *task);
/* Takes the device, if it is not taken yet. */
enum pb_run pb_choose_take_device(struct pb_task *task);
/* Undoes that, for the release. */
enum pb_run pb_choose_leave_device(struct pb_task *task);
/* May it have this device? The task waits for its turn at the guest. */
enum pb_run pb_choose_check_guest(struct pb_task *task);

#endif
