/* SPDX-License-Identifier: MIT */
#include "proto/topology.h"

#include <errno.h>
#include <stdio.h>

static const char *const names[] = {
#define X(id, name, help) [PB_TOPOLOGY_##id] = (name),
    PB_TOPOLOGIES(X)
#undef X
};

const char *pb_topology_name(enum pb_topology topology)
{
    return names[topology];
}

static bool same_physical_slot(struct pb_sbdf a, struct pb_sbdf b)
{
    return a.segment == b.segment && a.bus == b.bus &&
           PB_DEVFN_DEV(a.devfn) == PB_DEVFN_DEV(b.devfn);
}

static bool is_at(const struct pb_vslots *slots, unsigned i, unsigned slot)
{
    return PB_DEVFN_DEV(slots->device[i].at.devfn) == slot;
}

static bool slot_empty(const struct pb_vslots *slots, unsigned slot)
{
    for (unsigned i = 0; i < slots->device_count; i++) {
        if (is_at(slots, i, slot))
            return false;
    }
    return true;
}

/* Holds SLOT nothing but functions of PHYSICAL's device that may be joined, FN not among them? */
static bool may_join(const struct pb_vslots *slots, unsigned slot, unsigned fn,
                     struct pb_sbdf physical)
{
    for (unsigned i = 0; i < slots->device_count; i++) {
        if (is_at(slots, i, slot) &&
            (slots->device[i].alone || PB_DEVFN_FN(slots->device[i].at.devfn) == fn ||
             !same_physical_slot(slots->device[i].physical, physical)))
            return false;
    }
    return true;
}

static int first_empty(const struct pb_vslots *slots)
{
    for (unsigned slot = 0; slot < PB_VSLOTS; slot++) {
        if (slot_empty(slots, slot))
            return (int)slot;
    }
    return -ENOSPC;
}

/* A devfn or -ENOSPC. */
static int place_vpci(const struct pb_vslots *slots, struct pb_sbdf physical, bool alone,
                      int wanted)
{
    unsigned fn = PB_DEVFN_FN(physical.devfn);
    int slot;

    if (wanted >= 0 && (alone ? slot_empty(slots, PB_DEVFN_DEV((unsigned)wanted))
                              : may_join(slots, PB_DEVFN_DEV((unsigned)wanted),
                                         PB_DEVFN_FN((unsigned)wanted), physical)))
        return wanted;
    for (unsigned i = 0; i < PB_VSLOTS && !alone; i++) {
        if (!slot_empty(slots, i) && may_join(slots, i, fn, physical))
            return PB_DEVFN(i, fn);
    }
    slot = first_empty(slots);
    return slot < 0 ? slot : PB_DEVFN((unsigned)slot, fn);
}

static int place_slot(const struct pb_vslots *slots, int wanted)
{
    int slot;

    if (wanted >= 0 && slot_empty(slots, PB_DEVFN_DEV((unsigned)wanted)))
        return PB_DEVFN(PB_DEVFN_DEV((unsigned)wanted), 0);
    slot = first_empty(slots);
    return slot < 0 ? slot : PB_DEVFN((unsigned)slot, 0);
}

bool pb_vslots_has_root(const struct pb_vslots *slots, uint32_t segment, uint32_t bus)
{
    for (unsigned k = 0; k < slots->root_count; k++) {
        if (slots->root[k].segment == segment && slots->root[k].bus == bus)
            return true;
    }
    return false;
}

static int add_root(struct pb_vslots *slots, struct pb_sbdf at)
{
    if (pb_vslots_has_root(slots, at.segment, at.bus))
        return 0;
    if (slots->root_count == PB_VROOTS)
        return -ENOSPC;
    slots->root[slots->root_count].segment = at.segment;
    slots->root[slots->root_count++].bus = at.bus;
    return 0;
}

/* Its function number says nothing of its neighbours: the first of many virtual functions. */
static bool is_alone(struct pb_sbdf physical, bool virtual_function)
{
    return virtual_function && PB_DEVFN_FN(physical.devfn) == 0;
}

static int put(struct pb_vslots *slots, struct pb_sbdf at, struct pb_sbdf physical, bool alone)
{
    if (slots->device_count == PB_VDEVICES || add_root(slots, at) != 0)
        return -ENOSPC;
    slots->device[slots->device_count].at = at;
    slots->device[slots->device_count].physical = physical;
    slots->device[slots->device_count++].alone = alone;
    return 0;
}

int pb_vslots_restore(struct pb_vslots *slots, struct pb_sbdf virtual_address,
                      struct pb_sbdf physical, bool virtual_function)
{
    for (unsigned i = 0; i < slots->device_count; i++) {
        if (pb_sbdf_equal(slots->device[i].physical, physical) ||
            pb_sbdf_equal(slots->device[i].at, virtual_address))
            return -EEXIST;
    }
    return put(slots, virtual_address, physical, is_alone(physical, virtual_function));
}

int pb_vslots_restore_root(struct pb_vslots *slots, uint16_t segment, uint8_t bus)
{
    return add_root(slots, (struct pb_sbdf){ .segment = segment, .bus = bus });
}

int pb_vslots_add(struct pb_vslots *slots, enum pb_topology topology, struct pb_sbdf physical,
                  bool virtual_function, int wanted, struct pb_sbdf *ret_virtual)
{
    bool alone = is_alone(physical, virtual_function);
    struct pb_sbdf at = physical;
    int devfn = physical.devfn;

    for (unsigned i = 0; i < slots->device_count; i++) {
        if (pb_sbdf_equal(slots->device[i].physical, physical))
            return -EEXIST;
    }
    if (wanted > 255)
        wanted = PB_VDEVFN_ANY;
    if (topology == PB_TOPOLOGY_VPCI)
        devfn = place_vpci(slots, physical, alone, wanted);
    else if (topology == PB_TOPOLOGY_SLOT)
        devfn = place_slot(slots, wanted);
    if (devfn < 0)
        return -ENOSPC;
    if (topology != PB_TOPOLOGY_PASSTHROUGH)
        at = (struct pb_sbdf){ .devfn = (uint8_t)devfn };
    if (put(slots, at, physical, alone) != 0)
        return -ENOSPC;
    *ret_virtual = at;
    return 0;
}

void pb_vslots_remove(struct pb_vslots *slots, struct pb_sbdf virtual_address)
{
    for (unsigned i = 0; i < slots->device_count; i++) {
        if (!pb_sbdf_equal(slots->device[i].at, virtual_address))
            continue;
        slots->device[i] = slots->device[--slots->device_count];
        return;
    }
}

const char *pb_vdev_format(struct pb_sbdf v, char buf[PB_VDEV_TEXT])
{
    (void)snprintf(buf, PB_VDEV_TEXT, "%04x:%02x:%02x.%02x", v.segment, v.bus,
                   (unsigned)PB_DEVFN_DEV(v.devfn), PB_DEVFN_FN(v.devfn));
    return buf;
}

const char *pb_vroot_format(const struct pb_vslots *slots, unsigned k, char buf[PB_VROOT_TEXT])
{
    (void)snprintf(buf, PB_VROOT_TEXT, "%04x:%02x", slots->root[k].segment, slots->root[k].bus);
    return buf;
}
