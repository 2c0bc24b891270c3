/* SPDX-License-Identifier: MIT */
/* Where a device sits and who depends on it, from sysfs and /proc. Nothing here fails: what cannot
 * be read is not there. */
#ifndef PB_HOST_SURROUNDINGS_H
#define PB_HOST_SURROUNDINGS_H

#include "host/sysfs.h"

/* All of it. PROC is "/proc". */
void pb_surroundings_read(const struct pb_sysfs *fs, const char *proc, struct pb_surroundings *ret);

/* Its parts. What the host needs the device for: */
void pb_uses_read(const struct pb_sysfs *fs, const char *proc, struct pb_surroundings *ret);
/* and the functions that share something with it, in the order of their addresses. */
void pb_neighbours_read(const struct pb_sysfs *fs, struct pb_surroundings *ret);

#endif
