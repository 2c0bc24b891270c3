/* SPDX-License-Identifier: MIT */
/* What the faces show: copies of the machine's state, made when asked. */
#include <stdio.h>
#include <string.h>

#include "backend/assign.h"
#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/slots.h"

static const char *interrupt_name(const struct pb_device *dev)
{
    switch (dev->interrupts.mode) {
    case PB_INTERRUPT_MSI:
        return "msi";
    case PB_INTERRUPT_MSIX:
        return "msi-x";
    case PB_INTERRUPT_NONE:
        break;
    }
    return dev->grants.gsi_mapped ? "intx" : "none";
}

struct pb_device_view pb_device_view_of(const struct pb_device *dev)
{
    struct pb_assign_rule rule = pb_profile_assign(dev);
    const char *assignment = "", *assigned_to = pb_assign_of_device(dev, &assignment);

    return (struct pb_device_view){
        .name = dev->policy.name,
        .sbdf = dev->sbdf,
        .state = dev->state,
        .known = dev->known,
        .vendor = dev->facts.vendor,
        .device = dev->facts.device,
        .subsystem_vendor = dev->facts.subsystem_vendor,
        .subsystem_device = dev->facts.subsystem_device,
        .class_code = dev->facts.class_code,
        .revision = dev->facts.revision,
        .virtual_function = dev->facts.virtual_function,
        .driver = dev->driver_now,
        .driver_before = dev->driver_before,
        .reset_methods = dev->facts.reset_methods,
        .quarantined = dev->quarantined && !dev->assigned_in_xen,
        .permissive = dev->guest ? dev->permissive : dev->policy.permissive,
        .msix_prepared = dev->msix_prepared,
        .tainted = pb_device_tainted(dev),
        .irq = dev->facts.irq,
        .interrupt = interrupt_name(dev),
        .vectors = dev->interrupts.count,
        .owner = dev->guest ? (int64_t)dev->guest->domid : -1,
        .owner_name = dev->guest ? dev->guest->name : "",
        .virtual_address = dev->vaddr,
        .cause = dev->cause,
        .denied_writes = dev->denied_writes,
        .resets = dev->resets,
        .reset_ms = dev->reset_ms,
        .guest_resets = dev->guest_resets,
        .reservation_rewrites = dev->reservation_rewrites,
        .profile = dev->profile,
        .hooks = dev->hooks,
        .surroundings = dev->known ? &dev->surroundings : NULL,
        .adopted = dev->adopted,
        .tainted_by = pb_taint_first(dev),
        .assigned_to = assigned_to ? assigned_to : "",
        .assignment = assignment,
        .assign = rule.assign,
        .assign_reason = rule.reason,
    };
}

/*
 * The first whose number is not below FROM. The one that was visited last leads to it at once; all
 * are looked at only when that is gone meanwhile.
 */
static const struct pb_device *device_from(const struct pb_backend *b, uint64_t from)
{
    struct pb_index_link *last = from > 0 ? pb_index_first(&b->device_address, from - 1) : NULL;
    const struct pb_device *dev = TAILQ_FIRST(&b->devices);

    if (last)
        return TAILQ_NEXT(PB_CONTAINER_OF(last, struct pb_device, by_address), link);
    while (dev && pb_sbdf_machine(dev->sbdf) < from)
        dev = TAILQ_NEXT(dev, link);
    return dev;
}

bool pb_backend_some_devices(const struct pb_backend *b, uint64_t *from, unsigned max,
                             void (*visit)(void *ctx, const struct pb_device_view *view), void *ctx)
{
    const struct pb_device *dev = device_from(b, *from);

    for (; dev; dev = TAILQ_NEXT(dev, link)) {
        struct pb_device_view view;

        if (max-- == 0)
            return true;
        *from = (uint64_t)pb_sbdf_machine(dev->sbdf) + 1;
        if (!pb_slots_is_known(dev))
            continue;
        view = pb_device_view_of(dev);
        visit(ctx, &view);
    }
    return false;
}

const struct pb_device *pb_device_known(const struct pb_backend *b, const char *text,
                                        struct pb_failure *failure)
{
    struct pb_sbdf sbdf;
    bool is_address;
    const struct pb_device *dev = pb_device_resolve(b, text, &is_address, &sbdf);

    if (!dev)
        pb_fail(failure, PB_FAIL_NOT_FOUND, text, "see `pcibackctl list`",
                is_address ? "the device is neither configured nor claimed"
                           : "no device has this name");
    return dev;
}

bool pb_backend_device(const struct pb_backend *b, const char *text, struct pb_device_view *ret,
                       struct pb_failure *failure)
{
    const struct pb_device *dev = pb_device_known(b, text, failure);

    if (!dev)
        return false;
    *ret = pb_device_view_of(dev);
    return true;
}

static struct pb_guest_view guest_view_of(const struct pb_guest *g)
{
    struct pb_guest_view view = { .domid = g->domid,
                                  .name = g->name,
                                  .kind = pb_guest_kind(g),
                                  .topology = pb_topology_name(g->topology),
                                  .assignment = pb_assign_text(g),
                                  .backend_state = pb_xenbus_name(g->be_state),
                                  .frontend_state = pb_xenbus_name(g->fe_state),
                                  .connected = g->page != NULL,
                                  .fenced = g->fenced,
                                  .adopted_ms = g->adopted_ms,
                                  .counters = g->counters };
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        view.device_count++;
        view.pirqs += dev->interrupts.count;
    }
    return view;
}

static const struct pb_guest *guest_from(const struct pb_backend *b, uint64_t from)
{
    struct pb_index_link *last = from > 0 ? pb_index_first(&b->guest_domid, from - 1) : NULL;
    const struct pb_guest *g = TAILQ_FIRST(&b->guests);

    if (last)
        return TAILQ_NEXT(PB_CONTAINER_OF(last, struct pb_guest, by_domid), link);
    while (g && g->domid < from)
        g = TAILQ_NEXT(g, link);
    return g;
}

bool pb_backend_some_guests(const struct pb_backend *b, uint64_t *from, unsigned max,
                            void (*visit)(void *ctx, const struct pb_guest_view *view), void *ctx)
{
    const struct pb_guest *g = guest_from(b, *from);

    for (; g; g = TAILQ_NEXT(g, link)) {
        struct pb_guest_view view;

        if (max-- == 0)
            return true;
        view = guest_view_of(g);
        visit(ctx, &view);
        *from = (uint64_t)g->domid + 1;
    }
    return false;
}

void pb_backend_counters(const struct pb_backend *b, struct pb_counters *ret)
{
    const struct pb_guest *g;

    *ret = b->counters;
    TAILQ_FOREACH (g, &b->guests, link) {
#define X(name, help) ret->name += g->counters.name;
        PB_COUNTERS(X)
#undef X
    }
}
