/* SPDX-License-Identifier: MIT */
/*
 * An answer that tells of all devices, guests or quirks. It is composed some at a time, over as
 * many turns of the loop as it takes, because there may be thousands; what changes meanwhile is
 * told as it is when its turn comes.
 */
#ifndef PB_DAEMON_WALK_H
#define PB_DAEMON_WALK_H

#include "daemon/call.h"

#define PB_WALK_STEP 8 /* devices, guests or quirks in one step */

/* What a walk counts for its end. */
struct pb_walk_sums {
    unsigned states[PB_DEVICE_STATE_COUNT];
    unsigned devices, guests;
    unsigned most_devices, most_pirqs; /* of one guest */
    struct pb_quirk_set *quirks;       /* those that were in force when it began */
};

struct pb_walk_kind {
    /* An element of `devices`, `guests` or `quirks`; NULL: the answer has no such array. */
    json_t *(*device)(const struct pb_call *call, const struct pb_device_view *view);
    json_t *(*guest)(const struct pb_call *call, const struct pb_guest_view *view);
    json_t *(*quirk)(const struct pb_call *call, const struct pb_quirk_view *view);
    /* An object whose members follow; NULL: none. */
    json_t *(*rest)(const struct pb_call *call, const struct pb_walk_sums *sums);
};

/* Answers CALL. KIND is static. */
void pb_walk_begin(struct pb_call *call, const struct pb_walk_kind *kind);

#endif
