/* SPDX-License-Identifier: MIT */
/*
 * Which jobs run on which device, told to a helper that comes after us: a child that was left by a
 * helper that is gone goes on, and a second job beside it would find the device half way (H5, H6).
 * RUN_DIR/jobs/BDF holds the child's pid, when it was started, and the boot.
 */
#ifndef PB_HOST_RUNNING_H
#define PB_HOST_RUNNING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/host.h"

struct pb_running {
    struct pb_sbdf sbdf;
    pid_t pid;
    uint64_t started; /* clock ticks since the boot: tells it from a later process of that number */
};

/* Of this process, before and after its job on SBDF. 0 or negative errno. */
int pb_running_begin(const struct pb_host_options *options, struct pb_sbdf sbdf);
void pb_running_end(const struct pb_host_options *options, struct pb_sbdf sbdf);
/* Those of earlier helpers that still run; what is left of others is removed. At most MAX. */
unsigned pb_running_find(const struct pb_host_options *options, unsigned max,
                         struct pb_running *ret);
bool pb_running_alive(const struct pb_running *running);
/*
 * Only one helper for one RUN_DIR: waits a moment for another one that is about to end. The lock
 * ends with the process, and its children do not have it. 0, -EAGAIN, or another negative errno.
 */
int pb_running_lock(const struct pb_host_options *options);

#endif
