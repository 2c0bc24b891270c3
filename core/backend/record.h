/* SPDX-License-Identifier: MIT */
/*
 * From the machine's objects to the journal: what a record says of a device and of a guest. Called
 * wherever something changed that a later process must know, and always before an irreversible
 * step is begun. Without a journal (b->journal NULL) all of it does nothing and succeeds.
 */
#ifndef PB_BACKEND_RECORD_H
#define PB_BACKEND_RECORD_H

struct pb_device;
struct pb_guest;

/* Makes the record and puts facts and surroundings: -ENOSPC, and then it may not be claimed. */
int pb_record_claimed(struct pb_device *dev);
/* What changed, but facts and shadow. */
void pb_record_device(struct pb_device *dev);
/* The guest's shadow of it, if there is one. */
void pb_record_shadow(struct pb_device *dev);
/* Released: the record goes. */
void pb_record_released(struct pb_device *dev);

/* Makes the record if there is none: -ENOSPC, and then nothing may be attached. */
int pb_record_guest(struct pb_guest *g);
void pb_record_guest_freed(struct pb_guest *g);

#endif
