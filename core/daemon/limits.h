/* SPDX-License-Identifier: MIT */
/*
 * What is bounded, as data: the limits of the configuration (PB_LIMITS), and the bounds that are
 * constants of the program. `stats`, the schemas and the manual page follow these tables;
 * contrib/limits brings the files up to date.
 */
#ifndef PB_DAEMON_LIMITS_H
#define PB_DAEMON_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/policy.h"

struct pb_limit {
    const char *name;
    uint32_t fallback, min, max;
    size_t offset; /* of its member in struct pb_limits */
    const char *help;
};

/* What the configuration does not change. */
struct pb_bound {
    const char *name;
    uint64_t value;
    const char *help;
};

const struct pb_limit *pb_limits_table(size_t *ret_count);
const struct pb_bound *pb_bounds_table(size_t *ret_count);
/* What it is set to. */
uint32_t pb_limits_value(const struct pb_limits *limits, const struct pb_limit *limit);
/* Does a change of it need a restart? */
bool pb_limits_at_start(const struct pb_limit *limit);

#endif
