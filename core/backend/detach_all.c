/* SPDX-License-Identifier: MIT */
/* Every device of every guest, all at once: each is a detach like one that was asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/machine.h"
#include "base/log.h"

struct detach_all {
    struct pb_detached result;
    unsigned waiting;
    pb_detached_fn done;
    void *ctx;
};

static void one_less(struct detach_all *all)
{
    if (--all->waiting > 0)
        return;
    all->done(all->ctx, &all->result);
    free(all);
}

static void detached(void *ctx, const struct pb_failure *failure)
{
    struct detach_all *all = ctx;

    if (failure) {
        all->result.kept++;
        pb_warn("%s: its guest keeps it: %s%s%s", failure->device, failure->reason,
                failure->next[0] ? "; next: " : "", failure->next);
    } else {
        all->result.taken++;
    }
    one_less(all);
}

int pb_backend_detach_all(struct pb_backend *b, pb_detached_fn done, void *ctx)
{
    struct detach_all *all = calloc(1, sizeof(*all));
    const struct pb_device *dev;

    if (!all)
        return -ENOMEM;
    *all = (struct detach_all){ .waiting = 1, .done = done, .ctx = ctx };
    TAILQ_FOREACH (dev, &b->devices, link) {
        char address[PB_SBDF_TEXT], guest[16];

        if (!dev->guest)
            continue;
        (void)snprintf(guest, sizeof(guest), "%u", dev->guest->domid);
        all->waiting++;
        pb_backend_detach(b, guest, pb_sbdf_format(dev->sbdf, address), false, detached, all);
    }
    one_less(all);
    return 0;
}
