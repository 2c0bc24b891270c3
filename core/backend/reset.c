/* SPDX-License-Identifier: MIT */
/* reset: a device that no guest has, made as it was at claim; also what failed. */
#include "backend/backend.h"

void pb_backend_reset(struct pb_backend *b, const char *dev, pb_verb_fn done, void *ctx)
{
    struct pb_failure failure = { .code = PB_FAIL_REFUSED, .reason = "not there yet" };

    (void)b;
    (void)dev;
    done(ctx, &failure);
}
