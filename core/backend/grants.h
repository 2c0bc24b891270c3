/* SPDX-License-Identifier: MIT */
/*
 * What a PV guest needs to drive a device: its ports, memory and line. A page or a line that
 * another device of the same guest uses too is revoked with the last of them (H17).
 */
#ifndef PB_BACKEND_GRANTS_H
#define PB_BACKEND_GRANTS_H

struct pb_device;

/* Everything the device needs, for dev->guest. On failure what was granted stays in dev->grants. */
int pb_grants_make(struct pb_device *dev, const char **ret_what);
/* The toolstack has made them for dev->guest: what has to be revoked when it comes back. */
void pb_grants_note(struct pb_device *dev);
/* Takes all of it back; every step is tried; the first error is returned. */
int pb_grants_revoke(struct pb_device *dev);

#endif
