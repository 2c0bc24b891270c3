/* SPDX-License-Identifier: MIT */
#include "backend/failure.h"

#include <stdarg.h>
#include <stdio.h>

void pb_fail(struct pb_failure *failure, enum pb_fail code, const char *device, const char *next,
             const char *reason, ...)
{
    va_list ap;

    failure->code = code;
    (void)snprintf(failure->device, sizeof(failure->device), "%s", device);
    (void)snprintf(failure->next, sizeof(failure->next), "%s", next);
    va_start(ap, reason);
    (void)vsnprintf(failure->reason, sizeof(failure->reason), reason, ap);
    va_end(ap);
}
