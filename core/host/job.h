/* SPDX-License-Identifier: MIT */
/* What a child of the helper does. It may block for as long as the kernel likes. */
#ifndef PB_HOST_JOB_H
#define PB_HOST_JOB_H

#include "host/wire.h"

/* Carries REQUEST out and fills *ret. *ret_fd is a descriptor for the daemon, or -1. */
void pb_job_run(const struct pb_wire_request *request, const struct pb_host_options *options,
                struct pb_wire_reply *ret, int *ret_fd);

/* Sleeps. */
void pb_job_pause(unsigned ms);

#endif
