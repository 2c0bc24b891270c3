/* SPDX-License-Identifier: MIT */
/* What claiming has in common with serving a device that another program has claimed. */
#ifndef PB_BACKEND_CLAIM_H
#define PB_BACKEND_CLAIM_H

#include <stdbool.h>

#include "backend/task.h"

struct pb_device;

/* The verb; a failure is only told to DONE. */
void pb_claim_quietly(struct pb_backend *b, struct pb_sbdf sbdf, pb_verb_fn done, void *ctx);

/* JOB (CLAIM or OPEN) worked: what it found is DEV's from now on, as before any guest had it. */
void pb_claim_took(struct pb_device *dev, struct pb_job *job);

/* The claim failed and DEV is as it was: `present`, with the failure's reason as its cause. */
void pb_claim_refused(struct pb_task *task);

/* Does a guest still have it from before this daemon started? A hypercall, if one had. */
bool pb_claim_owned_before(const struct pb_device *dev);

/* Steps: task->dev was taken. */
enum pb_run pb_claim_identity(struct pb_task *task); /* is it what the operator said it is? */
enum pb_run pb_claim_examine(struct pb_task *task);  /* capabilities, BARs, quirks: its profile */
enum pb_run pb_claim_quiet(struct pb_task *task);    /* bus mastering off, D0, decode on */
enum pb_run pb_claim_record(struct pb_task *task);   /* it is in the journal from now on */
enum pb_run pb_claim_unrecord(struct pb_task *task); /* its undo */

#endif
