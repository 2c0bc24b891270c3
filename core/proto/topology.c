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

static bool slot_empty(const struct pb_vslots *slots, unsigned i)
{
    for (unsigned fn = 0; fn < 8; fn++) {
        if (slots->slot[i].used[fn])
            return false;
    }
    return true;
}

static bool same_physical_slot(struct pb_sbdf a, struct pb_sbdf b)
{
    return a.segment == b.segment && a.bus == b.bus &&
           PB_DEVFN_DEV(a.devfn) == PB_DEVFN_DEV(b.devfn);
}

int pb_vslots_add(struct pb_vslots *slots, enum pb_topology topology, struct pb_sbdf physical,
                  bool virtual_function, int wanted, struct pb_sbdf *ret_virtual)
{
    unsigned fn = PB_DEVFN_FN(physical.devfn);
    bool alone = virtual_function && fn == 0;
    unsigned at = PB_VSLOTS;

    (void)topology;
    (void)wanted;
    for (unsigned i = 0; i < PB_VSLOTS; i++) {
        bool empty = slot_empty(slots, i);

        if (empty && at == PB_VSLOTS)
            at = i;
        if (!alone && !empty && !slots->slot[i].alone &&
            same_physical_slot(slots->slot[i].physical, physical)) {
            at = i;
            break;
        }
    }
    if (at == PB_VSLOTS)
        return -ENOSPC;
    if (slots->slot[at].used[fn])
        return -EEXIST;
    if (slot_empty(slots, at)) {
        slots->slot[at].physical = physical;
        slots->slot[at].alone = alone;
    }
    slots->slot[at].used[fn] = true;
    *ret_virtual = (struct pb_sbdf){ .devfn = PB_DEVFN(at, fn) };
    return 0;
}

void pb_vslots_remove(struct pb_vslots *slots, struct pb_sbdf virtual_address)
{
    slots->slot[PB_DEVFN_DEV(virtual_address.devfn)].used[PB_DEVFN_FN(virtual_address.devfn)] =
        false;
}

const char *pb_vdev_format(struct pb_sbdf v, char buf[PB_VDEV_TEXT])
{
    (void)snprintf(buf, PB_VDEV_TEXT, "%04x:%02x:%02x.%02x", v.segment, v.bus,
                   (unsigned)PB_DEVFN_DEV(v.devfn), PB_DEVFN_FN(v.devfn));
    return buf;
}
