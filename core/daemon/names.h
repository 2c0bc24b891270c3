/* SPDX-License-Identifier: MIT */
/* What devices are called, from udev's hardware database. */
#ifndef PB_DAEMON_NAMES_H
#define PB_DAEMON_NAMES_H

#include "backend/backend.h"

struct pb_names;

/* Borrowed until the next look-up; "" when unknown. */
struct pb_device_names {
    const char *vendor, *device, *device_class;
};

/* NULL when there is no database: every name is "" then. */
struct pb_names *pb_names_open(void);
void pb_names_close(struct pb_names *names);
struct pb_device_names pb_names_find(struct pb_names *names, const struct pb_device_view *view);

#define PB_MODALIAS_TEXT 56
/* The device's modalias as Linux writes it, by which the database is keyed; returns BUF. */
const char *pb_names_modalias(const struct pb_device_view *view, char buf[PB_MODALIAS_TEXT]);

#endif
