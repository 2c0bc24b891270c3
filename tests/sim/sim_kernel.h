/* SPDX-License-Identifier: MIT */
/*
 * The host's kernel and the root helper: drivers and who binds them, devices that come and go, what
 * the helper remembers, and what the kernel tells of all that (uevents).
 */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include <stdbool.h>

#include "host/host.h"

struct sim_world;
struct sim_device;

/* Carries a job out; all but the opened descriptor. Returns its rc. */
int sim_kernel_run(struct sim_world *w, struct pb_job *job);
int sim_kernel_refuse(struct pb_job *job, int rc, const char *reason);

/* A card is pulled (with everything that Xen and the kernel knew of it), or plugged in. */
void sim_kernel_unplug(struct sim_world *w, struct sim_device *dev);
/*
 * AS: another device in the same place, NULL the same again. Its override's driver gets it, else
 * the native one after BIND_MS.
 */
void sim_kernel_plug(struct sim_world *w, struct sim_device *dev, const struct sim_device *as,
                     unsigned bind_ms);
/* Somebody writes to sysfs: DRIVER "" unbinds. */
void sim_kernel_bind(struct sim_world *w, struct sim_device *dev, const char *driver);

/* What is told is delivered on the next round of the loop. */
void sim_kernel_tell(struct sim_world *w, enum pb_uevent what, struct pb_sbdf sbdf,
                     const char *driver);
/* "add", "remove", "bind", "unbind", "lost"; PB_UEVENT_LOST + 1 when it is none. */
enum pb_uevent sim_kernel_uevent(const char *name);
void sim_kernel_deliver(struct sim_world *w);
bool sim_kernel_waiting(const struct sim_world *w);
void sim_kernel_stop(struct sim_world *w);
/* Nobody listens any more: what was not delivered is lost. */
void sim_kernel_forget(struct sim_world *w);

/*
 * What survives the end of this process, in a file: drivers, owners, registers, what the helper
 * remembers. Load does nothing when there is no such file.
 */
void sim_state_load(struct sim_world *w, const char *path);
void sim_state_save(const struct sim_world *w);

#endif
