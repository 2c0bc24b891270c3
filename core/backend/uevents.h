/* SPDX-License-Identifier: MIT */
/* What happens to devices by other hands: they come, go, and change their driver. */
#ifndef PB_BACKEND_UEVENTS_H
#define PB_BACKEND_UEVENTS_H

#include <stdbool.h>

#include "host/host.h"

struct pb_backend;
struct pb_device;

/* Listens from now on. */
void pb_uevents_start(struct pb_backend *b);
void pb_uevents_stop(struct pb_backend *b);

/* Looks at an address and acts on what is there; it is in the list then. */
void pb_uevents_look(struct pb_backend *b, struct pb_sbdf sbdf);
/*
 * No verb has DEV any more: what happened meanwhile is dealt with. DEV may be freed, if there is
 * nothing to remember of it.
 */
void pb_uevents_settled(struct pb_device *dev);

#endif
