/* SPDX-License-Identifier: MIT */
/* Ways in which a device comes back, besides the verb. */
#ifndef PB_BACKEND_DETACH_H
#define PB_BACKEND_DETACH_H

#include "backend/backend.h"

struct pb_device;

/* The guest is gone: take the device back and forget the guest. */
void pb_detach_ended(struct pb_device *dev);
/* The frontend begins anew: quiet, reset, baseline, fresh view; the guest keeps the device. */
void pb_detach_renew(struct pb_device *dev, pb_verb_fn done, void *ctx);

/* What an earlier process has begun: to its end by force, as the guest said so or not. */
void pb_detach_finish(struct pb_device *dev);
/* The guest was asked and has not answered: it keeps the device. */
void pb_detach_keep(struct pb_device *dev);

#endif
