/* SPDX-License-Identifier: MIT */
/* A listening UNIX socket that only root and one group may connect to. */
#ifndef PB_DAEMON_LISTENER_H
#define PB_DAEMON_LISTENER_H

#include <stddef.h>

/*
 * Creates PATH, 0660, of root and GROUP; without such a group 0600, with a warning. A socket that
 * is there but has no listener is replaced; anything else that is there is an error. Returns a
 * non-blocking descriptor, or a negative errno with a sentence in WHY.
 */
int pb_listener_open(const char *path, const char *group, char *why, size_t why_size);

#endif
