/* SPDX-License-Identifier: MIT */
/* The journal at the daemon's start: opened with the limits in force, and what was found is told.
 */
#ifndef PB_DAEMON_JOURNAL_START_H
#define PB_DAEMON_JOURNAL_START_H

#include "backend/journal.h"
#include "daemon/config.h"

/*
 * BOOT "": as the kernel says. A test's directory may be on a disk without a warning. NULL when
 * there is none, and the daemon must not start: guests that it serves would lose their devices with
 * it. The log says why and what to do.
 */
struct pb_journal *pb_journal_start(const struct pb_config *config, const char *boot, bool in_test);

#endif
