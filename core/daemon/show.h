/* SPDX-License-Identifier: MIT */
/* The machine's views as JSON, as schemas/ describe them. All return new references. */
#ifndef PB_DAEMON_SHOW_H
#define PB_DAEMON_SHOW_H

#include <jansson.h>

#include "backend/backend.h"
#include "daemon/names.h"

json_t *pb_show_device(struct pb_names *names, const struct pb_device_view *view);
/* Address, name, state. */
json_t *pb_show_brief(const struct pb_device_view *view);
/* Its plugins and how they do. */
json_t *pb_show_plugins(const struct pb_device_view *view);
/* "0x001f" */
json_t *pb_show_hex(uint32_t value, int digits);
json_t *pb_show_guest(const struct pb_guest_view *view);
json_t *pb_show_counters(const struct pb_counters *counters);

#endif
