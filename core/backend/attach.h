/* SPDX-License-Identifier: MIT */
/* Steps that attaching shares with renewing a device for a frontend that begins anew. */
#ifndef PB_BACKEND_ATTACH_H
#define PB_BACKEND_ATTACH_H

#include "backend/task.h"

/* Ids and BARs are those of claim (H21). */
enum pb_run pb_attach_check_hardware(struct pb_task *task);
/* Decode on, interrupts off, and the guest's view fresh. */
enum pb_run pb_attach_enable(struct pb_task *task);
/* Its plugins begin with a fresh state. */
enum pb_run pb_attach_plug(struct pb_task *task);

/* It has done everything and waits for the guest: its device may be made fresh meanwhile. */
bool pb_attach_waits(const struct pb_task *task);

#endif
