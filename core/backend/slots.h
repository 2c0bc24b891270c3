/* SPDX-License-Identifier: MIT */
/*
 * What is claimed by itself: devices that an earlier run of the daemon had, and slots, whether
 * their device is there or not.
 */
#ifndef PB_BACKEND_SLOTS_H
#define PB_BACKEND_SLOTS_H

#include <stdbool.h>

#include "pci/addr.h"

struct pb_backend;
struct pb_device;
struct pb_policy;

/* Takes up what is remembered, then claims the slots and looks at the listed devices. */
void pb_slots_start(struct pb_backend *b);
/*
 * The same for what is new in b->policy since BEFORE. Slots that it has no more are taken off the
 * list; their devices stay.
 */
void pb_slots_reloaded(struct pb_backend *b, const struct pb_policy *before);
void pb_slots_free(struct pb_backend *b);

/* Is a slot listed that SBDF belongs to? */
bool pb_slots_match(const struct pb_backend *b, struct pb_sbdf sbdf);
/* Claims it; a failure is told in the log. */
void pb_slots_claim(struct pb_backend *b, struct pb_sbdf sbdf);
/* The same for all slots' devices that are absent as far as is known. */
void pb_slots_claim_all(struct pb_backend *b);
/*
 * A domain ended: what it had from before this run may be claimed now, and what was taken from it
 * is tainted no more.
 */
void pb_slots_domain_ended(struct pb_backend *b);
/* Is there something to show of DEV, or to remember? */
bool pb_slots_is_known(const struct pb_device *dev);
/* Is all that is known of DEV that it is there, so that it may make room for another? */
bool pb_slots_can_forget(const struct pb_device *dev);

#endif
