/* SPDX-License-Identifier: MIT */
/*
 * Intel's integrated graphics tells in its configuration space where in the host's memory firmware
 * put things: a guest that believes it reads and writes memory that is not its own. It is shown a
 * view of its own instead:
 *
 *   GMCH 0x50, 2 bytes: as at claim, or the parameter "gmch"; writes are denied.
 *   BDSM 0x5c, 4 bytes: 0, no stolen memory; writes are denied.
 *   ASLS 0xfc, 4 bytes: 0, no OpRegion; what the guest writes it reads, and the device does not
 * see.
 *
 * Registers: Intel's graphics Programmer's Reference Manuals, "PCI configuration"; QEMU and VFIO
 * emulate the same three (hw/vfio/igd.c, drivers/vfio/pci/vfio_pci_igd.c).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pcibackd/plugin.h"

#define GMCH 0x50
#define BDSM 0x5c
#define ASLS 0xfc

struct view {
    uint32_t gmch, asls;
};

static const struct pcibackd_host *host;

static int load(const struct pcibackd_host *services)
{
    host = services;
    return 0;
}

static int attach(const struct pcibackd_device *dev, void **ret_state)
{
    const char *gmch = host->param(dev, "gmch");
    char *end = NULL;
    unsigned long value = host->image(dev, GMCH, 2);
    struct view *view;

    if (gmch) {
        errno = 0;
        value = strtoul(gmch, &end, 0);
        if (errno || end == gmch || *end || value > UINT16_MAX) {
            host->log(dev, PCIBACKD_ERR, "\"gmch\" is not a number of 16 bits");
            return -EINVAL;
        }
    }
    view = calloc(1, sizeof(*view));
    if (!view)
        return -ENOMEM;
    view->gmch = (uint32_t)value;
    *ret_state = view;
    return 0;
}

static void detach(const struct pcibackd_device *dev, void *state)
{
    (void)dev;
    free(state);
}

/*
 * The register of LENGTH bytes at AT, as the access sees it: its bits in *ret_mask, SHIFT of them
 * before the access begins. An access may be to a part of it, or to more than it. False: it has
 * none of its bits.
 */
static bool overlaps(const struct pcibackd_access *access, unsigned at, unsigned length,
                     int *ret_shift, uint32_t *ret_mask)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < access->size; i++) {
        if (access->offset + i >= at && access->offset + i < at + length)
            mask |= UINT32_C(0xff) << (8 * i);
    }
    *ret_shift = 8 * ((int)access->offset - (int)at);
    *ret_mask = mask & access->mask;
    return *ret_mask != 0;
}

static uint32_t from_register(uint32_t value, int shift)
{
    return shift >= 0 ? value >> shift : value << -shift;
}

static uint32_t to_register(uint32_t value, int shift)
{
    return shift >= 0 ? value << shift : value >> -shift;
}

static int on_read(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    const struct view *view = state;
    const struct {
        unsigned at, length;
        uint32_t value;
    } registers[] = { { GMCH, 2, view->gmch }, { BDSM, 4, 0 }, { ASLS, 4, view->asls } };

    (void)dev;
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        uint32_t mask;
        int shift;

        if (overlaps(access, registers[i].at, registers[i].length, &shift, &mask))
            access->value =
                (access->value & ~mask) | (from_register(registers[i].value, shift) & mask);
    }
    return PCIBACKD_PASS;
}

static int on_write(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    struct view *view = state;
    uint32_t mask;
    int shift;

    (void)dev;
    if (overlaps(access, ASLS, 4, &shift, &mask)) {
        view->asls =
            (view->asls & ~to_register(mask, shift)) | to_register(access->value & mask, shift);
        return PCIBACKD_HANDLED;
    }
    if (overlaps(access, GMCH, 2, &shift, &mask) || overlaps(access, BDSM, 4, &shift, &mask))
        return PCIBACKD_DENY;
    return PCIBACKD_PASS;
}

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD, .name = "igd-view", .load = load,      .attach = attach,
    .detach = detach,     .read = on_read,    .write = on_write,
};
