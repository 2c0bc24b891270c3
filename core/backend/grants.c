/* SPDX-License-Identifier: MIT */
#include "backend/grants.h"

#include <errno.h>

#include "backend/machine.h"
#include "backend/profile.h"

#define FRAME_SHIFT 12

struct range {
    uint64_t first, last; /* ports, or frames */
};

static bool range_of(const struct pb_resource *res, struct range *ret)
{
    unsigned shift = res->flags & PB_RES_IO ? 0 : FRAME_SHIFT;

    if (res->start == 0 || res->end < res->start)
        return false;
    if (!(res->flags & (PB_RES_IO | PB_RES_MEM)) || (res->flags & (PB_RES_UNSET | PB_RES_DISABLED)))
        return false;
    ret->first = res->start >> shift;
    ret->last = res->end >> shift;
    return true;
}

static int allow(struct pb_device *dev, const struct pb_resource *res, const struct range *r,
                 bool on)
{
    struct pb_xen *xen = dev->b->xen;
    uint64_t count = r->last - r->first + 1;

    if (res->flags & PB_RES_IO) {
        if (r->last > 0xffff)
            return -ERANGE;
        return xen->ops->allow_ports(xen, dev->guest->domid, (uint32_t)r->first, (uint32_t)count,
                                     on);
    }
    return xen->ops->allow_memory(xen, dev->guest->domid, r->first, count, on);
}

/* Does another device of this guest hold a part of R? Only the edge frames can be shared. */
static bool held_by_sibling(const struct pb_device *dev, const struct pb_resource *res,
                            uint64_t unit)
{
    const struct pb_device *other;
    struct range r;

    TAILQ_FOREACH (other, &dev->guest->devices, sibling) {
        if (other == dev)
            continue;
        for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
            const struct pb_resource *o = &other->facts.resource[i];

            if (other->grants.resource[i] && ((o->flags ^ res->flags) & PB_RES_IO) == 0 &&
                range_of(o, &r) && unit >= r.first && unit <= r.last)
                return true;
        }
    }
    return false;
}

static bool line_held_by_sibling(const struct pb_device *dev)
{
    const struct pb_device *other;

    TAILQ_FOREACH (other, &dev->guest->devices, sibling) {
        if (other != dev && other->grants.gsi_mapped && other->facts.irq == dev->facts.irq)
            return true;
    }
    return false;
}

static int grant_line(struct pb_device *dev, const char **ret_what)
{
    struct pb_xen *xen = dev->b->xen;
    uint32_t gsi = dev->facts.irq;
    int rc;

    if (!pb_profile_line(dev))
        return 0;
    if (!line_held_by_sibling(dev)) {
        rc = xen->ops->map_gsi(xen, dev->guest->domid, gsi);
        if (rc) {
            *ret_what = "mapping its interrupt line";
            return rc;
        }
    }
    dev->grants.gsi_mapped = true;
    rc = xen->ops->allow_irq(xen, dev->guest->domid, gsi, true);
    if (rc) {
        *ret_what = "granting its interrupt line";
        return rc;
    }
    dev->grants.irq_allowed = true;
    return 0;
}

int pb_grants_make(struct pb_device *dev, const char **ret_what)
{
    struct range r;

    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
        const struct pb_resource *res = &dev->facts.resource[i];
        int rc;

        if (!range_of(res, &r) || (i == PB_PCI_ROM && dev->profile->traits.hide_rom))
            continue;
        rc = allow(dev, res, &r, true);
        if (rc) {
            *ret_what = res->flags & PB_RES_IO ? "granting its ports" : "granting its memory";
            return rc;
        }
        dev->grants.resource[i] = true;
    }
    return grant_line(dev, ret_what);
}

void pb_grants_note(struct pb_device *dev)
{
    struct range r;

    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++)
        dev->grants.resource[i] = range_of(&dev->facts.resource[i], &r);
    dev->grants.gsi_mapped = pb_profile_line(dev);
}

static int revoke_resource(struct pb_device *dev, unsigned i)
{
    const struct pb_resource *res = &dev->facts.resource[i];
    struct range r;

    dev->grants.resource[i] = false;
    if (!range_of(res, &r))
        return 0;
    if (held_by_sibling(dev, res, r.first)) {
        if (r.first == r.last)
            return 0;
        r.first++;
    }
    if (held_by_sibling(dev, res, r.last)) {
        if (r.first == r.last)
            return 0;
        r.last--;
    }
    return allow(dev, res, &r, false);
}

int pb_grants_revoke(struct pb_device *dev)
{
    struct pb_xen *xen = dev->b->xen;
    int first = 0, rc;

    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
        rc = dev->grants.resource[i] ? revoke_resource(dev, i) : 0;
        if (rc && !first)
            first = rc;
    }
    /* xl unmaps a line that it has mapped, whether or not another device shares it. */
    if (dev->grants.gsi_mapped && !dev->guest->xl && !line_held_by_sibling(dev)) {
        rc = xen->ops->unmap_pirq(xen, dev->guest->domid, dev->facts.irq);
        if (rc == -EINVAL) /* not mapped: an earlier process was about to, or had unmapped it */
            rc = 0;
        if (rc && !first)
            first = rc;
        rc = dev->grants.irq_allowed
                 ? xen->ops->allow_irq(xen, dev->guest->domid, dev->facts.irq, false)
                 : 0;
        if (rc && !first)
            first = rc;
    }
    dev->grants.gsi_mapped = false;
    dev->grants.irq_allowed = false;
    return first;
}
