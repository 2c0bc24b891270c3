/* SPDX-License-Identifier: MIT */
/*
 * A plugin to begin with: a scratch register. What a guest writes to the registers that the
 * manifest lists, it reads again; the device never sees it. (A manifest alone can say this with
 * "virtual": plugins are for what it cannot say.)
 *
 * pcibackd/plugin.h says what each callback may do. In short: everything here but before_reset and
 * after_reset runs on the daemon's event loop, for all guests, so it never waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pcibackd/plugin.h>

/* One of these for each guest that has a device: nothing of a guest's may reach the next one. */
struct scratch {
    uint8_t byte[4096];
    uint64_t writes;
};

/* The daemon's services. They stay valid until `unload`. */
static const struct pcibackd_host *host;

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0; /* a negative errno refuses the plugin */
}

/* A guest gets the device. */
static int attach(const struct pcibackd_device *dev, void **ret_state)
{
    const char *fill = host->param(dev, "fill"); /* from the manifest's "params" */
    struct scratch *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM; /* refuses the attach */
    if (fill)
        memset(s->byte, (int)strtoul(fill, NULL, 0), sizeof(s->byte));
    host->log(dev, PCIBACKD_INFO, "a guest has a scratch register");
    *ret_state = s;
    return 0;
}

/* It has it no more, or a reload changed this plugin's registers or parameters. */
static void detach(const struct pcibackd_device *dev, void *state)
{
    (void)dev;
    free(state);
}

/*
 * An access may be to a part of a register, or to two of them: `mask` says which bits of it are
 * ours. Others that we change do not count, and are a fault.
 */
static int on_read(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    const struct scratch *s = state;
    uint32_t value = 0;

    (void)dev;
    for (unsigned i = 0; i < access->size; i++)
        value |= (uint32_t)s->byte[access->offset + i] << (8 * i);
    access->value = value & access->mask;
    return PCIBACKD_PASS;
}

static int on_write(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    struct scratch *s = state;

    (void)dev;
    s->writes++;
    for (unsigned i = 0; i < access->size; i++) {
        uint8_t *byte = &s->byte[access->offset + i];
        uint8_t mask = (uint8_t)(access->mask >> (8 * i));

        *byte = (uint8_t)((*byte & ~mask) | ((access->value >> (8 * i)) & mask));
    }
    return PCIBACKD_HANDLED; /* our bits go no further */
}

/* For `pcibackctl stats`. */
static void stats(const struct pcibackd_device *dev, void *state, pcibackd_stat_fn stat, void *ctx)
{
    const struct scratch *s = state;

    (void)dev;
    stat(ctx, "writes", s->writes);
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD, /* magic, version, size: they come first */
    .name = "example",    /* the file's, without ".so" */
    .load = load,         .attach = attach,  .detach = detach,
    .read = on_read,      .write = on_write, .stats = stats,
};
