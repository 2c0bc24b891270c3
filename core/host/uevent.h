/* SPDX-License-Identifier: MIT */
/*
 * What the kernel tells of PCI devices, on the loop: udev's library receives it straight from the
 * kernel, so that it works without udevd too.
 */
#ifndef PB_HOST_UEVENT_H
#define PB_HOST_UEVENT_H

#include <stdbool.h>

#include "host/host.h"

struct ev_loop;
struct pb_uevents;

/* HOST's `events` are told; before they are set, what comes is dropped. 0 or negative errno. */
int pb_uevents_open(struct ev_loop *loop, struct pb_host *host, struct pb_uevents **ret);
/* Nothing is told afterwards. NULL is fine. */
void pb_uevents_close(struct pb_uevents *u);

/* The properties of a uevent that count here; NULL: it has none of that name. */
struct pb_uevent_text {
    const char *action, *subsystem, *devpath, *slot_name, *driver, *synthetic;
};

enum pb_uevent_is {
    PB_UEVENT_IS_OURS,
    PB_UEVENT_IS_OTHER,    /* of no interest here */
    PB_UEVENT_IS_NONSENSE, /* no kernel says that */
};
/* *ret_driver borrows from TEXT. */
enum pb_uevent_is pb_uevent_parse(const struct pb_uevent_text *text, enum pb_uevent *ret_what,
                                  struct pb_sbdf *ret_sbdf, const char **ret_driver);

#endif
