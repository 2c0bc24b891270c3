/* SPDX-License-Identifier: MIT */
/*
 * The start of a daemon that is not the first of this boot of the host. Every guest in the journal
 * that still lives is served again before anything else is done: its page and port, its devices
 * with what they had, the operation under way. Then, in any order: what was begun is done to its
 * end or undone, what the journal has lost is looked up in xenstore and taken back from its guest.
 */
#ifndef PB_BACKEND_ADOPT_H
#define PB_BACKEND_ADOPT_H

#include "backend/backend.h"

struct pb_device;

/* ADOPTED is told once, later: all guests that can be are served; never a failure. */
void pb_adopt_start(struct pb_backend *b, pb_verb_fn adopted, void *ctx);
/* The daemon ends. */
void pb_adopt_stop(struct pb_backend *b);
/* DEV is about to be nobody's: says so if that is because of what the journal has lost. */
void pb_adopt_lost_returned(struct pb_device *dev);

#endif
