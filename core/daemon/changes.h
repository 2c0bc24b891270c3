/* SPDX-License-Identifier: MIT */
/* What a reload means: device by device, what is of none, and which keys of the configuration it
 * cannot change. */
#ifndef PB_DAEMON_CHANGES_H
#define PB_DAEMON_CHANGES_H

#include <jansson.h>

#include "backend/backend.h"
#include "daemon/config.h"

/*
 * Sets what a reload from policy BEFORE to policy AFTER, with these profiles, means to VIEW's
 * device in CHANGES, an object by address: { "device": address, "name", "state", "guest": {
 * "domid", "name" } or null, "lines": [ … ] }. Nothing is there when it means nothing.
 */
void pb_changes_of_device(json_t *changes, const struct pb_policy *before,
                          const struct pb_policy *after, const struct pb_device_view *view,
                          const struct pb_profile *old_profile,
                          const struct pb_profile *new_profile);
/* Lines for the rest: slots, assignments, topologies, limits. */
json_t *pb_changes_of_settings(const struct pb_policy *before, const struct pb_policy *after);
/* Names of keys that differ but are looked at when the daemon starts only. */
json_t *pb_changes_for_restart(const struct pb_config *before, const struct pb_config *after);
/* Those keys in AFTER become what they are in BEFORE. */
void pb_changes_keep(const struct pb_config *before, struct pb_config *after);

#endif
