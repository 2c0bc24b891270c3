/* SPDX-License-Identifier: MIT */
/*
 * A guest's function level reset, as a managed reset: the helper carries it out, and what the guest
 * has to find again (BARs, decode, its interrupts) is there before it gets the device back. Until
 * then no operation reaches the device.
 */
#ifndef PB_BACKEND_FLR_H
#define PB_BACKEND_FLR_H

#include <stdbool.h>

#include "pci/traits.h"

struct pb_device;
struct pb_task;

/* How often a guest may: its resets keep the helper busy. */
#define PB_FLR_BURST     3
#define PB_FLR_WINDOW_MS 3000

/*
 * The guest asked for a reset of DEV by METHOD. 0: it begins when the access under way is answered;
 * -EBUSY: it may not have one now (another verb has the device, too many, not this method).
 */
int pb_flr_begin(struct pb_device *dev, enum pb_reset_method method);
/* An earlier process has begun one that it did not end: it is done again, from its beginning. */
void pb_flr_again(struct pb_device *dev);
/* Is TASK such a reset? It ends by itself. */
bool pb_flr_is(const struct pb_task *task);

#endif
