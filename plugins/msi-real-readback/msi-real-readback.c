/* SPDX-License-Identifier: MIT */
/*
 * Some drivers (ath11k with WCN6855, 17cb:1103) read the address and data of their MSI from
 * configuration space and program the chip with them. A guest sees 0 there, since the hypervisor
 * owns the real ones, and the chip interrupts nobody. With this plugin reads give what is really in
 * the registers; writes stay what they are without it.
 *
 * Opt-in, by a manifest of the operator's own: it shows the guest which vector and processor of the
 * host its interrupts go to.
 *
 * PCI Local Bus 3.0, 6.8.1.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pcibackd/plugin.h"

#define STATUS      0x06
#define STATUS_LIST 0x0010u
#define LIST        0x34
#define CAP_MSI     0x05
#define CAPS_MAX    48
#define CONTROL     2
#define CONTROL_64  0x0080u
#define ADDRESS     4
#define END_32      10 /* of the data, 2 bytes */
#define END_64      14

struct range {
    unsigned from, to; /* bytes of address and data; TO is the first behind them */
};

static const struct pcibackd_host *host;

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0;
}

/* 0: it has none. */
static unsigned find_msi(const struct pcibackd_device *dev)
{
    unsigned at;

    if (!(host->image(dev, STATUS, 2) & STATUS_LIST))
        return 0;
    at = host->image(dev, LIST, 1) & 0xfcu;
    for (unsigned i = 0; i < CAPS_MAX && at >= 0x40; i++) {
        if (host->image(dev, (uint16_t)at, 1) == CAP_MSI)
            return at;
        at = host->image(dev, (uint16_t)(at + 1), 1) & 0xfcu;
    }
    return 0;
}

static int attach(const struct pcibackd_device *dev, void **ret_state)
{
    unsigned msi = find_msi(dev);
    struct range *range;

    if (!msi) {
        host->log(dev, PCIBACKD_ERR, "the device has no MSI");
        return -ENODEV;
    }
    range = calloc(1, sizeof(*range));
    if (!range)
        return -ENOMEM;
    range->from = msi + ADDRESS;
    range->to =
        msi + (host->image(dev, (uint16_t)(msi + CONTROL), 2) & CONTROL_64 ? END_64 : END_32);
    *ret_state = range;
    return 0;
}

static void detach(const struct pcibackd_device *dev, void *state)
{
    (void)dev;
    free(state);
}

static int on_read(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    const struct range *range = state;
    uint32_t mask = 0;

    (void)dev;
    for (unsigned i = 0; i < access->size; i++) {
        if (access->offset + i >= range->from && access->offset + i < range->to)
            mask |= UINT32_C(0xff) << (8 * i);
    }
    mask &= access->mask;
    access->value = (access->value & ~mask) | (access->raw & mask);
    return PCIBACKD_PASS;
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD, .flags = PCIBACKD_WANT_RAW, .name = "msi-real-readback",
    .load = load,         .attach = attach,           .detach = detach,
    .read = on_read,
};
