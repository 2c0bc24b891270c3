/* SPDX-License-Identifier: MIT */
/*
 * From the machine's objects to the journal: what a record says of a device and of a guest. Called
 * wherever something changed that a later process must know, and always before an irreversible
 * step is begun. Without a journal (b->journal NULL) all of it does nothing and succeeds.
 */
#ifndef PB_BACKEND_RECORD_H
#define PB_BACKEND_RECORD_H

#include <stdint.h>

#include "backend/journal.h" /* a task's phase */

struct pb_device;
struct pb_guest;
struct pb_map;

/* Makes the record and puts facts and surroundings: -ENOSPC, and then it may not be claimed. */
int pb_record_claimed(struct pb_device *dev);
/* What changed, but facts and shadow. */
void pb_record_device(struct pb_device *dev);
/* The guest's shadow of it, if there is one. */
void pb_record_shadow(struct pb_device *dev);
/* The same after the access that its guest has under way: what that can have changed. */
void pb_record_access(struct pb_device *dev);
/* The same, and under which rules it is: its view began anew, or moved to other rules. */
void pb_record_view(struct pb_device *dev);
/* A hash of the rules that a shadow is read by, never 0. */
uint64_t pb_record_rules(const struct pb_map *map);
/* Released: the record goes, unless guests that still live had it: then those are kept. */
void pb_record_released(struct pb_device *dev);

/* Makes the record if there is none: -ENOSPC, and then nothing may be attached. */
int pb_record_guest(struct pb_guest *g);
void pb_record_guest_freed(struct pb_guest *g);

#endif
