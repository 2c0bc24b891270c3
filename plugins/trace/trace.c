/* SPDX-License-Identifier: MIT */
/*
 * Records each access to the registers that a manifest lists, for `pcibackctl trace`, and changes
 * none of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "pcibackd/plugin.h"

struct counts {
    uint64_t reads, writes;
};

static const struct pcibackd_host *host;

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0;
}

static int attach(const struct pcibackd_device *dev, void **ret_state)
{
    (void)dev;
    *ret_state = calloc(1, sizeof(struct counts));
    return *ret_state ? 0 : -ENOMEM;
}

static void detach(const struct pcibackd_device *dev, void *state)
{
    (void)dev;
    free(state);
}

static int on_read(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    struct counts *counts = state;

    counts->reads++;
    host->trace(dev, access);
    return PCIBACKD_PASS;
}

static int on_write(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    struct counts *counts = state;

    counts->writes++;
    host->trace(dev, access);
    return PCIBACKD_PASS;
}

static void stats(const struct pcibackd_device *dev, void *state, pcibackd_stat_fn stat, void *ctx)
{
    const struct counts *counts = state;

    (void)dev;
    stat(ctx, "reads", counts->reads);
    stat(ctx, "writes", counts->writes);
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD, .flags = PCIBACKD_WANT_TRACE,
    .name = "trace",      .load = load,
    .attach = attach,     .detach = detach,
    .read = on_read,      .write = on_write,
    .stats = stats,
};
