/* SPDX-License-Identifier: MIT */
#include "backend/adopt.h"

#include "backend/machine.h"

void pb_adopt_start(struct pb_backend *b, pb_verb_fn adopted, void *ctx)
{
    (void)b;
    adopted(ctx, NULL);
}
