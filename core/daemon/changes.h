/* SPDX-License-Identifier: MIT */
/* What a reload means: device by device, what is of none, and which keys of the configuration it
 * cannot change. */
#ifndef PB_DAEMON_CHANGES_H
#define PB_DAEMON_CHANGES_H

#include <jansson.h>

#include "backend/backend.h"
#include "daemon/config.h"

/*
 * [ { "device": address, "name", "state", "guest": { "domid", "name" } or null, "lines": [ … ] } ]:
 * the devices for which RELOAD changes something, from policy BEFORE to policy AFTER.
 */
json_t *pb_changes_of_devices(struct pb_reload *reload, const struct pb_policy *before,
                              const struct pb_policy *after);
/* Lines for the rest: slots, assignments, topologies, limits. */
json_t *pb_changes_of_settings(const struct pb_policy *before, const struct pb_policy *after);
/* Names of keys that differ but are looked at when the daemon starts only. */
json_t *pb_changes_for_restart(const struct pb_config *before, const struct pb_config *after);
/* Those keys in AFTER become what they are in BEFORE. */
void pb_changes_keep(const struct pb_config *before, struct pb_config *after);

#endif
