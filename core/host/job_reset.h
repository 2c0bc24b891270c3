/* SPDX-License-Identifier: MIT */
/* A reset, with the plugins that take part in it. */
#ifndef PB_HOST_JOB_RESET_H
#define PB_HOST_JOB_RESET_H

#include "host/sysfs.h"
#include "host/wire.h"

/*
 * Plugins, then the kernel (unless a plugin has reset the device), then settle_ms without any
 * access, then the plugins again, then the image is read anew into REPLY's facts. 0, or a negative
 * errno with the reason in REPLY.
 */
int pb_job_reset(const struct pb_wire_request *request, const struct pb_sysfs *fs,
                 struct pb_wire_reply *reply);

#endif
