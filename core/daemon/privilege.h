/* SPDX-License-Identifier: MIT */
/*
 * The end of root. The daemon opens what only root may open, starts the helper, and becomes a user
 * without capabilities whose system calls are listed. Nothing brings it back: what it opens later,
 * that user must be able to open.
 */
#ifndef PB_DAEMON_PRIVILEGE_H
#define PB_DAEMON_PRIVILEGE_H

#include <stddef.h>
#include <sys/types.h>

#include "daemon/config.h"

#define PB_PRIVILEGE_USER "pcibackd"

struct pb_user {
    uid_t uid;
    gid_t gid;
};

/*
 * The user pcibackd; "nobody", with a warning, when there is none. False: neither, or this process
 * is not root, and the log says so.
 */
bool pb_privilege_user(struct pb_user *ret);
/*
 * Nothing that is ever exec'ed gets a capability. After the helper's exec, and before the first
 * thread, since a thread can do this for itself only. 0 or negative errno.
 */
int pb_privilege_bound(void);
/*
 * All threads become USER, without groups, capabilities, new privileges or core dumps, and behind
 * the filter; IOCTLS are the requests besides a terminal's, ended by 0. Looks at every thread
 * whether it is so. On a negative errno WHY says what failed, and the process must end: it may be
 * half way.
 */
int pb_privilege_drop(const struct pb_user *user, const unsigned long *ioctls, char *why,
                      size_t why_size);
/* What a reload or a xenstored that comes back needs and this process may not reach: a warning with
 * the cure for each. */
void pb_privilege_check_files(const char *config_path, const struct pb_config *config);

#endif
