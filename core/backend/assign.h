/* SPDX-License-Identifier: MIT */
/*
 * Assignments: devices that a guest of some name gets whenever such a guest appears, also after its
 * reboot, when it has another number. Attached with claim; what may pass by itself is tried again
 * with longer and longer pauses, a refusal ends it until the next domain of that name.
 */
#ifndef PB_BACKEND_ASSIGN_H
#define PB_BACKEND_ASSIGN_H

#include <stdbool.h>

#include "pci/addr.h"

struct pb_backend;
struct pb_device;
struct pb_guest;

/* Begins to look for guests of the policy's assignments; after it, guests that are there. */
void pb_assign_begin(struct pb_backend *b);
/* The device has appeared or was claimed: what waits for it is tried now. */
void pb_assign_device_ready(const struct pb_device *dev);
/* Does an entry name this address? */
bool pb_assign_wants(const struct pb_backend *b, struct pb_sbdf sbdf);
/*
 * The policy is a new one: entries that are new begin, those that are gone end; no device is taken
 * from anybody. What stays keeps its place.
 */
void pb_assign_reloaded(struct pb_backend *b);
/* Frees everything. */
void pb_assign_end(struct pb_backend *b);

/* What became of a guest's assignments: "" without any, "done", or the first that waits, and why.
 */
const char *pb_assign_text(const struct pb_guest *g);
/* The guest that a device is assigned to by the policy, and what became of it; NULL without one. */
const char *pb_assign_of_device(const struct pb_device *dev, const char **ret_text);

#endif
