/* SPDX-License-Identifier: MIT */
/* A token window: at most BURST events an INTERVAL; counts what it refuses. */
#ifndef PB_BASE_RATELIMIT_H
#define PB_BASE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct pb_ratelimit {
    uint64_t window_ms; /* start of the current window, monotonic */
    unsigned used;
    unsigned suppressed; /* refused since the last accepted event */
};

/*
 * May an event happen at NOW_MS? When it may, *ret_suppressed says how many were refused since the
 * last accepted one, so that the caller's line can say it.
 */
bool pb_ratelimit_allow(struct pb_ratelimit *rl, uint64_t now_ms, unsigned burst,
                        unsigned interval_ms, unsigned *ret_suppressed);
/* The end of such a line: " (3 more lines suppressed)" in a buffer of the thread's, or "". */
const char *pb_ratelimit_note(unsigned suppressed);

#endif
