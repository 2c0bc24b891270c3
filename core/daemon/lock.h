/* SPDX-License-Identifier: MIT */
/* One daemon at a time: an flock in the state directory, which ends with the process. */
#ifndef PB_DAEMON_LOCK_H
#define PB_DAEMON_LOCK_H

#include <stddef.h>

/*
 * Creates DIR (0755) when it is absent and locks DIR/lock. Returns a descriptor that holds the lock
 * until it is closed, or a negative errno with a sentence in WHY; -EBUSY: another daemon runs.
 */
int pb_lock_take(const char *dir, char *why, size_t why_size);

#endif
