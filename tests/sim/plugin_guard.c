/* SPDX-License-Identifier: MIT */
/*
 * A plugin whose manifest says what it does: "attach": "fail" refuses guests, "crash" ends the
 * daemon; "write": "deny", "handle", "invert", or "crash" when CRASH_VALUE is written; "read":
 * "invert"; "stats": "crash". It counts what it is called for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "pcibackd/plugin.h"

#define CRASH_VALUE 0xdeadbeefu

static const struct pcibackd_host *host;
static uint64_t attaches, detaches;

struct state {
    bool used;
    uint64_t reads, writes;
};
static struct state states[8];

static bool says(const struct pcibackd_device *dev, const char *name, char first)
{
    const char *text = host->param(dev, name);

    return text && text[0] == first;
}

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0;
}

static int attach(const struct pcibackd_device *dev, void **ret_state)
{
    if (says(dev, "attach", 'c'))
        abort();
    if (says(dev, "attach", 'f'))
        return -5; /* EIO */
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (states[i].used)
            continue;
        states[i] = (struct state){ .used = true };
        *ret_state = &states[i];
        attaches++;
        return 0;
    }
    return -12; /* ENOMEM */
}

static void detach(const struct pcibackd_device *dev, void *state)
{
    struct state *s = state;

    (void)dev;
    s->used = false;
    detaches++;
}

static int on_read(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    struct state *s = state;

    s->reads++;
    if (says(dev, "read", 'i'))
        access->value ^= access->mask;
    return PCIBACKD_PASS;
}

static int on_write(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    struct state *s = state;

    s->writes++;
    if (says(dev, "write", 'c') && access->value == CRASH_VALUE)
        abort();
    if (says(dev, "write", 'd'))
        return PCIBACKD_DENY;
    if (says(dev, "write", 'h'))
        return PCIBACKD_HANDLED;
    if (says(dev, "write", 'i'))
        access->value ^= access->mask;
    return PCIBACKD_PASS;
}

static int before_reset(const struct pcibackd_device *dev)
{
    (void)dev;
    return 0;
}

static void stats(const struct pcibackd_device *dev, void *state, pcibackd_stat_fn stat, void *ctx)
{
    const struct state *s = state;

    if (says(dev, "stats", 'c'))
        abort();
    stat(ctx, "reads", s->reads);
    stat(ctx, "writes", s->writes);
    stat(ctx, "attaches", attaches);
    stat(ctx, "detaches", detaches);
}

PCIBACKD_PLUGIN = { PCIBACKD_PLUGIN_HEAD, .name = "guard",
                    .load = load,         .attach = attach,
                    .detach = detach,     .read = on_read,
                    .write = on_write,    .before_reset = before_reset,
                    .stats = stats };
