/* SPDX-License-Identifier: MIT */
/* What the parts of a job share: job.c has the others, claim.c and bind.c what takes a device. */
#ifndef PB_HOST_WORK_H
#define PB_HOST_WORK_H

#include <stdbool.h>

#include "host/sysfs.h"
#include "host/wire.h"

struct pb_work {
    const struct pb_wire_request *request;
    const struct pb_host_options *options;
    struct pb_sysfs fs;
    struct pb_wire_reply *reply;
    int *fd;
};

/* The reason, in the reply; RC. */
__attribute__((format(printf, 3, 4))) int pb_work_fail(struct pb_work *work, int rc,
                                                       const char *fmt, ...);
/* What the operator may do about it; RC. */
__attribute__((format(printf, 3, 4))) int pb_work_next(struct pb_work *work, int rc,
                                                       const char *fmt, ...);

int pb_work_claim(struct pb_work *work);
int pb_work_open(struct pb_work *work);
int pb_work_adopt(struct pb_work *work);
int pb_work_release(struct pb_work *work);
int pb_work_probe(struct pb_work *work);
/* Did an earlier run of this boot take the device that is at SBDF? */
bool pb_work_is_taken(const struct pb_work *work, struct pb_sbdf sbdf);
int pb_work_list_remembered(struct pb_work *work);
int pb_work_list(struct pb_work *work);
int pb_work_kernel_stays_away(struct pb_work *work);
int pb_work_save_slots(struct pb_work *work);

#endif
