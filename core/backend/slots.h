/* SPDX-License-Identifier: MIT */
/* What is done by itself with the devices that the configuration names. */
#ifndef PB_BACKEND_SLOTS_H
#define PB_BACKEND_SLOTS_H

struct pb_backend;
struct pb_policy;

/*
 * Claims the slots of b->policy and looks at its listed devices, but for those that BEFORE (NULL:
 * none) has too.
 */
void pb_slots_begin(struct pb_backend *b, const struct pb_policy *before);

#endif
