/* SPDX-License-Identifier: MIT */
/* Composing a struct pb_failure: what, which device, why, what next. */
#ifndef PB_BACKEND_FAILURE_H
#define PB_BACKEND_FAILURE_H

#include "backend/backend.h"

/* NEXT is the next step for the operator, "" for none. The first failure of a task is kept. */
__attribute__((format(printf, 5, 6))) void pb_fail(struct pb_failure *failure, enum pb_fail code,
                                                   const char *device, const char *next,
                                                   const char *reason, ...);

#endif
